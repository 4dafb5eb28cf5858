package initd

import (
	"strings"
	"testing"
)

func TestLauncher(t *testing.T) {
	for line, want := range map[string]struct {
		name string
		runs bool
	}{
		"/bin/sh -c /initd_app;true":                {"sh", true},
		"sh -ec x":                                  {"sh", true},
		"/bin/bash -o pipefail -c x":                {"bash", true},
		"/bin/bash -lc x":                           {"bash", true},
		"-bash":                                     {"bash", false},
		"bash -l":                                   {"bash", false},
		"bash --login -i":                           {"bash", false},
		"bash -o vi":                                {"bash", false},
		"dash /entrypoint.sh":                       {"dash", true},
		"/bin/sh -x /entrypoint.sh -c":              {"sh", true},
		"/bin/busybox sh -c x":                      {"sh", true},
		"/bin/busybox ash":                          {"ash", false},
		"/bin/busybox init":                         {"init", true},
		"npm start":                                 {"npm", true},
		"/sbin/docker-init -- /initd":               {"docker-init", true},
		"/usr/lib/systemd/systemd --system":         {"systemd", true},
		"/usr/bin/python3 /usr/local/bin/launch.py": {"python3", true},
		"": {"", false},
	} {
		if name, runs := launcher(strings.Fields(line)); name != want.name || runs != want.runs {
			t.Errorf("%q is %q, %v, want %q, %v", line, name, runs, want.name, want.runs)
		}
	}
}
