package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	argv := append([]string{"-c", script, "sh", initdBinary(t)}, flags([]string{"sleep", "1000"}, "interval=0.1", "ready=alive", "port=[2001:db8::1]:8080")...)
	d := run{mode: subreaper, program: "/bin/sh", args: argv, lonely: true}.start(t)
	if got := d.address("2001:db8::1"); got != "[2001:db8::1]:8080" {
		t.Errorf("it listens at %s", got)
	}
	d.is("serving", 1)
	d.stop()
}

// TestGoVariables: variables that tune the Go runtime reach the worker as they were set, and initd does not obey them.
func TestGoVariables(t *testing.T) {
	t.Parallel()
	tuning := []string{"GOGC=off", "GODEBUG=gctrace=1", "GOMAXPROCS=7", "GOMEMLIMIT=1GiB", "GOTRACEBACK=crash"}
	inBothModes(t, func(t *testing.T, as mode) {
		for _, respawn := range []string{"never", "on-failure"} {
			t.Run(respawn, func(t *testing.T) {
				t.Parallel()
				writer, text := textPipe(t)
				d := run{mode: as, environ: slices.Concat([]string{"A=1"}, tuning, []string{"Z=1"}), stdout: writer,
					args: flags([]string{"/bin/sh", "-c", `tr '\0' '\n' </proc/$$/environ; cat /proc/$PPID/comm; tr '\0' '\n' </proc/$PPID/environ`}, "respawn="+respawn)}.start(t)
				d.exits(0)
				worker, own, _ := strings.Cut(text(), "\ninitd\n")
				if want := strings.Join(slices.Concat([]string{"A=1"}, tuning, []string{"Z=1"}), "\n"); !strings.Contains(worker, want) {
					t.Errorf("the worker has\n%s\nand not\n%s", worker, want)
				}
				for _, variable := range tuning {
					if slices.Contains(strings.Split(own, "\n"), variable) {
						t.Errorf("initd itself is started with %s", variable)
					}
				}
			})
		}
	})
}

// TestGoVariablesOfEnvdir: those in an envdir reach the worker as well, even a value that no Go program starts with.
func TestGoVariablesOfEnvdir(t *testing.T) {
	t.Parallel()
	envdir := t.TempDir()
	for name, text := range map[string]string{"GOMEMLIMIT": "half", "GODEBUG": "inittrace=1"} {
		if err := os.WriteFile(filepath.Join(envdir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d := run{mode: subreaper, args: flags([]string{"/bin/sh", "-c", "echo $GOMEMLIMIT $GODEBUG >&2"}, "respawn=on-failure", "log-level=error", "envdir="+envdir)}.start(t)
	d.exits(0)
	if got := d.output(); got != "half inittrace=1\n" && got != "half inittrace=1" {
		t.Errorf("stderr has\n%s", got)
	}
}

// TestDuplicateVariables: if a variable is assigned several times, the last value counts, for workers and for initd, as
// in a shell; getenv(3) would find the first.
func TestDuplicateVariables(t *testing.T) {
	t.Parallel()
	for _, respawn := range []string{"never", "on-failure"} {
		t.Run(respawn, func(t *testing.T) {
			t.Parallel()
			envdir := t.TempDir()
			if err := os.WriteFile(filepath.Join(envdir, "FROM_ENVDIR"), []byte("1"), 0o644); err != nil {
				t.Fatal(err)
			}
			writer, text := textPipe(t)
			run{mode: subreaper, environ: []string{"A=1", "SERVER_STARTER_ENVDIR=/no/such", "B=1", "GOGC=1"},
				given:  []string{"again=A=2", "again=SERVER_STARTER_ENVDIR=" + envdir, "again=GOGC=2", "again=A=3"},
				stdout: writer, args: flags([]string{"/usr/bin/env"}, "respawn="+respawn)}.start(t).exits(0)
			got := strings.Split(text(), "\n")
			for _, want := range []string{"A=3", "B=1", "GOGC=2", "FROM_ENVDIR=1"} {
				name, _, _ := strings.Cut(want, "=")
				of := slices.DeleteFunc(slices.Clone(got), func(kv string) bool { return !strings.HasPrefix(kv, name+"=") })
				if !slices.Equal(of, []string{want}) {
					t.Errorf("the worker has %q, not %s alone", of, want)
				}
			}
		})
	}
}

// TestVariablesOfTheCommand: a plain init leaves the variables that start_server reads without a prefix to its command,
// also those in an envdir.
func TestVariablesOfTheCommand(t *testing.T) {
	t.Parallel()
	envdir := t.TempDir()
	if err := os.WriteFile(filepath.Join(envdir, "AUTO_RESTART_INTERVAL"), []byte("never"), 0o644); err != nil {
		t.Fatal(err)
	}
	writer, text := textPipe(t)
	run{mode: subreaper, environ: []string{"ENVDIR=/no/such", "KILL_OLD_DELAY=soon", "ENABLE_AUTO_RESTART=maybe"}, stdout: writer,
		args: flags([]string{"/bin/sh", "-c", "echo $ENVDIR $KILL_OLD_DELAY $ENABLE_AUTO_RESTART $AUTO_RESTART_INTERVAL"}, "respawn=never", "envdir="+envdir)}.start(t).exits(0)
	if got, want := text(), "/no/such soon maybe never\n"; got != want {
		t.Errorf("the command has %q, not %q", got, want)
	}
}
