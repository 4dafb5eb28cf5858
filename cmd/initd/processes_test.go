package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestFewProcesses: under a limit of processes that is too low, initd and initctl exit with an error that says how many
// they need, and not with a stack trace of the Go runtime.
func TestFewProcesses(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, for another user and a control group")
	}
	initd := initdBinary(t)
	t.Run("User", func(t *testing.T) {
		t.Parallel()
		script := fmt.Sprintf("ulimit -p 9; exec %s --port=127.0.0.1:0 -- sleep 1000", initd)
		d := run{mode: subreaper, as: 200000 + os.Getpid()%100000, program: "/bin/sh", args: []string{"-c", script}}.start(t)
		d.exits(125)
		explains(t, d.output(), "RLIMIT_NPROC (9) leaves only ", "ulimit -u ")
	})
	t.Run("Initctl", func(t *testing.T) {
		t.Parallel()
		script := fmt.Sprintf("echo $$ >%s/cgroup.procs; exec %s version", pidsGroup(t, 5), initctlBinary(t))
		d := run{mode: subreaper, program: "/bin/sh", args: []string{"-c", script}}.start(t)
		d.exits(1)
		explains(t, d.output(), "initctl: ", "pids.max of the control group (5) leaves only ")
	})
	for limit := 6; limit <= 15; limit += 3 {
		t.Run(fmt.Sprint("ControlGroup/", limit), func(t *testing.T) {
			t.Parallel()
			group := pidsGroup(t, limit)
			control := filepath.Join(t.TempDir(), "control")
			script := fmt.Sprintf("echo $$ >%s/cgroup.procs; exec %s --port=127.0.0.1:0 --control-socket=%s -- sleep 1000", group, initd, control)
			d := run{mode: subreaper, program: "/bin/sh", args: []string{"-c", script}}.start(t)
			d.exits(125)
			explains(t, d.output(), fmt.Sprintf("pids.max of the control group (%d) leaves only ", limit), "docker run --pids-limit=")
		})
	}
}

// explains fails the test unless a text has all that, and none of what the Go runtime says.
func explains(t *testing.T, text string, all ...string) {
	t.Helper()
	for _, want := range append(all, "more processes or threads are needed") {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if strings.Contains(text, "goroutine") {
		t.Error("the Go runtime ends it")
	}
}

// pidsGroup makes a control group with a limit of processes.
func pidsGroup(t *testing.T, limit int) (dir string) {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		dir = filepath.Join(root, initdtest.Unique())
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		if os.WriteFile(filepath.Join(dir, "pids.max"), []byte(strconv.Itoa(limit)), 0o644) == nil {
			t.Cleanup(func() {
				eventually(t, "the control group is removed", func() bool {
					err := syscall.Rmdir(dir)
					return err == nil || errors.Is(err, syscall.ENOENT)
				})
			})
			return dir
		}
		os.Remove(dir)
	}
	t.Skip("needs control groups that can be made and limit processes (pids)")
	return ""
}
