package initd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOOMKills: the count of initd's own cgroup is found where containers have it, and each
// kill counts for one worker.
func TestOOMKills(t *testing.T) {
	const events = "low 0\nhigh 0\nmax 31\noom 4\noom_kill N\noom_group_kill 0\n"
	const control = "oom_kill_disable 0\nunder_oom 0\noom_kill N\n"
	for name, test := range map[string]struct{ membership, path, text string }{
		"v2":                   {"0::/\n", "memory.events", events},
		"v2 of the host":       {"0::/system.slice/a.service\n", "system.slice/a.service/memory.events", events},
		"v2 without namespace": {"0::/docker/abc\n", "memory.events", events},
		"v1":                   {"12:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n", "memory/memory.oom_control", control},
		"v1 of the host":       {"4:memory:/a\n", "memory/a/memory.oom_control", control},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			file := filepath.Join(root, test.path)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			count := func(n string) {
				t.Helper()
				if err := os.WriteFile(file, []byte(strings.Replace(test.text, "N", n, 1)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			count("7")
			if k := openOOMKills(root, []byte(test.membership), isCgroup); k.fd >= 0 {
				t.Error("a file that is not the kernel's counts")
			}
			k := openOOMKills(root, []byte(test.membership), func(int) bool { return true })
			now := time.Now()
			claim := func(after time.Duration, want bool) {
				t.Helper()
				if now = now.Add(after); k.claim(now) != want {
					t.Errorf("claim() = %v, want %v", !want, want)
				}
			}
			claim(0, false) // what was before initd
			count("8")
			claim(time.Minute, true)
			claim(0, false) // one kill is one worker's end
			count("11")     // with memory.oom.group all are killed together
			claim(time.Minute, true)
			claim(sameKill/2, true)
			claim(time.Minute, false) // the third was no worker, and this one was killed by somebody
			os.Truncate(file, 0)
			claim(0, false)
		})
	}
	for _, membership := range []string{"", "0::/\n", "3:memory:/\n", "nonsense\n"} {
		if k := openOOMKills(t.TempDir(), []byte(membership), func(int) bool { return true }); k.claim(time.Now()) {
			t.Errorf("%q: a kill without a count", membership)
		}
	}
	if k := (*oomKills)(nil); k.claim(time.Now()) {
		t.Error("a kill, and nobody looks")
	}
}
