package main_test

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

	"server-starter/initd/control"
)

const composeDir = "../../deploy/compose"

// testCompose runs deploy/compose as it is, but for the lines of its Dockerfile that need a registry.
func testCompose(t *testing.T, images images, debian string) {
	if _, err := exec.LookPath("docker-compose"); err != nil {
		impossible(t, "deploy/compose is tested with docker-compose, which is missing")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(composeDir)); err != nil {
		t.Fatal(err)
	}
	nginx := "RUN apt-get update && apt-get install -y --no-install-recommends nginx-light\n" // debian has it
	dockerfile := replaced(t, read(t, filepath.Join(dir, "Dockerfile")),
		"FROM debian:12\n", "FROM "+debian+"\n", nginx, "", "--from=initd ", "--from="+images.scratch+" ")
	t.Setenv("APP_IMAGE", build(t, images.context, dockerfile))
	t.Setenv("APP_PORT", "0") // any that is free

	project := unique()
	compose := func(args ...string) string {
		t.Helper()
		out, err := try("docker-compose", append([]string{"--project-directory", dir, "--file", filepath.Join(dir, "compose.yaml"), "--project-name", project}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	t.Cleanup(func() { compose("down", "--volumes") })
	compose("up", "--detach", "--no-build")
	c := follow(t, docker(t, "inspect", "--format", "{{.Name}}", compose("ps", "--quiet", "app")))
	c.serving(1)
	c.eventually("it is healthy", func() bool { return c.health().Status == "healthy" })

	published := compose("port", "app", "8080")
	response, err := http.Get("http://" + published + "/")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %v, %v", published, response, err)
	}
	response.Body.Close()

	loads := []*load{
		startLoad(c, images, "-clients", "4", "-max", "100000000", address),
		startLoad(c, images, "-clients", "2", "-keepalive", "-max", "100000000", address),
	}
	seen := map[string]bool{}
	fresh := func(configuration int) {
		t.Helper()
		prefix := fmt.Sprintf("configuration %d, pid ", configuration)
		seen[loads[0].answer(fmt.Sprintf("a new one of configuration %d", configuration), func(answer string) bool {
			return strings.HasPrefix(answer, prefix) && !seen[answer]
		})] = true
	}
	fresh(1)

	original := read(t, filepath.Join(dir, "conf/nginx.conf"))
	configure := func(configuration string) {
		t.Helper()
		replace(t, filepath.Join(dir, "conf/nginx.conf"), replaced(t, original, "configuration 1", configuration))
	}
	configure("configuration 2")
	fresh(2)
	c.gone(1)

	compose("kill", "-s", "HUP")
	fresh(2)
	c.gone(2)

	// A configuration that nginx does not understand changes nothing, and whoever looks is told.
	configure(`configuration 3"; nonsense "`)
	c.event("the swap is refused", func(e entry) bool { return e.Event == "refused" })
	c.eventually("docker inspect tells why", func() bool {
		h := c.health()
		last := h.Log[len(h.Log)-1]
		return h.Status == "healthy" && last.ExitCode == 0 && refusal.MatchString(last.Output)
	})
	if s := c.report(); s.Health.Generation != 3 || !s.Health.Ready || s.Swaps[0].Outcome != "refused" {
		t.Errorf("initctl status says %+v", s)
	}
	if out, err := try("docker", "exec", c.name, "/initctl", "restart"); err == nil {
		t.Errorf("initctl restart says that all is well: %s", out)
	}

	configure("configuration 4")
	fresh(4)
	c.eventually("the refusal is forgotten", func() bool { return c.report().Health.Reason == "" })
	docker(t, "exec", c.name, "/initctl", "restart")
	fresh(4)

	for _, l := range loads {
		l.flawless()
	}
	compose("stop")
	if status := c.wait(); status != 0 {
		t.Errorf("the stopped container's exit status is %d", status)
	}
}

// refusal is how `initctl health` tells of a swap that was refused while another generation serves.
var refusal = regexp.MustCompile(`^ready: generation 3 serves; generation \d+ refused: hook-before-swap: `)

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

// follow reads the log of a container that something else has started and will remove.
func follow(t *testing.T, name string) *container {
	t.Helper()
	c := &container{T: t, name: strings.TrimPrefix(name, "/"), output: newStream(), ended: make(chan struct{})}
	cmd := exec.Command("docker", "logs", "--follow", c.name)
	cmd.Stdout, cmd.Stderr = c.output, c.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		// It may end a moment before the container has.
		fmt.Sscan(first(try("docker", "wait", c.name)), &c.status)
		close(c.ended)
		c.output.close()
	}()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%s", c.name, c.output.tail())
		}
	})
	return c
}

func first(text string, _ error) string { return text }

// health is what the engine's health checks have found.
type health struct {
	Status string
	Log    []struct {
		ExitCode int
		Output   string
	}
}

func (c *container) health() (h health) {
	c.Helper()
	if err := json.Unmarshal([]byte(docker(c.T, "inspect", "--format", "{{json .State.Health}}", c.name)), &h); err != nil {
		c.Fatal(err)
	}
	return h
}

// report is what `initctl status` says in a container.
func (c *container) report() (s control.Status) {
	c.Helper()
	if err := json.Unmarshal([]byte(docker(c.T, "exec", c.name, "/initctl", "status", "--json")), &s); err != nil {
		c.Fatal(err)
	}
	return s
}
