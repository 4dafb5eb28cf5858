package pidfile

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// stranger is a user that has nothing to do with a pid file.
const stranger = 12345

// play is a stranger's process: it takes a lock on the file that is its descriptor 3.
func play(how string) {
	var err error
	switch how {
	case "flock":
		err = unix.Flock(3, unix.LOCK_EX|unix.LOCK_NB)
	case "record":
		err = unix.FcntlFlock(3, unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK})
	case "number":
		err = unix.FcntlFlock(3, unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK, Len: 1})
	}
	fmt.Println(err)
	io.Copy(io.Discard, os.Stdin)
}

// lockAs has a process of a stranger open a file for reading, and lock it, until the
// test ends.
func lockAs(t *testing.T, path, how string) (pid int) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"LOCK=" + how}
	cmd.ExtraFiles = []*os.File{file}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Skipf("needs root, for a process of another user: %v", err)
	}
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	if said, err := bufio.NewReader(stdout).ReadString('\n'); said != "<nil>\n" {
		t.Fatalf("%s: %q, %v", how, said, err)
	}
	return cmd.Process.Pid
}

func TestStrangersLock(t *testing.T) {
	for _, how := range []string{"flock", "record"} {
		path := filepath.Join(t.TempDir(), "pid")
		os.WriteFile(path, []byte("4194305\n"), 0o644)
		lockAs(t, path, how)
		h := hold(t, path)
		if got := content(t, path); h.said != "<nil>" || got != fmt.Sprintln(h.Process.Pid) {
			t.Errorf("%s: %s, the file has %q", how, h.said, got)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != 0o644 {
			t.Errorf("%s: mode %v, %v", how, info.Mode(), err)
		}
		if second := hold(t, path); !strings.Contains(second.said, fmt.Sprintf("process %d holds it", h.Process.Pid)) {
			t.Errorf("%s: a second one: %s", how, second.said)
		}
		found, err := Find(path)
		if err != nil || found.PID != h.Process.Pid {
			t.Errorf("%s: found %+v, %v", how, found, err)
		}
		h.tell("remove")
		if left, err := os.ReadDir(filepath.Dir(path)); len(left) > 0 {
			t.Errorf("%s: left %v, %v", how, left, err)
		}
	}
}

// However many start at a time, one of them gets it.
func TestStrangersLockContended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	os.WriteFile(path, []byte("4194305\n"), 0o644)
	lockAs(t, path, "flock")
	lockAs(t, path, "record")
	var all sync.WaitGroup
	var mu sync.Mutex
	var holders []*holder
	for range 8 {
		all.Go(func() {
			if h := hold(t, path); h.said == "<nil>" {
				mu.Lock()
				defer mu.Unlock()
				holders = append(holders, h)
			}
		})
	}
	all.Wait()
	if len(holders) != 1 || content(t, path) != fmt.Sprintln(holders[0].Process.Pid) {
		t.Errorf("%d hold it, which has %q", len(holders), content(t, path))
	}
}

// Only a process that has written to the file can be what it names.
func TestStrangerIsNotFound(t *testing.T) {
	for _, how := range []string{"", "flock", "record"} {
		path := filepath.Join(t.TempDir(), "pid")
		os.WriteFile(path, nil, 0o644)
		pid := lockAs(t, path, how)
		os.WriteFile(path, []byte(strconv.Itoa(pid)), 0o644) // that of an initd, once
		if found, err := Find(path); err == nil || !strings.Contains(err.Error(), "stale") {
			t.Errorf("%q: found %+v, %v", how, found, err)
		}
	}
}

// A file that somebody else may write to, or have elsewhere, is replaced.
func TestStrangersFile(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for a file of another user")
	}
	for name, make := range map[string]func(path string) error{
		"owner": func(path string) error { return os.Chown(path, stranger, stranger) },
		"mode":  func(path string) error { return os.Chmod(path, 0o666) },
		"names": func(path string) error { return os.Link(path, path+".other") },
	} {
		path := filepath.Join(t.TempDir(), "pid")
		os.WriteFile(path, []byte("4194305\n"), 0o644)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		old, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		h := hold(t, path)
		info, err := os.Lstat(path)
		if h.said != "<nil>" || err != nil || info.Mode() != 0o644 || info.Sys().(*syscall.Stat_t).Uid != 0 || content(t, path) != fmt.Sprintln(h.Process.Pid) {
			t.Errorf("%s: %s, %v, %v", name, h.said, info, err)
		}
		if text, err := io.ReadAll(old); string(text) != "4194305\n" {
			t.Errorf("%s: the old one has %q, %v", name, text, err)
		}
	}
}

// What can be locked of the file while initd holds it says nothing.
func TestNumbersOfLockedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	h := hold(t, path)
	h.tell("1 0")
	lockAs(t, path, "number")
	found, err := Find(path)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	h.tell("9 2")
	if attempt, unrepeated, ok := found.Attempts(); !ok || attempt != 9 || unrepeated != 2 {
		t.Errorf("attempt %d, given up %d, %v", attempt, unrepeated, ok)
	}
}

// Locks of a process end when it closes the file anywhere, fcntl(2), as it does when
// it watches the directory.
func TestReadElsewhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	h := hold(t, path)
	h.tell("3 1")
	h.tell("read")
	found, err := Find(path)
	if err != nil || found.PID != h.Process.Pid {
		t.Fatalf("found %+v, %v", found, err)
	}
	defer found.Close()
	if attempt, unrepeated, ok := found.Attempts(); !ok || attempt != 3 || unrepeated != 1 || !found.Alive() {
		t.Errorf("attempt %d, given up %d, %v", attempt, unrepeated, ok)
	}
	if second := hold(t, path); !strings.Contains(second.said, fmt.Sprintf("process %d holds it", h.Process.Pid)) {
		t.Errorf("a second one: %s", second.said)
	}
	h.end()
	if found.Alive() {
		t.Error("it lives on after its end")
	}
}

func TestPrecious(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"root:x:0:0:root:/root:/bin/bash\n", "1 2\n", "12345678901234567890123456789012\n", "x"} {
		os.WriteFile(path, []byte(text), 0o600)
		if f, err := Lock(path, goroutine); err == nil || !strings.Contains(err.Error(), "not a pid file") {
			t.Errorf("%q: %v, %v", text, f, err)
		}
		if got := content(t, path); got != text {
			t.Errorf("%q has become %q", text, got)
		}
	}
}
