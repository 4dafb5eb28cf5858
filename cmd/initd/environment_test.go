package main_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestGoVariables: what tunes a Go program's runtime reaches the worker as it was set, and neither initd
// nor what comes between them obeys it.
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

// TestGoVariablesOfEnvdir: so do those of an envdir, also one that a Go program does not start with.
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

// TestDuplicateVariables: of several assignments of a name the last counts, for workers and for initd, as it does for a
// shell; getenv(3) would find the first.
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
