package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"server-starter/initd/settings"
)

// testTerminationLog: why a container has ended is where a kubelet looks for it, which is a file that it
// mounts from the host, also on a root file system that cannot be written.
func testTerminationLog(t *testing.T, images images) {
	for _, test := range []struct {
		name    string
		options []string
		command []string
		status  int
		says    string
	}{
		{"setting", environment("SERVER_STARTER_PROT=8080"), []string{"/hello"}, 64, "SERVER_STARTER_PORT"},
		{"command", nil, []string{"/nothing"}, 127, "/nothing"},
		{"crash", environment("SERVER_STARTER_MAX_FAILURES=1"), []string{"/faults"}, 3, "exit_status=3"},
		{"stop", environment("SERVER_STARTER_PORT=" + address), []string{"/hello"}, 0, ""},
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
			c := start(t, options, images.scratch, test.command...)
			if test.status == 0 {
				c.serving(1)
				c.stop()
			} else if status := c.wait(); status != test.status {
				t.Errorf("the exit status is %d, not %d", status, test.status)
			}
			got := read(t, path)
			if test.says == "" && got != "" || !strings.Contains(got, test.says) {
				t.Errorf("the termination log has %q, not %q", got, test.says)
			}
		})
	}
}

// manifests are the files that tell an engine how to run initd.
func manifests(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir("../../deploy", func(path string, entry os.DirEntry, err error) error {
		if name := entry.Name(); err == nil && (name == "Dockerfile" || filepath.Ext(name) == ".yaml") {
			texts[path] = read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

var variable = regexp.MustCompile(`\bSERVER_STARTER_(\w+)`)

// TestDeployNamesSettings: each setting that a manifest has is one.
func TestDeployNamesSettings(t *testing.T) {
	known := map[string]bool{}
	for _, s := range settings.Table() {
		known[s.Variable()] = true
	}
	for path, text := range manifests(t) {
		for _, name := range variable.FindAllString(text, -1) {
			if !known[name] {
				t.Errorf("%s: there is no setting %s", path, name)
			}
		}
	}
}

// TestDeployGrace: what runs initd waits for longer than that may take to stop.
func TestDeployGrace(t *testing.T) {
	for _, test := range []struct {
		path  []string
		grace string
	}{
		{[]string{"compose/Dockerfile", "compose/compose.yaml"}, `stop_grace_period: (\d+)s`},
		{[]string{"swarm/stack.yaml"}, `stop_grace_period: (\d+)s`},
		{[]string{"kubernetes/base/deployment.yaml"}, `terminationGracePeriodSeconds: (\d+)`},
	} {
		var text string
		for _, path := range test.path {
			text += read(t, filepath.Join("../../deploy", path))
		}
		number := func(pattern string) (n int) {
			if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
				n, _ = strconv.Atoi(found[1])
			}
			return n
		}
		grace, limit := number(test.grace), number(`SERVER_STARTER_STOP_TIMEOUT\W+(?:value\W+)?(\d+)`)
		delay := number(`SERVER_STARTER_STOP_DELAY\W+(?:value\W+)?(\d+)`)
		if limit == 0 || grace <= delay+limit {
			t.Errorf("%v: a grace of %d s is not more than stop-delay (%d s) and stop-timeout (%d s)", test.path, grace, delay, limit)
		}
	}
}

// TestDeployProbes: none asks the socket that initd holds whether the server is there.
func TestDeployProbes(t *testing.T) {
	for path, text := range manifests(t) {
		if strings.Contains(text, "tcpSocket:") {
			t.Errorf("%s has a tcpSocket probe, see docs/KUBERNETES.md", path)
		}
	}
}
