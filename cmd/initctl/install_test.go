package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// shelf is a directory with an initctl, which is this test, and perhaps an initd.
func shelf(t *testing.T, initd string) (initctl string) {
	t.Helper()
	dir := t.TempDir()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	initctl = filepath.Join(dir, "initctl")
	if err := os.WriteFile(initctl, self, 0o755); err != nil {
		t.Fatal(err)
	}
	if initd != "" {
		if err := os.WriteFile(filepath.Join(dir, "initd"), []byte(initd), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return initctl
}

// start starts a program as initctl.
func play(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "TEST_PLAYS_INITCTL=1")
	return cmd
}

func TestInstall(t *testing.T) {
	initctl, to := shelf(t, "an initd"), t.TempDir()
	defer unix.Umask(unix.Umask(0o077))
	for range 2 { // also where they are there already
		out, err := play(initctl, "install", to).CombinedOutput()
		if err != nil || string(out) != to+"/initd\n"+to+"/initctl\n" {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for name, source := range map[string]string{"initd": filepath.Join(filepath.Dir(initctl), "initd"), "initctl": initctl} {
		want, _ := os.ReadFile(source)
		is, err := os.ReadFile(filepath.Join(to, name))
		if err != nil || !bytes.Equal(is, want) {
			t.Errorf("%s is not what was to be installed: %v", name, err)
		}
		if info, err := os.Stat(filepath.Join(to, name)); err != nil || info.Mode() != 0o755 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if entries, _ := os.ReadDir(to); len(entries) != 2 {
		t.Errorf("there is more: %v", entries)
	}
}

// TestInstallOverARunningOne: a program that is executed cannot be written, but
// replaced, and goes on as it was.
func TestInstallOverARunningOne(t *testing.T) {
	initctl, to := shelf(t, "an initd"), t.TempDir()
	if out, err := play(initctl, "install", to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	installed := filepath.Join(to, "initctl")
	running := play(installed, "sleep", "1000h")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		running.Process.Signal(unix.SIGTERM)
		running.Wait()
	}()
	before, err := os.Stat(installed)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := os.OpenFile(installed, os.O_WRONLY, 0); !errors.Is(err, unix.ETXTBSY) {
		f.Close()
		t.Skipf("this file system lets what is executed be written: %v", err)
	}
	if out, err := play(initctl, "install", to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if after, err := os.Stat(installed); err != nil || os.SameFile(before, after) {
		t.Errorf("it was not replaced: %v", err)
	}
}

func TestInstallFails(t *testing.T) {
	lonely := shelf(t, "")
	complete := shelf(t, "an initd")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, initctl, dir, complaint string }{
		{"no initd", lonely, t.TempDir(), "there is no initd beside initctl: open " + filepath.Dir(lonely) + "/initd: no such file or directory (run the initctl of initd's own image, which has both)"},
		{"no directory", complete, "/nonexistent", "open /nonexistent: no such file or directory (make the directory, or mount a volume there)"},
		{"a file", complete, file, "not a directory (name a directory)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := play(test.initctl, "install", test.dir).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.HasPrefix(string(out), "initctl: install "+test.dir+"/initd: ") || !strings.HasSuffix(string(out), test.complaint+"\n") {
				t.Errorf("%v: %s\nwant %s", err, out, test.complaint)
			}
		})
	}
}

// TestInstallOnOtherFileSystems: those that are full, read-only or noexec.
func TestInstallOnOtherFileSystems(t *testing.T) {
	initctl := shelf(t, "an initd")
	for _, test := range []struct {
		name, options string
		flags         uintptr
		complaint     string
	}{
		{"full", "size=64k", 0, "no space left on device (make room"},
		{"read-only", "", unix.MS_RDONLY, "read-only file system (mount it so that it can be written)"},
		{"noexec", "", unix.MS_NOEXEC, " is mounted noexec: programs cannot be executed from there (mount it without noexec: docker run --tmpfs DIR:exec, or medium: Memory for an emptyDir on a node whose disk is mounted so)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("initctl-test", dir, "tmpfs", test.flags, test.options); err != nil {
				t.Skipf("mounting needs root: %v", err)
			}
			defer unix.Unmount(dir, 0)
			out, err := play(initctl, "install", dir).CombinedOutput()
			if err == nil || !strings.Contains(string(out), test.complaint) {
				t.Errorf("%v: %s\nwant %s", err, out, test.complaint)
			}
			if entries, _ := os.ReadDir(dir); test.name != "full" && len(entries) > 0 || len(entries) > 1 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
	t.Run("not allowed", func(t *testing.T) {
		err := withAdvice(&fs.PathError{Op: "open", Path: "/x", Err: unix.EACCES})
		if !strings.Contains(err.Error(), "open /x: permission denied (uid ") {
			t.Error(err)
		}
	})
}
