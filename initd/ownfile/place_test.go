package ownfile

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// stranger is a user that is neither root nor the one of the test.
const stranger = 12345

// link makes a symbolic link that belongs to a user.
func link(t *testing.T, target, path string, uid int) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(path, uid, -1); err != nil {
		t.Skipf("needs root, for a link of another user: %v", err)
	}
}

// dirs makes directories that belong to a user, in a directory that others can
// write to, as /tmp.
func dirs(t *testing.T, owners map[string]int) string {
	t.Helper()
	top := t.TempDir()
	os.Chmod(top, 0o1777)
	for name, uid := range owners {
		if err := os.Mkdir(top+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(top+"/"+name, uid, -1); err != nil {
			t.Skipf("needs root, for a directory of another user: %v", err)
		}
	}
	return top
}

// processOf starts a process of a user, that ends with the test.
func processOf(t *testing.T, uid uint32) (pid int) {
	t.Helper()
	cmd := exec.Command("/bin/cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Dir = t.TempDir()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(cmd.Dir, 0o777)
	os.Chmod(filepath.Dir(cmd.Dir), 0o755)
	if err := cmd.Start(); err != nil {
		t.Skipf("needs root, for a process of another user: %v", err)
	}
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	return cmd.Process.Pid
}

// A link on the way leads only where the one who made it can write anyway.
func TestLinkOnTheWay(t *testing.T) {
	top := dirs(t, map[string]int{"root": 0, "theirs": stranger, "others": stranger + 1})
	os.Mkdir(top+"/theirs/log", 0o755) // of root
	link(t, "root", top+"/evil", stranger)
	link(t, "theirs", top+"/own", stranger)
	link(t, "root", top+"/roots", 0)
	link(t, "theirs", top+"/downward", 0)
	link(t, top+"/theirs", top+"/absolute", stranger)
	link(t, "evil", top+"/chain", 0)
	link(t, "own", top+"/two", stranger+1)
	link(t, "loop", top+"/loop", 0)
	link(t, fmt.Sprintf("/proc/%d", processOf(t, stranger)), top+"/proc", stranger)
	for name, fine := range map[string]bool{
		"root": true, "theirs": true, "roots": true, "downward": true, "own": true, "absolute": true, "theirs/..//theirs": true, "own/log": true, "own/.//log": true,
		"proc/root" + top + "/root": false, "proc/cwd": false, "evil": false, "chain": false, "two": false, "loop": false, "evil/../root": false,
	} {
		path := top + "/" + name + "/file"
		temporary, err := Create(path, 0o644)
		if fine != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			if err := temporary.Rename(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			id, _ := Held(temporary.FD)
			unix.Close(temporary.FD)
			if err := id.Remove(path); err != nil || id.At(path) {
				t.Errorf("%s: it cannot be removed: %v", name, err)
			}
		}
		if file, err := Append(path); fine != (err == nil) {
			t.Errorf("append to %s: %v", name, err)
		} else if err == nil {
			file.Close()
			if err := Remove(path); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for dir, want := range map[string]string{"root": "", "theirs": "log", "theirs/log": ""} {
			if got := names(t, top+"/"+dir); got != want {
				t.Errorf("%s leaves %s in %s", name, got, dir)
			}
		}
	}
}

// A directory that was swapped for a link has no file of the same name removed
// elsewhere.
func TestSwappedDirectory(t *testing.T) {
	top := dirs(t, map[string]int{"root": 0, "theirs": stranger})
	temporary := put(t, top+"/theirs/file", "ours")
	os.Link(top+"/theirs/file", top+"/root/file")
	id, _ := Held(temporary.FD)
	os.Rename(top+"/theirs", top+"/moved")
	link(t, "root", top+"/theirs", stranger)
	if err := id.Remove(top + "/theirs/file"); err == nil || names(t, top+"/root") != "file" {
		t.Errorf("%v, and there are: %q", err, names(t, top+"/root"))
	}
	if err := Remove(top + "/theirs/file"); err == nil || names(t, top+"/root") != "file" {
		t.Errorf("%v, and there are: %q", err, names(t, top+"/root"))
	}
	if err := Check(top+"/theirs/file", "file", nil); err == nil {
		t.Error("it may be replaced")
	}
}

// A directory that is swapped while a file is made leads nowhere else either.
func TestSwappedMeanwhile(t *testing.T) {
	top := dirs(t, map[string]int{"root": 0, "theirs": stranger})
	temporary := create(t, top+"/theirs/file")
	os.Rename(top+"/theirs", top+"/moved")
	link(t, "root", top+"/theirs", stranger)
	if err := temporary.Rename(); err != nil || names(t, top+"/root") != "" || names(t, top+"/moved") != "file" {
		t.Errorf("%v, and there are: %q and %q", err, names(t, top+"/root"), names(t, top+"/moved"))
	}
}

func TestAppend(t *testing.T) {
	top := dirs(t, map[string]int{"root": 0, "theirs": stranger})
	precious := top + "/root/precious"
	os.WriteFile(precious, []byte("precious\n"), 0o600)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	stream := fmt.Sprintf("/proc/self/fd/%d", write.Fd())
	link(t, precious, top+"/theirs/planted", stranger)
	link(t, top+"/root/new", top+"/theirs/dangling", stranger)
	link(t, stream, top+"/theirs/stream", stranger)
	link(t, "/proc/self/root"+top+"/root/new", top+"/theirs/proc", stranger)
	link(t, "own.log", top+"/theirs/own", stranger)
	link(t, stream, top+"/root/stdout", 0)
	link(t, "precious", top+"/root/link", 0)
	os.Link(precious, top+"/theirs/hard")
	os.Link(precious, top+"/root/hard")
	for name, fine := range map[string]bool{
		"theirs/planted": false, "theirs/dangling": false, "theirs/stream": false, "theirs/proc": false, "theirs/hard": false,
		"theirs/own": true, "theirs/log": true, "root/stdout": true, "root/link": true, "root/hard": true, "root": false,
	} {
		file, err := Append(top + "/" + name)
		if fine != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			if !strings.Contains(err.Error(), "open "+top+"/"+name+": ") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		fmt.Fprintln(file, "line")
		file.Close()
	}
	if got := content(t, precious); got != "precious\nline\nline\n" {
		t.Errorf("it has %q", got)
	}
	if got := names(t, top+"/root"); got != "hard link precious stdout" {
		t.Errorf("there are: %s", got)
	}
	if buffer := make([]byte, 16); true {
		if n, _ := read.Read(buffer); string(buffer[:n]) != "line\n" {
			t.Errorf("the stream has %q", buffer[:n])
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/file", []byte("text"), 0o600)
	os.Symlink("file", dir+"/link")
	os.Symlink("absent", dir+"/dangling")
	unix.Mkfifo(dir+"/fifo", 0o600)
	for name, fine := range map[string]bool{"file": true, "new": true, "link": false, "dangling": false, "fifo": false, ".": false} {
		file, err := Open(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
		if fine != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			file.Close()
		}
	}
	if got := names(t, dir); got != "dangling fifo file link new" {
		t.Errorf("there are: %s", got)
	}
	if _, err := Open(dir+"/absent", os.O_RDONLY, 0); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Open(dir+"/file/x", os.O_RDONLY, 0); !errors.Is(err, unix.ENOTDIR) {
		t.Error(err)
	}
	t.Chdir(dir)
	if _, err := Open("file", os.O_RDONLY, 0); err != nil {
		t.Error(err)
	}
}
