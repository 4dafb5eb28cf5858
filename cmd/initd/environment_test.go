package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestEnvdirIgnored: a file of the envdir that is no variable is named in the log.
func TestEnvdirIgnored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a.b", "a-b", "A"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := newStage(t)
	d := run{mode: subreaper, args: flags(s.puppet(), "ready=notify", "envdir="+dir)}.start(t)
	p := s.generation(1)
	d.event("what is ignored is named", func(e initdtest.Entry) bool {
		return e.Event == "note" && strings.Contains(e.Message, `"a-b" "a.b"`)
	})
	if value, _ := p.Value("A"); value != "1" {
		t.Errorf("A is %q", value)
	}
	p.ready()
	d.is("serving", 1)
	d.stop()
}

// TestTentativeAddress: initd can be started while an IPv6 address is tentative.
func TestTentativeAddress(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root: a network namespace")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip (Debian: iproute2): ", err)
	}
	// A minute of duplicate address detection, which takes a second to a transmission.
	script := `set -e
ip link set lo up
ip link add v0 type veth peer name v1
echo 60 >/proc/sys/net/ipv6/conf/v0/dad_transmits
ip link set v0 up
ip link set v1 up
ip -6 addr add 2001:db8::1/64 dev v0
ip -6 addr show dev v0 tentative | grep 2001:db8::1 >&2
exec "$@"`
	argv := append([]string{"-c", script, "sh", initdBinary(t)}, flags([]string{"sleep", "1000"}, "interval=0.1", "port=[2001:db8::1]:8080")...)
	d := run{mode: subreaper, program: "/bin/sh", args: argv, lonely: true}.start(t)
	if got := d.address("2001:db8::1"); got != "[2001:db8::1]:8080" {
		t.Errorf("it listens at %s", got)
	}
	d.is("serving", 1)
	d.stop()
}
