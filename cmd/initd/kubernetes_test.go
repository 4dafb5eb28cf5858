package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/settings"
)

// manifests are the files that tell an engine how to run initd.
func manifests(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir("../../deploy", func(path string, entry os.DirEntry, err error) error {
		if name := entry.Name(); err == nil && (name == "Dockerfile" || filepath.Ext(name) == ".yaml") {
			texts[path] = initdtest.Read(t, path)
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
	t.Parallel()
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
	t.Parallel()
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
			text += initdtest.Read(t, filepath.Join("../../deploy", path))
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

// TestDeployLiveness: a Pod whose PID 1 hangs is killed soon, for TERM does nothing then, and not before it has started.
func TestDeployLiveness(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"../../deploy/kubernetes/base/deployment.yaml", "../../README.md"} {
		text := initdtest.Read(t, path)
		probe := regexp.MustCompile(`(?m)^ +livenessProbe:\n(?: +(?:exec|[a-zA-Z]+Seconds|failureThreshold|#).*\n)+`).FindString(text)
		value := func(name string, otherwise int) int {
			if found := regexp.MustCompile(name + `: (\d+)`).FindStringSubmatch(probe); found != nil {
				otherwise, _ = strconv.Atoi(found[1])
			}
			return otherwise
		}
		grace := value("terminationGracePeriodSeconds", 40)
		if within := value("periodSeconds", 10)*value("failureThreshold", 3) + value("timeoutSeconds", 1) + grace; probe == "" || within > 45 {
			t.Errorf("%s: a PID 1 that hangs is killed after %d s:\n%s", path, within, probe)
		}
		if !strings.Contains(text, "startupProbe:") {
			t.Errorf("%s: there is no startupProbe", path)
		}
	}
}

// TestDeployProbes: none asks the socket that initd holds whether the server is there.
func TestDeployProbes(t *testing.T) {
	t.Parallel()
	for path, text := range manifests(t) {
		if strings.Contains(text, "tcpSocket:") {
			t.Errorf("%s has a tcpSocket probe, see docs/KUBERNETES.md", path)
		}
	}
}
