package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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

// TestHangingEnd: the end does not wait for files that initd has made.
func TestHangingEnd(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"path", "pid-file", "status-file", "control-socket", "scoreboard", "log-file"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "hang") // short, since the paths of sockets have to be
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			s := newStage(t)
			d := run{mode: subreaper, args: flags(s.puppet(), "ready=notify", setting+"="+dir+"/file")}.start(t)
			p := s.generation(1)
			p.ready()
			eventually(t, "the file is there", func() bool {
				_, err := os.Stat(dir + "/file")
				return err == nil
			})
			hang(t, dir)
			d.swap()
			s.generation(2).ready()
			p.gets(syscall.SIGTERM)
			d.signal(syscall.SIGTERM)
			d.exits(0)
		})
	}
}

// TestHangingStart: an initd that cannot be set up, because a file system hangs, can be stopped.
func TestHangingStart(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		for _, setting := range []string{"path", "pid-file", "status-file", "log-file", "watch"} {
			t.Run(setting, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				hang(t, dir)
				d := run{mode: as, args: flags([]string{"/bin/true"}, setting+"="+dir+"/file")}.start(t)
				eventually(t, "initd waits for the file system", func() bool {
					for _, task := range tasks(t, d.pid) {
						if what, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/wchan", d.pid, task)); strings.Contains(string(what), "fuse") || strings.Contains(string(what), "request_wait") {
							return true
						}
					}
					return false
				})
				d.signal(syscall.SIGTERM)
				d.exits(125)
				if text := d.output(); !strings.Contains(text, "TERM came before initd was set up") {
					t.Errorf("initd said %q", text)
				}
			})
		}
	})
}

// tasks are the threads of a process.
func tasks(t *testing.T, pid int) (all []int) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		tid, _ := strconv.Atoi(e.Name())
		all = append(all, tid)
	}
	return all
}

// TestHangingSupervisor: initd serves and stops although it cannot notify what has started it.
func TestHangingSupervisor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hang(t, dir)
	s := newStage(t)
	d := run{mode: subreaper, environ: []string{"NOTIFY_SOCKET=" + dir + "/notify"}, args: flags(s.puppet(), "ready=notify")}.start(t)
	s.generation(1).ready()
	d.is("serving", 1)
	d.stop()
}

// TestHangingLogOfDaemon: a daemon whose log file is on a file system that hangs when it goes to the background
// serves and stops.
func TestHangingLogOfDaemon(t *testing.T) {
	t.Parallel()
	dir, pidFile := t.TempDir(), t.TempDir()+"/pid"
	s := newStage(t)
	d := run{mode: subreaper, args: flags(s.puppet(), "daemonize", "log-file="+dir+"/log", "pid-file="+pidFile, "ready=notify")}.start(t)
	p := s.generation(1)
	hang(t, dir)
	p.ready()
	d.exits(0)
	pid := background(t, pidFile)
	syscall.Kill(pid, syscall.SIGTERM)
	p.gets(syscall.SIGTERM)
	removed := func() bool {
		_, err := os.Lstat(pidFile)
		return os.IsNotExist(err)
	}
	eventually(t, "the daemon has removed its pid file", removed)
}

// TestHangingListener: a worker has shut its unix listener down, and initd goes on though it cannot make another.
func TestHangingListener(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "hang")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := newStage(t)
	d := run{mode: subreaper, args: flags(s.puppet(), "ready=notify", "interval=0", "path="+dir+"/socket")}.start(t)
	p := s.generation(1)
	p.ready()
	d.is("serving", 1)
	hang(t, dir)
	p.do("shutdown", "3")
	p.tell("exit", "1")
	s.generation(2).ready()
	d.is("serving", 2)
	d.stop()
}
