package containers_test

import (
	"os/exec"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

// TestOperate inspects and controls an initd in a container that has no shell, no /run, a root file system that cannot
// be written and no privileges; and has initd and initctl come from a volume that initctl has filled, as an init
// container does.
func TestOperate(t *testing.T) {
	t.Parallel()
	images := images(t)
	volume := initdtest.Unique()
	dockertest.Docker(t, "volume", "create", volume)
	initdtest.Undo(t, "docker", "volume", "rm", volume)
	dockertest.Docker(t, "run", "--rm", "--network", "none", "--volume", volume+":/opt/initd", "--entrypoint", "/initctl", images.Tag, "install", "/opt/initd")

	options := append(dockertest.Environment("SERVER_STARTER_PORT="+dockertest.Address, "SERVER_STARTER_HTTP=127.0.0.1:9100", dockertest.Quick),
		"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65532",
		"--volume", volume+":/opt/initd:ro", "--entrypoint", "/opt/initd/initd")
	c := dockertest.Start(t, options, images.Tag, "/hello")
	c.Serving(1)
	initctl := func(want int, args ...string) string {
		t.Helper()
		cmd := exec.Command("docker", append([]string{"exec", c.Name, "/opt/initd/initctl"}, args...)...)
		out, err := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != want {
			t.Errorf("initctl %q: %v, want status %d\n%s", args, err, want, out)
		}
		return string(out)
	}
	if line := initctl(0, "health"); line != "ready: generation 1 is serving\n" {
		t.Errorf("health says %q", line)
	}
	l := c.Load("-clients", "2", dockertest.Address)
	l.Answer("generation 1", dockertest.OfGeneration(1))
	initctl(0, "restart")
	l.Answer("generation 2", dockertest.OfGeneration(2))
	if status := initctl(0, "status"); !strings.Contains(status, "generation 2 is serving") {
		t.Errorf("status says\n%s", status)
	}
	if metrics := initctl(0, "metrics"); !strings.Contains(metrics, "\ninitd_generation 2\n") {
		t.Errorf("the metrics lack initd_generation 2:\n%s", metrics)
	}
	initctl(0, "env")
	initctl(1, "env", "--values") // it is not root
	initctl(64, "restrat")
	l.Flawless()

	page := c.Load("-clients", "1", "-max", "3", "127.0.0.1:9100")
	page.Answer("the page", dockertest.Any)
	page.Flawless()
	c.Stop()
}
