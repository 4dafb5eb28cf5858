package ownfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func create(t *testing.T, path string) *Temporary {
	t.Helper()
	temporary, err := Create(path, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(temporary.FD) })
	return temporary
}

// put puts a file with a text at path.
func put(t *testing.T, path, text string) *Temporary {
	t.Helper()
	temporary := create(t, path)
	if _, err := unix.Write(temporary.FD, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := temporary.Rename(); err != nil {
		t.Fatal(err)
	}
	return temporary
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// names are those in a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestRename(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	defer unix.Umask(unix.Umask(0o027))
	os.WriteFile(path, []byte("old"), 0o600)
	temporary := create(t, path)
	if got := content(t, path); got != "old" {
		t.Errorf("before it is renamed: %q", got)
	}
	if want := path + "." + strconv.Itoa(os.Getpid()); temporary.Name() != want {
		t.Errorf("its name is %s, want %s", temporary.Name(), want)
	}
	unix.Write(temporary.FD, []byte("new"))
	if err := temporary.Rename(); err != nil || content(t, path) != "new" || names(t, dir) != "file" {
		t.Errorf("%v, %q, and there are: %s", err, content(t, path), names(t, dir))
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if flags, err := unix.FcntlInt(uintptr(temporary.FD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("it is not close-on-exec: %v", err)
	}
	create(t, path).Remove()
	if got := names(t, dir); got != "file" || content(t, path) != "new" {
		t.Errorf("after the removal of another: %s, %q", got, content(t, path))
	}
}

// What is under the temporary name when a file is made is replaced only if it can
// be what an earlier process of the same number has left there.
func TestTemporaryName(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	os.WriteFile(precious, []byte("precious"), 0o600)
	for name, test := range map[string]struct {
		make func(path string) error
		fine bool
	}{
		"left":          {func(path string) error { return os.WriteFile(path, []byte("left"), 0o400) }, true},
		"hard link":     {func(path string) error { return os.Link(precious, path) }, true},
		"link":          {func(path string) error { return os.Symlink(precious, path) }, false},
		"dangling link": {func(path string) error { return os.Symlink(dir+"/new", path) }, false},
		"directory":     {func(path string) error { return os.Mkdir(path, 0o700) }, false},
		"fifo":          {func(path string) error { return unix.Mkfifo(path, 0o600) }, false},
	} {
		path := filepath.Join(dir, name)
		temporary := path + "." + strconv.Itoa(os.Getpid())
		if err := test.make(temporary); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Lstat(temporary)
		f, err := Create(path, 0o644)
		switch {
		case test.fine && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.fine:
			unix.Write(f.FD, []byte("new"))
			unix.Close(f.FD)
			f.Remove()
		case !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), temporary):
			t.Errorf("%s: %v", name, err)
		default:
			if after, err := os.Lstat(temporary); err != nil || !os.SameFile(before, after) {
				t.Errorf("%s has been replaced: %v", name, err)
			}
		}
		if got := content(t, precious); got != "precious" {
			t.Errorf("%s: it has led to another file, which has %q now", name, got)
		}
		if _, err := os.Lstat(dir + "/new"); err == nil {
			t.Errorf("%s: it has led to a new file", name)
		}
	}
	if _, err := Create(dir+"/absent/file", 0o644); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its directory: %v", err)
	}
}

