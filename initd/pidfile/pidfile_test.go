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
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary plays the process that holds a pid file: fcntl(2) has no word
// for a lock of the asker's own. It does what it is told, a line each.
func TestMain(m *testing.M) {
	if how, ok := os.LookupEnv("LOCK"); ok {
		play(how)
		return
	}
	path, ok := os.LookupEnv("HOLD")
	if !ok {
		os.Exit(m.Run())
	}
	f, err := Lock(path, goroutine)
	fmt.Println(err)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var attempt, givenUp int
		if n, _ := fmt.Sscan(lines.Text(), &attempt, &givenUp); n == 2 {
			<-f.Publish(attempt, givenUp)
		} else if lines.Text() == "read" {
			os.ReadFile(path)
		} else {
			f.Remove()
		}
		fmt.Println("done")
	}
}

func goroutine(f func()) { go f() }

// holder is a process that holds, or has tried to hold, a pid file.
type holder struct {
	*testing.T
	*exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
	said  string // nil, or why it does not hold it
}

func hold(t *testing.T, path string) *holder {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "HOLD="+path)
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &holder{t, cmd, stdin, bufio.NewReader(stdout), ""}
	t.Cleanup(h.end)
	h.said = h.line()
	return h
}

func (h *holder) line() string {
	line, err := h.lines.ReadString('\n')
	if err != nil {
		h.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func (h *holder) tell(line string) {
	fmt.Fprintln(h.stdin, line)
	h.line()
}

func (h *holder) end() {
	h.stdin.Close()
	h.Wait()
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	h := hold(t, path)
	want := strconv.Itoa(h.Process.Pid) + "\n"
	if got := content(t, path); h.said != "<nil>" || got != want {
		t.Fatalf("%s; the file has %q, want %q", h.said, got, want)
	}
	second := hold(t, path)
	if !strings.Contains(second.said, fmt.Sprintf("process %d holds it", h.Process.Pid)) {
		t.Errorf("a second one: %s", second.said)
	}
	if got := content(t, path); got != want {
		t.Errorf("after that the file has %q, want %q", got, want)
	}
	h.Process.Kill()
	h.Wait()
	third := hold(t, path) // of a process that was killed it is stale
	if got := content(t, path); third.said != "<nil>" || got != strconv.Itoa(third.Process.Pid)+"\n" {
		t.Errorf("a stale one: %s, %q", third.said, got)
	}
	third.tell("remove")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("after its removal: %v", err)
	}
}

// A shorter pid leaves nothing of a longer one.
func TestStaleContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	os.WriteFile(path, []byte("123456789012\n"), 0o600)
	f, err := Lock(path, goroutine)
	if got := content(t, path); err != nil || got != strconv.Itoa(os.Getpid())+"\n" {
		t.Errorf("%v, the file has %q", err, got)
	}
	f.Remove()
}

func TestRemoveLeavesAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	f, err := Lock(path, goroutine)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	os.WriteFile(path, []byte("1\n"), 0o600)
	if err := f.Remove(); err != nil || content(t, path) != "1\n" {
		t.Errorf("%v, %q", err, content(t, path))
	}
}

func TestLockErrors(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, filepath.Join(dir, "missing", "pid")} {
		if f, err := Lock(path, goroutine); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v", path, f, err)
		}
	}
}

// A pid that cannot be written leaves no empty file.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs a mount of its own: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	os.WriteFile(dir+"/filler", make([]byte, 2<<20), 0o600)
	if f, err := Lock(dir+"/pid", goroutine); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("%v, %v", f, err)
	}
	if _, err := os.Stat(dir + "/pid"); !os.IsNotExist(err) {
		t.Errorf("after that: %v", err)
	}
}

func TestFind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	h := hold(t, path)
	found, err := Find(path)
	if err != nil || found.PID != h.Process.Pid || !found.Alive() {
		t.Fatalf("%+v, %v", found, err)
	}
	defer found.Close()
	for _, test := range []struct{ attempt, givenUp int }{{0, 0}, {1, 0}, {2, 0}, {3, 3}, {4, 3}, {9, 3}, {9, 9}, {10, 9}} {
		h.tell(fmt.Sprint(test.attempt, " ", test.givenUp))
		if attempt, givenUp, ok := found.Attempts(); !ok || attempt != test.attempt || givenUp != test.givenUp {
			t.Errorf("attempt %d, given up %d, %v; want %+v", attempt, givenUp, ok, test)
		}
	}
	h.tell("remove")
	if !found.Alive() {
		t.Error("it has gone with its file, before it has ended")
	}
	if err := found.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	h.Wait() // reaped
	if found.Alive() {
		t.Error("it lives on after its end")
	}
	if err := found.Signal(syscall.SIGTERM); err == nil {
		t.Error("a signal goes to a process that has gone")
	}
}

// A zombie has gone, whoever has yet to reap it.
func TestZombieIsNotAlive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	h := hold(t, path)
	found, err := Find(path)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	h.Process.Kill()
	// Before it is a zombie it is already nobody that an ordinary user may look into.
	if err := unix.Waitid(unix.P_PID, h.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if found.Alive() {
		t.Error("it lives on after its end")
	}
	if _, err := Find(path); err == nil || !strings.Contains(err.Error(), "stale") {
		t.Errorf("found again: %v", err)
	}
}

// start_server has no record lock: who has its pid file open is taken for it.
func TestFindOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cat")
	stdin, _ := cmd.StdinPipe()
	cmd.ExtraFiles = []*os.File{file}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(file, cmd.Process.Pid)
	file.Close()
	found, err := Find(path)
	if err != nil || found.PID != cmd.Process.Pid || !found.Alive() {
		t.Fatalf("%+v, %v", found, err)
	}
	defer found.Close()
	if _, _, ok := found.Attempts(); ok {
		t.Error("it says how far its attempts have come")
	}
	stdin.Close()
	cmd.Wait()
	if found.Alive() {
		t.Error("it lives on after its end")
	}
}

func TestFindErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "is empty"},
		{"\n", "is empty"},
		{"x\n", `"x" is not a pid`},
		{"-1\n", `"-1" is not a pid`},
		{"0\n", `"0" is not a pid`},
		{strconv.Itoa(os.Getpid()) + "\n", "stale"}, // lives, and does not hold it
		{"4194305\n", "stale"},                      // above any pid
	} {
		path := filepath.Join(t.TempDir(), "pid")
		os.WriteFile(path, []byte(test.text), 0o600)
		if _, err := Find(path); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, want %q", test.text, err, test.want)
		}
		if got := content(t, path); got != test.text {
			t.Errorf("%q has become %q", test.text, got)
		}
	}
	if _, err := Find(filepath.Join(t.TempDir(), "pid")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("none: %v", err)
	}
}

// A link in the file's place leads nobody to another file.
func TestLink(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/precious", []byte("1\n"), 0o600)
	os.Symlink("precious", dir+"/link")
	os.Symlink("new", dir+"/dangling")
	for _, name := range []string{"link", "dangling"} {
		if _, err := Lock(dir+"/"+name, goroutine); err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := content(t, dir+"/precious"); got != "1\n" {
		t.Errorf("it has led to a file that has %q now", got)
	}
	if _, err := os.Stat(dir + "/new"); err == nil {
		t.Error("it has led to a new file")
	}
	h := hold(t, dir+"/pid")
	os.Symlink("pid", dir+"/other")
	if _, err := Find(dir + "/other"); err == nil || h.said != "<nil>" {
		t.Errorf("it was found by a link: %v, %s", err, h.said)
	}
}
