package envdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// write makes the files, and the directories they need, in a new directory.
func write(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRead(t *testing.T) {
	fits := strings.Repeat("x", maxVariable-len("LONG=")-1)
	tests := []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"nothing", nil, nil},
		{"first line", map[string]string{"A": "1\n2\n", "B": "no newline"}, []string{"A=1", "B=no newline"}},
		{"sorted by name", map[string]string{"B": "b", "A1": "a1", "A": "a", "_": "u", "a": "l"}, []string{"A=a", "A1=a1", "B=b", "_=u", "a=l"}},
		{"empty file", map[string]string{"EMPTY": "", "A": "1"}, []string{"A=1"}},
		{"empty first line", map[string]string{"A": "\n", "B": "\nsecond"}, []string{"A=", "B="}},
		{"byte for byte", map[string]string{"A": " b \t\r\nx", "B": "c=d\xff ü"}, []string{"A= b \t\r", "B=c=d\xff ü"}},
		{"NUL after the first line", map[string]string{"A": "1\n\x00"}, []string{"A=1"}},
		{"dot files", map[string]string{".A": "1", "..A": "1", ".gitignore": "*", "A": "2"}, []string{"A=2"}},
		{"no names of variables", map[string]string{"A.B": "1", "A-B": "1", "1A": "1", "A~": "1", "Ä": "1", "A B": "1", "A=B": "1", "A1_b": "2"}, []string{"A1_b=2"}},
		{"directories", map[string]string{"DIR/A": "1", "A": "2"}, []string{"A=2"}},
		{"longest value", map[string]string{"LONG": fits}, []string{"LONG=" + fits}},
		{"long rest", map[string]string{"A": "1\n" + fits + fits}, []string{"A=1"}},
		{"..data is no directory", map[string]string{"..data": "x", "A": "1"}, []string{"A=1"}},
		{"..data alone counts", map[string]string{"..data/A": "1", "B": "2"}, []string{"A=1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := Read(write(t, test.files))
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %.200q, %v, want %.200q", got, err, test.want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	long := strings.Repeat("x", maxVariable-len("A=")) // leaves no room for the NUL
	many := map[string]string{}
	for i := range maxTotal/maxVariable + 1 {
		many[fmt.Sprintf("A%02d", i)] = strings.Repeat("x", maxVariable-len("A00=")-1)
	}
	link := func(target string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Symlink(target, dir+"/A"); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name    string
		files   map[string]string
		prepare func(t *testing.T, dir string)
		want    string // DIR stands for the directory
	}{
		{"NUL", map[string]string{"A": "secret\x00b"}, nil, "envdir: read DIR/A: the first line has a NUL byte, which a variable cannot contain"},
		{"long value", map[string]string{"A": long}, nil, "envdir: read DIR/A: the first line is too long: name and value together may have at most 131071 bytes"},
		{"much longer value", map[string]string{"A": long + long + "\n"}, nil, "envdir: read DIR/A: the first line is too long: name and value together may have at most 131071 bytes"},
		{"too much in all", many, nil, "envdir: read DIR: more than 6291456 bytes in total"},
		{"dangling link", nil, link("missing"), "envdir: open DIR/A: no such file or directory"},
		{"circular link", nil, link("A"), "envdir: open DIR/A: too many levels of symbolic links"},
		{"dangling ..data", nil, func(t *testing.T, dir string) { os.Symlink("missing", dir+"/..data") }, "envdir: open DIR/..data: no such file or directory"},
		{"missing", nil, func(t *testing.T, dir string) { os.Remove(dir) }, "envdir: open DIR: no such file or directory"},
		{"not a directory", nil, func(t *testing.T, dir string) { os.Remove(dir); os.WriteFile(dir, nil, 0o644) }, "envdir: open DIR: not a directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := write(t, test.files)
			if test.prepare != nil {
				test.prepare(t, dir)
			}
			got, _, err := Read(dir)
			if want := strings.ReplaceAll(test.want, "DIR", dir); got != nil || err == nil || err.Error() != want {
				t.Errorf("got %d variables, %v\nwant %s", len(got), err, want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Error("the error shows a value")
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	tests := []struct{ name, closed, want string }{
		{"file", "A", "envdir: open DIR/A: permission denied"},
		{"dot file", ".A", ""},
		{"no name of a variable", "A.bak", ""},
		{"directory in it", "D", ""},
		{"directory", ".", "envdir: open DIR: permission denied"},
		{"..data", "K/..data", "envdir: open DIR/..data: permission denied"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := write(t, map[string]string{"A": "1", "B": "2", ".A": "1", "A.bak": "1", "D/A": "1", "K/..data/A": "1"})
			dir, closed := root, filepath.Join(root, test.closed)
			if strings.HasPrefix(test.closed, "K/") {
				dir = root + "/K"
			}
			// t.TempDir's own parent is closed to all but its owner.
			if err := os.Chmod(filepath.Dir(root), 0o755); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(closed)
			if err != nil {
				t.Fatal(err)
			}
			mode := fs.FileMode(0)
			if test.closed == "." {
				mode = 0o311 // may be passed through, not listed
			}
			if err := os.Chmod(closed, mode); err != nil {
				t.Fatal(err)
			}
			defer os.Chmod(closed, info.Mode().Perm())

			got, err := readAsNobody(t, dir)
			want := strings.ReplaceAll(test.want, "DIR", dir)
			if want == "" && (err != nil || !slices.Equal(got, []string{"A=1", "B=2"})) || want != "" && (err == nil || err.Error() != want) {
				t.Errorf("got %q, %v, want %s", got, err, want)
			}
		})
	}
}

// TestIgnored: what is no variable although somebody may think so is named.
func TestIgnored(t *testing.T) {
	dir := write(t, map[string]string{
		"a.b": "1", "a-b": "1", "1A": "1", "A": "1", ".A": "1", "..A": "1", "DIR/A": "1", "lost+found/A": "1",
	})
	if err := unix.Mkfifo(dir+"/FIFO", 0o600); err != nil {
		t.Fatal(err)
	}
	os.Symlink("missing", dir+"/dangling-link")
	environ, ignored, err := Read(dir)
	if want := []string{"1A", "FIFO", "a-b", "a.b", "dangling-link"}; err != nil || !slices.Equal(environ, []string{"A=1"}) || !slices.Equal(ignored, want) {
		t.Errorf("got %q and ignored %q, %v; want %q ignored", environ, ignored, err, want)
	}
}

// readAsNobody reads without root's power to open anything: setfsuid(2) is for
// one thread.
func readAsNobody(t *testing.T, dir string) (environ []string, err error) {
	if os.Geteuid() == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := unix.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer unix.Setfsuid(0)
	}
	environ, _, err = Read(dir)
	return environ, err
}

// What is no file is neither opened nor waited for.
func TestSpecialFiles(t *testing.T) {
	dir := write(t, map[string]string{"A": "1"})
	if err := unix.Mkfifo(dir+"/FIFO", 0o644); err != nil {
		t.Fatal(err)
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	if err := unix.Bind(socket, &unix.SockaddrUnix{Name: dir + "/SOCKET"}); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"ZERO": "/dev/zero", "TTY": "/dev/tty", "LINK": "FIFO", "DIR": "/", "..data": "FIFO"} {
		if err := os.Symlink(target, dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	got, _, err := Read(dir)
	if err != nil || !slices.Equal(got, []string{"A=1"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestLinksAreFollowed(t *testing.T) {
	outside := write(t, map[string]string{"secret": "s3", "env/A": "1"})
	dir := t.TempDir()
	if err := errors.Join(os.Symlink(outside+"/secret", dir+"/B"), os.Symlink(outside+"/env", dir+"/env")); err != nil {
		t.Fatal(err)
	}
	if got, _, err := Read(dir); err != nil || !slices.Equal(got, []string{"B=s3"}) {
		t.Errorf("a linked file: %q, %v", got, err)
	}
	if got, _, err := Read(dir + "/env"); err != nil || !slices.Equal(got, []string{"A=1"}) {
		t.Errorf("a linked directory: %q, %v", got, err)
	}
}

func TestNothingStaysOpen(t *testing.T) {
	good := write(t, map[string]string{"A": "1", "B": "", "D/A": "1"})
	bad := write(t, map[string]string{"..data/A": "1\x00"})
	before := openFDs(t)
	Read(good)
	Read(bad)
	Read(good + "/missing")
	if after := openFDs(t); after != before {
		t.Errorf("%d files open, %d before", after, before)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A file that goes away between the listing and its opening is as good as
// removed before.
func TestFilesThatComeAndGo(t *testing.T) {
	dir := write(t, map[string]string{"A": "1", "Z": "2"})
	file := func(i int) string { return fmt.Sprintf("%s/M%d", dir, i%20) }
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			os.WriteFile(file(i), nil, 0o644)
			os.Remove(file(i + 1))
		}
	}()
	defer func() { close(stop); <-done }()
	for range 300 {
		if got, _, err := Read(dir); err != nil || !slices.Equal(got, []string{"A=1", "Z=2"}) {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}
