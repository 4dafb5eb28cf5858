package output

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func opened(t *testing.T, path string) (*File, chan error) {
	t.Helper()
	reported := make(chan error, 10)
	f, err := OpenFile(path, os.Getuid(), goroutine, func(err error) { reported <- err })
	if err != nil {
		t.Fatal(err)
	}
	return f, reported
}

func write(t testing.TB, p *Pipe, text string) {
	t.Helper()
	if _, err := syscall.Write(p.Write, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// comes waits until a file holds what is wanted.
func waitForText(t *testing.T, path, want string) {
	t.Helper()
	var text []byte
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if text, _ = os.ReadFile(path); string(text) == want {
			return
		}
	}
	t.Fatalf("%s has %q, and never %q", path, text, want)
}

func goroutine(f func()) { go f() }

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	os.WriteFile(path, []byte("before\n"), 0o600)
	f, _ := opened(t, path)
	write(t, f.Pipe, "one\n")
	waitForText(t, path, "before\none\n")
	os.Rename(path, path+".1")
	reopened := make(chan error, 1)
	f.Reopen(func(err error) { reopened <- err })
	write(t, f.Pipe, "two\n") // for the new one, though it may not be there yet
	if err := <-reopened; err != nil {
		t.Fatal(err)
	}
	waitForText(t, path, "two\n")
	waitForText(t, path+".1", "before\none\n")
	// What is in the pipe at the end is not lost, even if somebody could go on.
	other, _ := syscall.Dup(f.Write)
	defer syscall.Close(other)
	for i := range 1000 {
		write(t, f.Pipe, fmt.Sprintln(i))
	}
	f.Close(time.Minute)
	text, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(text), "two\n0\n1\n") || !strings.HasSuffix(string(text), "\n998\n999\n") || strings.Count(string(text), "\n") != 1001 {
		t.Errorf("the file has %q", text)
	}
}

func TestReopenFails(t *testing.T) {
	dir := t.TempDir() + "/dir"
	os.Mkdir(dir, 0o700)
	f, _ := opened(t, dir+"/log")
	os.Rename(dir, dir+".1")
	reopened := make(chan error, 1)
	f.Reopen(func(err error) { reopened <- err })
	if err := <-reopened; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	write(t, f.Pipe, "one\n")
	waitForText(t, dir+".1/log", "one\n")
	f.Close(time.Minute)
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	syscall.Mkfifo(dir+"/fifo", 0o600)
	for _, path := range []string{dir, dir + "/missing/log", dir + "/fifo"} { // nobody reads the FIFO
		if f, err := OpenFile(path, 0, goroutine, nil); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v", path, f, err)
		}
	}
}

// Who reads a FIFO may hang. That holds up neither the opening anew nor the end.
func TestHangs(t *testing.T) {
	path := t.TempDir() + "/fifo"
	syscall.Mkfifo(path, 0o600)
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	f, _ := opened(t, path)
	unix.SetNonblock(f.Write, true)
	for full := 0; full < 10; { // that nothing is taken any more
		if _, err := syscall.Write(f.Write, make([]byte, 1024)); err == nil {
			full = 0
			continue
		}
		full++
		runtime.Gosched()
	}
	ended := make(chan bool)
	go func() {
		defer close(ended)
		f.Reopen(func(error) {})
		f.Close(time.Millisecond)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("it hangs, too")
	}
}

// A full disk is reported once, costs what is written while it is full, and no more.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs a mount of its own: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	filler := dir + "/filler"
	f, reported := opened(t, dir+"/log")
	write(t, f.Pipe, "one\n")
	waitForText(t, dir+"/log", "one\n")
	if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	line := strings.Repeat("x", 8191) + "\n"
	for range 20 {
		write(t, f.Pipe, line) // more than the pipe holds, so most are taken out again
	}
	if err := <-reported; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("reported: %v", err)
	}
	os.Remove(filler)
	write(t, f.Pipe, "two\n") // what is in the pipe still may be written, too
	for len(reported) == 0 {
		write(t, f.Pipe, "two\n")
	}
	if err := <-reported; err != nil {
		t.Errorf("reported: %v", err)
	}
	f.Close(time.Minute)
	if len(reported) > 0 {
		t.Errorf("reported again: %v", <-reported)
	}
	text, _ := os.ReadFile(dir + "/log")
	if !strings.HasPrefix(string(text), "one\n") || !strings.Contains(string(text), " bytes are missing here because they could not be written\n") || !strings.HasSuffix(string(text), "two\n") {
		t.Errorf("the file has %.200q", text)
	}
}

