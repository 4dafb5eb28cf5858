package containers_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

// TestREADME builds the image of README.md's section on Docker and swaps as that says, with a stand-in for the base
// image, which needs a registry.
func TestREADME(t *testing.T) {
	t.Parallel()
	images := images(t)
	_, section, _ := strings.Cut(initdtest.Read(t, "../../../README.md"), "\n## Docker\n")
	_, rest, _ := strings.Cut(section, "\n```dockerfile\n")
	dockerfile, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("README.md has no Dockerfile in its section on Docker")
	}
	for _, line := range []string{
		"docker run -d --name app -p 8080:8080 -v \"$PWD/release:/app:ro\" my-image\n",
		"cp server release/server.new && mv release/server.new release/server ", "docker exec app /initctl restart\n",
	} {
		if !strings.Contains(section, line) {
			t.Fatalf("README.md does not say %q in its section on Docker: this test does what it says", line)
		}
	}
	for _, part := range []string{"FROM debian:12\n", "--from=initd ", "COPY server "} {
		if !strings.Contains(dockerfile, part) {
			t.Fatalf("there is no %q in\n%s", part, dockerfile)
		}
	}
	dockerfile = strings.NewReplacer("FROM debian:12\n", "FROM scratch\n", "--from=initd ", "--from="+images.Tag+" ",
		"COPY server ", "COPY root/app/worker ").Replace(dockerfile)
	image := dockertest.Build(t, images.Context, dockerfile)

	release := t.TempDir()
	server, err := os.ReadFile(filepath.Join(images.Context, "root/app/worker"))
	for _, name := range []string{"server", "server.new"} {
		if err == nil {
			err = os.WriteFile(filepath.Join(release, name), server, 0o755)
		}
	}
	if err == nil {
		err = os.Chmod(release, 0o755) // for the container's user
	}
	if err != nil {
		t.Fatal(err)
	}
	c := dockertest.Start(t, []string{"--volume", release + ":/app:ro"}, image)
	c.Serving(1)
	c.Eventually("it is healthy", func() bool {
		return dockertest.Docker(t, "inspect", "--format", "{{.State.Health.Status}}", c.Name) == "healthy"
	})
	if err := os.Rename(filepath.Join(release, "server.new"), filepath.Join(release, "server")); err != nil {
		t.Fatal(err)
	}
	if out := dockertest.Docker(t, "exec", c.Name, "/initctl", "restart"); !strings.Contains(out, "generation 2") {
		t.Errorf("initctl restart says %q", out)
	}
	c.Gone(1)
	c.Stop()
}
