package debian_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/control"
)

const composeDir = "../../../deploy/compose"

// TestCompose runs deploy/compose as it is, but for the lines of its Dockerfile that need a registry.
func TestCompose(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("docker-compose"); err != nil {
		initdtest.Impossible(t, "deploy/compose is tested with docker-compose, which is missing")
	}
	images := images(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(composeDir)); err != nil {
		t.Fatal(err)
	}
	nginx := "RUN apt-get update && apt-get install -y --no-install-recommends nginx-light\n" // debian has it
	dockerfile := replaced(t, initdtest.Read(t, filepath.Join(dir, "Dockerfile")),
		"FROM debian:12\n", "FROM "+images.Tag+"\n", nginx, "", "--from=initd ", "--from="+images.Tag+" ")
	project := []string{"env", "APP_IMAGE=" + dockertest.Build(t, images.Context, dockerfile), "APP_PORT=0", // any that is free
		"docker-compose", "--project-directory", dir, "--file", filepath.Join(dir, "compose.yaml"), "--project-name", initdtest.Unique()}
	compose := func(args ...string) string {
		t.Helper()
		out, err := initdtest.Try(project[0], slices.Concat(project[1:], args)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	initdtest.Undo(t, append(slices.Clone(project), "down", "--volumes")...)
	compose("up", "--detach", "--no-build")
	c := dockertest.Follow(t, dockertest.Docker(t, "inspect", "--format", "{{.Name}}", compose("ps", "--quiet", "app")))
	c.Serving(1)
	c.Eventually("it is healthy", func() bool { return healthOf(c).Status == "healthy" })

	published := compose("port", "app", "8080")
	response, err := http.Get("http://" + published + "/")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %v, %v", published, response, err)
	}
	response.Body.Close()

	loads := []*dockertest.Load{
		c.Load("-clients", "4", "-max", "100000000", dockertest.Address),
		c.Load("-clients", "2", "-keepalive", "-max", "100000000", dockertest.Address),
	}
	seen := map[string]bool{}
	fresh := func(configuration int) {
		t.Helper()
		prefix := fmt.Sprintf("configuration %d, pid ", configuration)
		seen[loads[0].Answer(fmt.Sprintf("a new one of configuration %d", configuration), func(answer string) bool {
			return strings.HasPrefix(answer, prefix) && !seen[answer]
		})] = true
	}
	fresh(1)

	original := initdtest.Read(t, filepath.Join(dir, "conf/nginx.conf"))
	configure := func(configuration string) {
		t.Helper()
		replace(t, filepath.Join(dir, "conf/nginx.conf"), replaced(t, original, "configuration 1", configuration))
	}
	configure("configuration 2")
	fresh(2)
	c.Gone(1)

	compose("kill", "-s", "HUP")
	fresh(2)
	c.Gone(2)

	// A configuration that nginx does not understand changes nothing, and whoever looks is told.
	configure(`configuration 3"; nonsense "`)
	c.Event("the swap is refused", func(e initdtest.Entry) bool { return e.Event == "refused" })
	c.Eventually("docker inspect tells why", func() bool {
		h := healthOf(c)
		last := h.Log[len(h.Log)-1]
		return h.Status == "healthy" && last.ExitCode == 0 && refusal.MatchString(last.Output)
	})
	if s := statusOf(c); s.Health.Generation != 3 || !s.Health.Ready || s.Swaps[0].Outcome != "refused" {
		t.Errorf("initctl status says %+v", s)
	}
	if out, err := initdtest.Try("docker", "exec", c.Name, "/initctl", "restart"); err == nil {
		t.Errorf("initctl restart says that all is well: %s", out)
	}

	configure("configuration 4")
	fresh(4)
	c.Eventually("the refusal is forgotten", func() bool { return statusOf(c).Health.Reason == "" })
	dockertest.Docker(t, "exec", c.Name, "/initctl", "restart")
	fresh(4)

	for _, l := range loads {
		l.Flawless()
	}
	compose("stop")
	if status := c.Wait(); status != 0 {
		t.Errorf("the stopped container's exit status is %d", status)
	}
}

// refusal is how `initctl health` tells of a swap that was refused while another generation is serving.
var refusal = regexp.MustCompile(`^ready: generation 3 is serving; generation \d+ was refused: hook-before-swap: `)

// replaced is a text with each old part, which has to be there, replaced by the new one after it.
func replaced(t *testing.T, text string, oldnew ...string) string {
	t.Helper()
	for pair := range slices.Chunk(oldnew, 2) {
		if !strings.Contains(text, pair[0]) {
			t.Fatalf("there is no %q in\n%s", pair[0], text)
		}
	}
	return strings.NewReplacer(oldnew...).Replace(text)
}

// replace puts a new file in the place of one, as editors do.
func replace(t *testing.T, path, content string) {
	t.Helper()
	err := os.WriteFile(path+".new", []byte(content), 0o644)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// health is what the engine's health checks have found.
type health struct {
	Status string
	Log    []struct {
		ExitCode int
		Output   string
	}
}

func healthOf(c *dockertest.Container) (h health) {
	c.Helper()
	if err := json.Unmarshal([]byte(dockertest.Docker(c.T, "inspect", "--format", "{{json .State.Health}}", c.Name)), &h); err != nil {
		c.Fatal(err)
	}
	return h
}

// statusOf is what `initctl status` says in a container.
func statusOf(c *dockertest.Container) (s control.Status) {
	c.Helper()
	if err := json.Unmarshal([]byte(dockertest.Docker(c.T, "exec", c.Name, "/initctl", "status", "--json")), &s); err != nil {
		c.Fatal(err)
	}
	return s
}
