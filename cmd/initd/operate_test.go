package main_test

import (
	"os/exec"
	"strings"
	"testing"
)

// testOperate sees and steers an initd in a container that has no shell, no /run, a root file system that cannot
// be written and no privileges; and has initd and initctl come from a volume that initctl has filled, as an init
// container does.
func testOperate(t *testing.T, images images) {
	volume := unique()
	docker(t, "volume", "create", volume)
	t.Cleanup(func() { docker(t, "volume", "rm", volume) })
	docker(t, "run", "--rm", "--network", "none", "--volume", volume+":/opt/initd", "--entrypoint", "/initctl", images.scratch, "install", "/opt/initd")

	options := append(environment("SERVER_STARTER_PORT="+address, "SERVER_STARTER_HTTP=127.0.0.1:9100", quick),
		"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65532",
		"--volume", volume+":/opt/initd:ro", "--entrypoint", "/opt/initd/initd")
	c := start(t, options, images.scratch, "/hello")
	c.serving(1)
	initctl := func(want int, args ...string) string {
		t.Helper()
		cmd := exec.Command("docker", append([]string{"exec", c.name, "/opt/initd/initctl"}, args...)...)
		out, err := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != want {
			t.Errorf("initctl %q: %v, want status %d\n%s", args, err, want, out)
		}
		return string(out)
	}
	if line := initctl(0, "health"); line != "ready: generation 1 serves\n" {
		t.Errorf("health says %q", line)
	}
	l := startLoad(c, images, "-clients", "2", address)
	l.answer("generation 1", ofGeneration(1))
	initctl(0, "restart")
	l.answer("generation 2", ofGeneration(2))
	if status := initctl(0, "status"); !strings.Contains(status, "generation 2 serves") {
		t.Errorf("status says\n%s", status)
	}
	if metrics := initctl(0, "metrics"); !strings.Contains(metrics, "\ninitd_generation 2\n") {
		t.Errorf("the metrics lack initd_generation 2:\n%s", metrics)
	}
	initctl(0, "env")
	initctl(1, "env", "--values") // it is not root
	initctl(64, "restrat")
	l.flawless()

	startLoad(c, images, "-clients", "1", "-max", "3", "127.0.0.1:9100").flawless() // the page
	c.stop()
}
