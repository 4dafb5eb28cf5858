package socket

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// stranger is a user that is neither root nor the one of the test.
const stranger = 12345

// revived shuts a unix listener down and has it listen again.
func revived(t *testing.T, set *Set) (fine bool) {
	t.Helper()
	unix.Shutdown(set.All()[0].FD, unix.SHUT_RDWR)
	mended, err := set.Relisten()
	if err != nil {
		t.Error(err)
	}
	return len(mended) == 1 && mended[0].Replaced
}

// A worker that swaps the directory for a link has no socket made elsewhere.
func TestRelistenInSwappedDirectory(t *testing.T) {
	needRoot(t)
	top := t.TempDir()
	for _, name := range []string{"theirs", "root"} {
		os.Mkdir(top+"/"+name, 0o755)
	}
	os.Chown(top+"/theirs", stranger, -1)
	os.Chown(top, stranger, -1) // as it has to be to rename it
	set := open(t, "path "+top+"/theirs/s")
	os.Rename(top+"/theirs", top+"/moved")
	os.Symlink("root", top+"/theirs")
	os.Lchown(top+"/theirs", stranger, -1)
	if !revived(t, set) {
		t.Error("it is not replaced")
	}
	if left, err := os.ReadDir(top + "/root"); len(left) > 0 {
		t.Errorf("the worker's link has led to %v, %v", left, err)
	}
	if err := probe(top + "/moved/s"); err != nil {
		t.Errorf("in the directory itself: %v", err)
	}
	os.WriteFile(top+"/root/s", nil, 0o600)
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(top + "/moved"); len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if _, err := os.Lstat(top + "/root/s"); err != nil {
		t.Error(err)
	}
}

// A link that is there at the start leads only where its owner can write.
func TestUnixLinkedDirectory(t *testing.T) {
	needRoot(t)
	top := t.TempDir()
	for _, name := range []string{"theirs", "root"} {
		os.Mkdir(top+"/"+name, 0o755)
		os.Symlink(name, top+"/to-"+name)
		os.Lchown(top+"/to-"+name, stranger, -1)
	}
	os.Chown(top+"/theirs", stranger, -1)
	open(t, "path "+top+"/to-theirs/s")
	if set, err := tryOpen("path " + top + "/to-root/s"); err == nil || !strings.Contains(err.Error(), "a symbolic link of uid 12345") {
		t.Errorf("%v, %v", set, err)
	}
	if left, err := os.ReadDir(top + "/root"); len(left) > 0 {
		t.Errorf("it leads to %v, %v", left, err)
	}
}

// However deep the directory and long the name, a path that could be made can be made
// again. Where nobody else can lead it elsewhere, the address stays as it was.
func TestRelistenDeep(t *testing.T) {
	deep := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"s", strings.Repeat("x", maxPath)} {
		t.Chdir(deep)
		set := open(t, "path "+name)
		t.Chdir("/")
		for range 2 {
			if !revived(t, set) {
				t.Errorf("%s is not replaced", name)
			}
			t.Chdir(deep)
			if err := probe(name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			t.Chdir("/")
		}
		if err := set.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(deep); len(left) > 0 {
			t.Errorf("left %v, %v", left, err)
		}
	}
}

func TestRelistenAddress(t *testing.T) {
	for mode, own := range map[os.FileMode]bool{0o755: true, 0o777: false} {
		top := t.TempDir()
		os.Mkdir(top+"/dir", 0o755)
		os.Chmod(top, mode)
		path := top + "/dir/s"
		set := open(t, "path "+path)
		revived(t, set)
		sa, err := unix.Getsockname(set.All()[0].FD)
		if at, ok := sa.(*unix.SockaddrUnix); !ok || (at.Name == path) != own {
			t.Errorf("mode %v: %v, %v", mode, sa, err)
		}
	}
}

// Descriptors of directories are closed with the sockets.
func TestDirectoriesClosed(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	dir := t.TempDir()
	before := count()
	for i := range 3 {
		set := open(t, fmt.Sprintf("path %s/%d", dir, i), "path @"+dir)
		revived(t, set)
		set.Close()
		if set, err := tryOpen("path "+dir+"/x", "path "+dir); err == nil {
			set.Close()
			t.Error("a directory is replaced")
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}
