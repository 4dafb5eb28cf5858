package envdir

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

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
			got, err := Read(write(t, test.files))
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
		{"NUL", map[string]string{"A": "secret\x00b"}, nil, "envdir: read DIR/A: a NUL byte in the first line, which no variable can hold"},
		{"long value", map[string]string{"A": long}, nil, "envdir: read DIR/A: the first line is too long: with its name it may have 131071 bytes"},
		{"much longer value", map[string]string{"A": long + long + "\n"}, nil, "envdir: read DIR/A: the first line is too long: with its name it may have 131071 bytes"},
		{"too much in all", many, nil, "envdir: read DIR: more than 6291456 bytes in all"},
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
			got, err := Read(dir)
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
	return Read(dir)
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
	got, err := Read(dir)
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
	if got, err := Read(dir); err != nil || !slices.Equal(got, []string{"B=s3"}) {
		t.Errorf("a linked file: %q, %v", got, err)
	}
	if got, err := Read(dir + "/env"); err != nil || !slices.Equal(got, []string{"A=1"}) {
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
		if got, err := Read(dir); err != nil || !slices.Equal(got, []string{"A=1", "Z=2"}) {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

// A volume is written as the kubelet's AtomicWriter does it.
type volume struct {
	dir     string
	version int
}

// update puts the next version in place of the old one.
func (v *volume) update(keys []string) error {
	old, err := v.flip(keys)
	if err != nil || old == "" {
		return err
	}
	return os.RemoveAll(old)
}

// flip writes the next version, in which every key has its number for a value,
// and returns the directory of the old one, "" before the first.
func (v *volume) flip(keys []string) (old string, err error) {
	v.version++
	name := fmt.Sprintf("..2026_01_02_03_04_05.%09d", v.version)
	if err := os.Mkdir(v.dir+"/"+name, 0o755); err != nil {
		return "", err
	}
	for _, key := range keys {
		if err := os.WriteFile(v.dir+"/"+name+"/"+key, fmt.Append(nil, v.version), 0o644); err != nil {
			return "", err
		}
	}
	if target, err := os.Readlink(v.dir + "/..data"); err == nil {
		old = v.dir + "/" + target
	}
	if err := os.Symlink(name, v.dir+"/..data_tmp"); err != nil {
		return "", err
	}
	if err := os.Rename(v.dir+"/..data_tmp", v.dir+"/..data"); err != nil {
		return "", err
	}
	for _, key := range keys { // what users see
		if err := os.Symlink("..data/"+key, v.dir+"/"+key); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	visible, err := filepath.Glob(v.dir + "/[^.]*")
	if err != nil {
		return "", err
	}
	for _, path := range visible {
		if !slices.Contains(keys, filepath.Base(path)) {
			if err := os.Remove(path); err != nil {
				return "", err
			}
		}
	}
	return old, nil
}

func TestConfigMap(t *testing.T) {
	v := &volume{dir: t.TempDir()}
	for _, keys := range [][]string{{"A", "B"}, {"B", "C"}, {}, {"A"}} {
		if err := v.update(keys); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, key := range keys {
			want = append(want, fmt.Sprintf("%s=%d", key, v.version))
		}
		if got, err := Read(v.dir); err != nil || !slices.Equal(got, want) {
			t.Errorf("version %d: got %q, %v, want %q", v.version, got, err, want)
		}
	}
}

// A version that is half removed when it is listed is not taken for a small one.
func TestConfigMapReplacedWhileOpen(t *testing.T) {
	v := &volume{dir: t.TempDir()}
	if _, err := v.flip([]string{"A", "B"}); err != nil {
		t.Fatal(err)
	}
	d, err := open(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	old, err := v.flip([]string{"A", "B"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(old + "/A"); err != nil {
		t.Fatal(err)
	}
	if got, err := snapshot(d); !errors.Is(err, errChanged) {
		t.Errorf("got %q, %v, want %v", got, err, errChanged)
	}
	if got, err := Read(v.dir); err != nil || !slices.Equal(got, []string{"A=2", "B=2"}) {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

// Each reading gives one version, whole, while the volume changes without
// pause. Odd versions have ten keys, even ones half of them.
func TestConfigMapThatChanges(t *testing.T) {
	var odd, even []string
	for i := range 10 {
		odd = append(odd, fmt.Sprintf("KEY%d", i))
	}
	even = odd[5:]
	v := &volume{dir: t.TempDir()}
	if err := v.update(odd); err != nil {
		t.Fatal(err)
	}
	stop, written := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			keys := odd
			if v.version%2 == 1 {
				keys = even
			}
			err := v.update(keys)
			select {
			case <-stop:
			default:
				if err == nil {
					continue
				}
			}
			written <- err
			return
		}
	}()
	defer func() {
		close(stop)
		if err := <-written; err != nil {
			t.Error(err)
		}
	}()
	seen := map[string]bool{}
	const versions = 100
	deadline := time.Now().Add(60 * time.Second)
	for len(seen) < versions && time.Now().Before(deadline) {
		environ, err := Read(v.dir)
		if err != nil {
			t.Fatal(err)
		}
		found, keys := map[string]bool{}, []string{}
		for _, variable := range environ {
			key, version, _ := strings.Cut(variable, "=")
			found[version] = true
			keys = append(keys, key)
		}
		if len(found) != 1 || !slices.Equal(keys, odd) && !slices.Equal(keys, even) {
			t.Fatalf("not one version: %q", environ)
		}
		maps.Copy(seen, found)
	}
	if len(seen) < versions {
		t.Errorf("saw only %d versions", len(seen))
	}
}