// A reader that takes the other's place goes on where that has stopped.
func TestPipe(t *testing.T) {
	p, err := NewPipe(os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	write(t, p, "one\ntwo\n")
	buffer := make([]byte, 4)
	syscall.Read(p.Read, buffer)
	var rest strings.Builder
	p.Remaining(func(text []byte) { rest.Write(text) })
	if string(buffer) != "one\n" || rest.String() != "two\n" {
		t.Errorf("got %q and %q", buffer, rest.String())
	}
	// Somebody who goes on writing is not waited for.
	write(t, p, "three\n")
	p.Remaining(func([]byte) { write(t, p, "four\n") })
	syscall.Read(p.Read, buffer)
	p.Remaining(func([]byte) {})
	p.CloseWrite()
	p.CloseWrite() // once more is no other's descriptor
	if n, err := syscall.Read(p.Read, buffer); n != 0 || err != nil {
		t.Errorf("read %d, %v after the end", n, err)
	}
}

// A worker of another user may open its output by name to write, as /dev/stdout. It
// gets no way to read, which would take the lines of others, and cannot give itself one.
func TestPipeRights(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to run a process as another user")
	}
	p, err := NewPipe(12345)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p, "another's\n")
	worker := exec.Command("/bin/sh", "-c", `echo ours > /proc/self/fd/3 || echo "not writable"
		chmod 0600 /proc/self/fd/3 2> /dev/null && echo "changed"
		true 2> /dev/null < /proc/self/fd/3 && echo "readable"; true`)
	worker.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	out := os.NewFile(uintptr(p.Write), "pipe")
	defer out.Close()
	worker.ExtraFiles = []*os.File{out}
	if said, err := worker.CombinedOutput(); len(said) > 0 || err != nil {
		t.Errorf("%v, the worker says %q", err, said)
	}
	var text strings.Builder
	p.Remaining(func(some []byte) { text.Write(some) })
	if text.String() != "another's\nours\n" {
		t.Errorf("the pipe has %q", text.String())
	}
}

func TestPipeFlags(t *testing.T) {
	p, err := NewPipe(os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range []int{p.Read, p.Write} {
		if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d is not close-on-exec", fd)
		}
		if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); flags&unix.O_NONBLOCK != 0 {
			t.Errorf("descriptor %d is non-blocking", fd)
		}
	}
}

// A link that another user puts in the place of the file, where they can write, does not
// lead to a file elsewhere.
func TestPlantedLink(t *testing.T) {
	top := t.TempDir()
	os.Mkdir(top+"/theirs", 0o755)
	if err := os.Chown(top+"/theirs", 12345, -1); err != nil {
		t.Skipf("needs root, for a directory of another user: %v", err)
	}
	path := top + "/theirs/log"
	f, _ := opened(t, path)
	os.Rename(path, path+".1")
	os.Symlink(top+"/new", path)
	os.Lchown(path, 12345, -1)
	reopened := make(chan error)
	f.Reopen(func(err error) { reopened <- err })
	if err := <-reopened; err == nil || !strings.Contains(err.Error(), "a symbolic link of uid 12345") {
		t.Errorf("got %v", err)
	}
	write(t, f.Pipe, "one\n")
	waitForText(t, path+".1", "one\n")
	if _, err := os.Lstat(top + "/new"); err == nil {
		t.Error("it has led to a new file")
	}
	f.Close(time.Minute)
	if f, err := OpenFile(path, 0, goroutine, nil); err == nil {
		t.Error("the link is followed at the start")
		f.Close(time.Minute)
	}
}

// Where nobody else can have put it, a link leads anywhere: /dev/stderr is one.
func TestLinkToStream(t *testing.T) {
	read, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	path := t.TempDir() + "/log"
	os.Symlink(fmt.Sprintf("/proc/self/fd/%d", stderr.Fd()), path)
	f, _ := opened(t, path)
	stderr.Close()
	write(t, f.Pipe, "one\n")
	f.Close(time.Minute)
	if text, err := io.ReadAll(read); string(text) != "one\n" {
		t.Errorf("%q, %v", text, err)
	}
}
