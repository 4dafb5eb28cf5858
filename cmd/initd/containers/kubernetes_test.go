package containers_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

// TestTerminationLog: why a container has ended is where a kubelet looks for it, which is a file that it
// mounts from the host, also on a root file system that cannot be written.
func TestTerminationLog(t *testing.T) {
	t.Parallel()
	images := images(t)
	for _, test := range []struct {
		name    string
		options []string
		command []string
		status  int
		says    string
	}{
		{"setting", dockertest.Environment("SERVER_STARTER_PROT=8080"), []string{"/hello"}, 64, "SERVER_STARTER_PORT"},
		{"command", nil, []string{"/nothing"}, 127, "/nothing"},
		{"crash", dockertest.Environment("SERVER_STARTER_MAX_FAILURES=1"), []string{"/faults"}, 3, "exit status 3"},
		{"stop", dockertest.Environment("SERVER_STARTER_PORT=" + dockertest.Address), []string{"/hello"}, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "termination-log")
			if err := os.WriteFile(path, nil, 0o666); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, 0o666); err != nil { // whatever the umask, as a kubelet does
				t.Fatal(err)
			}
			options := append(test.options, "--read-only", "--user", "65532", "--volume", path+":/dev/termination-log")
			c := dockertest.Start(t, options, images.Tag, test.command...)
			if test.status == 0 {
				c.Serving(1)
				c.Stop()
			} else if status := c.Wait(); status != test.status {
				t.Errorf("the exit status is %d, not %d", status, test.status)
			}
			got := initdtest.Read(t, path)
			if test.says == "" && got != "" || !strings.Contains(got, test.says) {
				t.Errorf("the termination log has %q, not %q", got, test.says)
			}
		})
	}
}
