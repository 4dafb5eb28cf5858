package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"server-starter/cmd/initd/internal/initdtest"
)

// hang mounts a file system on a directory that answers nobody, as that of a dead server,
// until it is released: fuse(4), to which no program replies.
func hang(t *testing.T, dir string) (release func()) {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs FUSE, for a file system that hangs: %v", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if err := unix.Mount("initd-test", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		unix.Close(fd)
		t.Skipf("needs CAP_SYS_ADMIN, for a file system that hangs: %v", err)
	}
	done := initdtest.AtEnd("umount", "-l", dir)
	release = sync.OnceFunc(func() {
		unix.Unmount(dir, unix.MNT_DETACH)
		unix.Close(fd) // what waits gets ECONNABORTED
		done()
	})
	t.Cleanup(release)
	return release
}

// TestHangingEnvdir: an initd whose envdir is on a dead file server reaps, answers, refuses a swap and stops,
// and swaps when the server is back.
func TestHangingEnvdir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writes(t, filepath.Join(dir, "VERSION"), "one\n")
	d, s, first := serving(t, subreaper, "envdir="+dir, "control-socket="+filepath.Join(t.TempDir(), "control"))
	release := hang(t, dir)
	d.swap()
	d.is("refused", 2)
	d.answers(first)
	orphan := strings.TrimSpace(first.do("run", "sh", "-c", "sleep 0 </dev/null >/dev/null 2>&1 & echo $!"))
	eventually(t, "orphan "+orphan+" is reaped", func() bool {
		_, err := os.Stat("/proc/" + orphan)
		return os.IsNotExist(err)
	})
	release()
	d.swap()
	s.generation(3).ready()
	d.is("serving", 3)
	hang(t, dir)
	d.swap()
	d.signal(syscall.SIGTERM)
	d.exits(0)
}