// A link at the path itself is replaced, not followed: what may be replaced is for
// Check to say.
func TestRenameOverLink(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/precious", []byte("precious"), 0o600)
	os.Symlink("precious", dir+"/file")
	put(t, dir+"/file", "new")
	if content(t, dir+"/precious") != "precious" || content(t, dir+"/file") != "new" {
		t.Errorf("%q and %q", content(t, dir+"/precious"), content(t, dir+"/file"))
	}
	os.Mkdir(dir+"/dir", 0o700)
	temporary := create(t, dir+"/dir")
	if err := temporary.Rename(); err == nil {
		t.Error("a directory was replaced")
	}
	temporary.Remove()
	if got := names(t, dir); got != "dir file precious" {
		t.Errorf("there are: %s", got)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	recognise := func(r io.Reader) bool {
		text, err := io.ReadAll(r)
		return err == nil && strings.HasPrefix(string(text), "ours")
	}
	os.WriteFile(dir+"/precious", []byte("ours"), 0o600)
	for name, test := range map[string]struct {
		make func(path string) error
		fine bool
	}{
		"nothing":   {func(path string) error { return nil }, true},
		"ours":      {func(path string) error { return os.WriteFile(path, []byte("ours, old"), 0o600) }, true},
		"another":   {func(path string) error { return os.WriteFile(path, []byte("another"), 0o600) }, false},
		"empty":     {func(path string) error { return os.WriteFile(path, nil, 0o600) }, false},
		"link":      {func(path string) error { return os.Symlink("precious", path) }, false},
		"dangling":  {func(path string) error { return os.Symlink("absent", path) }, false},
		"directory": {func(path string) error { return os.Mkdir(path, 0o700) }, false},
		"fifo":      {func(path string) error { return unix.Mkfifo(path, 0o600) }, false},
	} {
		path := filepath.Join(dir, name)
		if err := test.make(path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Lstat(path)
		err := Check(path, "sort of file", recognise)
		if test.fine != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if want := "replace " + path + ": it exists and is not a sort of file; move it away or use another path"; err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		if after, _ := os.Lstat(path); before != nil && !os.SameFile(before, after) {
			t.Errorf("%s was changed", name)
		}
	}
	if os.Getuid() != 0 {
		os.WriteFile(dir+"/secret", []byte("ours"), 0)
		if err := Check(dir+"/secret", "sort of file", recognise); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a file that cannot be read: %v", err)
		}
	}
}

// identify is how files are identified: those that are held open and others.
var identify = map[string]func(*Temporary) (ID, error){
	"held": func(f *Temporary) (ID, error) { return Held(f.FD) },
	"closed": func(f *Temporary) (ID, error) {
		id, err := Closed(f.FD)
		unix.Close(f.FD)
		return id, err
	},
}

func TestID(t *testing.T) {
	for name, identify := range identify {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		id, err := identify(put(t, path, "ours"))
		if err != nil {
			t.Fatal(err)
		}
		os.Symlink("file", dir+"/link")
		if !id.At(path) || id.At(dir+"/link") || id.At(dir) || id.At(dir+"/absent") {
			t.Errorf("%s: the file is not recognised", name)
		}
		if err := id.Remove(dir + "/link"); err != nil || names(t, dir) != "file link" {
			t.Errorf("%s: a link: %v, and there are: %s", name, err, names(t, dir))
		}
		if err := id.Remove(path); err != nil || names(t, dir) != "link" {
			t.Errorf("%s: %v, and there are: %s", name, err, names(t, dir))
		}
		if err := id.Remove(path); err != nil || id.At(path) {
			t.Errorf("%s: once more: %v", name, err)
		}
		if none := (ID{}); none.At(dir) || none.Remove(dir) != nil {
			t.Errorf("%s: the zero ID is a file", name)
		}
	}
}

// What has been put in the file's place is not removed, be it of the same inode
// number, which is given away anew as soon as it is free.
func TestReplaced(t *testing.T) {
	for how, identify := range identify {
		for name, replace := range map[string]func(path string) error{
			"file":      func(path string) error { return os.WriteFile(path, []byte("another"), 0o600) },
			"directory": func(path string) error { return os.Mkdir(path, 0o700) },
			"fifo":      func(path string) error { return unix.Mkfifo(path, 0o600) },
			"link":      func(path string) error { return os.Symlink(path+".ours", path) },
		} {
			path := filepath.Join(t.TempDir(), "file")
			f := put(t, path, "ours")
			// The file system's clock has a resolution of some milliseconds.
			past := []unix.Timespec{{Sec: 1}, {Sec: 1}}
			if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, past, 0); err != nil {
				t.Fatal(err)
			}
			id, err := identify(f)
			if err != nil {
				t.Fatal(err)
			}
			if name == "link" {
				os.Rename(path, path+".ours")
			} else {
				os.Remove(path)
			}
			if err := replace(path); err != nil {
				t.Fatal(err)
			}
			if err := id.Remove(path); err != nil || id.At(path) {
				t.Errorf("%s, %s: it is taken for ours: %v", how, name, err)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("%s, %s: it was removed: %v", how, name, err)
			}
		}
	}
}

// A disk that is full is an error of the one who writes, and leaves what was there.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Skipf("a small file system needs CAP_SYS_ADMIN: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	path := filepath.Join(dir, "file")
	old := put(t, path, "old")
	id, _ := Held(old.FD)
	temporary := create(t, path)
	if err := unix.Fallocate(temporary.FD, 0, 0, 1<<20); err != unix.ENOSPC {
		t.Fatalf("there is space: %v", err)
	}
	temporary.Remove()
	if content(t, path) != "old" || !id.At(path) || names(t, dir) != "file" {
		t.Errorf("%q, and there are: %s", content(t, path), names(t, dir))
	}
	// Without an inode left there is no file to begin with.
	if err := unix.Mount("tmpfs", dir, "", unix.MS_REMOUNT, "size=8k,nr_inodes=3"); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path, 0o644); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("without an inode: %v", err)
	}
}

func TestErrors(t *testing.T) {
	if _, err := Held(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("%v", err)
	}
	if id, err := Closed(-1); !errors.Is(err, unix.EBADF) || id != (ID{}) {
		t.Errorf("%v, %v", id, err)
	}
}
