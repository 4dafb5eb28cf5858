package socket

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUnixMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, umask := range []int{0, 0o77, 0o777} {
		for _, mode := range []fs.FileMode{0o777, 0o660, 0o606, 0} {
			old := syscall.Umask(umask)
			set, err := Open([]Spec{{Network: "unix", Path: path, FD: -1}}, Options{Mode: mode, UID: -1, GID: -1})
			syscall.Umask(old)
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(path)
			if err != nil || info.Mode() != mode|fs.ModeSocket {
				t.Errorf("umask %#o, mode %#o: the socket has %v, %v", umask, mode, info.Mode(), err)
			}
			if err := set.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestUnixOwner(t *testing.T) {
	needRoot(t)
	path := filepath.Join(t.TempDir(), "s")
	owner := func() (uid, gid uint32) {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			t.Fatal(err)
		}
		return st.Uid, st.Gid
	}
	for _, c := range []struct {
		uid, gid         int
		wantUID, wantGID uint32
	}{{-1, -1, 0, 0}, {1234, -1, 1234, 0}, {-1, 5678, 0, 5678}, {1234, 5678, 1234, 5678}} {
		set, err := Open([]Spec{{Network: "unix", Path: path, FD: -1}}, Options{Mode: 0o600, UID: c.uid, GID: c.gid})
		if err != nil {
			t.Fatal(err)
		}
		if uid, gid := owner(); uid != c.wantUID || gid != c.wantGID {
			t.Errorf("owner %d:%d became %d:%d", c.uid, c.gid, uid, gid)
		}
		set.Close()
	}
}

// Until listen(2) nobody gets in, and by then mode and owner are right.
func TestUnixModeBeforeConnect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, made, err := bindUnix(path, Options{Mode: 0o600, UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v before listen, want 0600", info.Mode(), err)
	}
	if err := probe(path); err != unix.ECONNREFUSED {
		t.Errorf("connect before listen: %v, want ECONNREFUSED", err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	if err := probe(path); err != nil {
		t.Errorf("connect after listen: %v", err)
	}
	if err := made.remove(); err != nil || made.there() {
		t.Errorf("remove: %v", err)
	}
}

func TestUnixStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	unix.Close(listener(t, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: path}))
	if err := connect(open(t, "path "+path).All()[0]); err != nil {
		t.Error(err)
	}
}

// Whatever may be somebody's is an error, and is left as it is.
func TestUnixOccupied(t *testing.T) {
	for name, c := range map[string]struct {
		make func(path string)
		says string
	}{
		"regular file": {func(path string) { os.WriteFile(path, []byte("precious"), 0o600) }, "the path is a regular file, which is left alone"},
		"directory":    {func(path string) { os.Mkdir(path, 0o700) }, "the path is a directory"},
		"symlink":      {func(path string) { os.Symlink("nowhere", path) }, "the path is a symbolic link"},
		"fifo":         {func(path string) { unix.Mkfifo(path, 0o600) }, "the path is a named pipe"},
		"live socket": {func(path string) { listener(t, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: path}) },
			"a process listens on the path"},
		"datagram socket": {func(path string) { listener(t, unix.SOCK_DGRAM, &unix.SockaddrUnix{Name: path}) },
			"may be in use, which is left alone: connect: protocol wrong type"},
		"socket with a full queue": {func(path string) {
			listener(t, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: path})
			for probe(path) == nil {
			}
		}, "a process listens on the path"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			c.make(path)
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			set, err := tryOpen("path " + path)
			if err == nil {
				set.Close()
			}
			if !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), c.says) ||
				!strings.Contains(err.Error(), `SERVER_STARTER_PATH (--path) "`+path) {
				t.Errorf("%v, want the setting, the path and that %s", err, c.says)
			}
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) || before.Mode() != after.Mode() {
				t.Errorf("the %s was touched: %v, %v", name, after, err)
			}
		})
	}
}

// Only the socket that was made is removed.
func TestUnixClose(t *testing.T) {
	dir := t.TempDir()
	set := open(t, "path "+dir+"/ours", "path "+dir+"/taken", "path "+dir+"/gone")
	os.Remove(dir + "/taken")
	listener(t, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: dir + "/taken"})
	os.Remove(dir + "/gone")
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "taken" {
		t.Errorf("left %v, %v; want the one that is another's", left, err)
	}
	if err := set.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestUnixRelativePath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	set := open(t, "path s", "path ./x")
	if all := set.All(); all[0].Key != "s" || all[1].Key != "./x" {
		t.Errorf("keys %q and %q, want the paths as given", all[0].Key, all[1].Key)
	}
	t.Chdir("/")
	set.Close()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestUnixAbstract(t *testing.T) {
	t.Chdir(t.TempDir())
	name := "@socket-test" + t.TempDir()
	l := open(t, "path "+name).All()[0]
	if l.Key != name || l.Address != name || l.Network != "unix" {
		t.Errorf("%+v, want %s", l, name)
	}
	if err := connect(l); err != nil {
		t.Error(err)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) > 0 {
		t.Errorf("on disk: %v, %v", files, err)
	}
	_, err := tryOpen("path " + name)
	if !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), "another process uses that name") {
		t.Errorf("the name a second time: %v", err)
	}
}

func TestUnixPathLength(t *testing.T) {
	t.Chdir(t.TempDir())
	most := strings.Repeat("x", maxPath)
	if err := connect(open(t, "path "+most).All()[0]); err != nil {
		t.Errorf("%d bytes: %v", maxPath, err)
	}
	if err := connect(open(t, "path @"+most[1:]).All()[0]); err != nil {
		t.Errorf("%d bytes, abstract: %v", maxPath, err)
	}
}

func TestUnixDirectoryErrors(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	r := runInitd(t, []string{"path " + dir + "/s"}, nil, []uintptr{0, 1, 2}, nobody)
	if !strings.Contains(r.Error, "permission denied") || !strings.Contains(r.Error, "must be writable") {
		t.Errorf("%q, want what to do about the directory", r.Error)
	}
}

// Two that start at once: the other takes our file, which nobody listens on
// yet, for a stale one.
func TestUnixTakenMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	set := open(t, "path "+path)
	os.Remove(path)
	listener(t, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: path})
	if err := set.listen([]Spec{{Network: "unix", Path: path, FD: -1}}); !errors.Is(err, errReplaced) {
		t.Errorf("%v, want %v", err, errReplaced)
	}
	set.Close()
	if err := probe(path); err != nil {
		t.Errorf("the other's socket: %v", err)
	}
}

func TestUnixAdvice(t *testing.T) {
	for err, want := range map[error]string{
		unix.EROFS:  "must be writable",
		unix.EACCES: "must be writable",
		unix.EPERM:  "only root",
		unix.ENOENT: "directory must exist",
	} {
		if got := fail(Spec{Network: "unix", Path: "/s", FD: -1}, "", err).Error(); !strings.Contains(got, want) {
			t.Errorf("%q, want it to say %s", got, want)
		}
	}
}
