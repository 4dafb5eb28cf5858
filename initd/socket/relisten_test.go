package socket

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRelistenTCP(t *testing.T) {
	given := listener(t, unix.SOCK_STREAM, loopback())
	port := portOf(t, given)
	unix.Close(given)
	for _, text := range usable("127.0.0.1:0", "[::1]:0", "0", fmt.Sprintf("127.0.0.1:%d", port)) {
		for _, how := range []int{unix.SHUT_RD, unix.SHUT_RDWR} {
			set := open(t, "port "+text, "port 127.0.0.1:0")
			l := set.All()[0]
			if err := unix.Shutdown(l.FD, how); err != nil {
				t.Fatal(err)
			}
			if !refused(l) {
				t.Fatalf("%s still takes connections after shutdown", text)
			}
			mended, err := set.Relisten()
			if err != nil || !slices.Equal(mended, []Mended{{Key: l.Key, Slot: -1}}) {
				t.Errorf("%s: Relisten() = %+v, %v; want %s", text, mended, err, l.Key)
			}
			// The kernel gives a port of its own choice away: it has to be the same.
			if got := portOf(t, l.FD); got != int(l.at.Port()) {
				t.Errorf("%s: listens on port %d again, want %d", text, got, l.at.Port())
			}
			if err := connect(l); err != nil {
				t.Errorf("%s: %v", text, err)
			}
			if mended, err := set.Relisten(); len(mended) > 0 || err != nil {
				t.Errorf("%s: Relisten() of a healthy set = %+v, %v", text, mended, err)
			}
			set.Close()
		}
	}
}

// Another listener may have come in between.
func TestRelistenTaken(t *testing.T) {
	set := open(t, "port 127.0.0.1:0", "port 127.0.0.1:0")
	all := set.All()
	for _, l := range all {
		unix.Shutdown(l.FD, unix.SHUT_RDWR)
	}
	sa, _ := sockaddr(all[0].at)
	listener(t, unix.SOCK_STREAM, sa)
	mended, err := set.Relisten()
	if !slices.Equal(mended, []Mended{{Key: all[1].Key, Slot: -1}}) || !errors.Is(err, unix.EADDRINUSE) ||
		!strings.Contains(err.Error(), "listen tcp "+all[0].Address+" again: ") {
		t.Errorf("Relisten() = %+v, %v; want the second mended and EADDRINUSE for the first", mended, err)
	}
}

func TestRelistenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	set := open(t, "path "+path)
	set.options.Mode = 0o640
	l := set.All()[0]
	worker, err := unix.FcntlInt(uintptr(l.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(worker)
	unix.Shutdown(worker, unix.SHUT_RDWR)
	if !refused(l) {
		t.Fatal("still takes connections after shutdown")
	}
	// If this ever fails, the kernel has learned to revive it, and so should we.
	if err := unix.Listen(l.FD, 1); err != nil || !accepting(l.FD) || !refused(l) {
		t.Fatalf("listen(2) on a shut down unix socket: %v, SO_ACCEPTCONN %v, refused %v", err, accepting(l.FD), refused(l))
	}
	mended, err := set.Relisten()
	if err != nil || !slices.Equal(mended, []Mended{{Key: path, Slot: -1, Replaced: true}}) {
		t.Fatalf("Relisten() = %+v, %v; want %s replaced", mended, err, path)
	}
	if after := set.All()[0]; after.FD != l.FD || after.Key != l.Key || after.Number != l.Number {
		t.Errorf("%+v became %+v", l, after)
	}
	if err := connect(l); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v; want 0640", info.Mode(), err)
	}
	if flags, err := unix.FcntlInt(uintptr(l.FD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v; want close-on-exec", flags, err)
	}
	set.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the path is left behind: %v", err)
	}
}

// What is not initd's is told and left alone.
func TestRelistenUnixRefused(t *testing.T) {
	dir := t.TempDir()
	adopted := listener(t, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: dir + "/adopted"})
	set := open(t, fmt.Sprintf("path %s/adopted=%d", dir, adopted), "path @"+dir, "path "+dir+"/file", "path "+dir+"/gone")
	all := set.All()
	for _, l := range all {
		unix.Shutdown(l.FD, unix.SHUT_RDWR)
	}
	os.Remove(dir + "/gone")
	os.Remove(dir + "/file")
	if err := os.WriteFile(dir+"/file", []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	mended, err := set.Relisten()
	if !slices.Equal(mended, []Mended{{Key: dir + "/gone", Slot: -1, Replaced: true}}) || err == nil || strings.Count(err.Error(), "\n") != 2 ||
		strings.Count(err.Error(), "restart initd") != 2 {
		t.Errorf("Relisten() = %+v, %v; want one replaced and three errors", mended, err)
	}
	if text, err := os.ReadFile(dir + "/file"); string(text) != "precious" {
		t.Errorf("the file has %q, %v", text, err)
	}
	if _, err := os.Lstat(dir + "/adopted"); err != nil {
		t.Error(err)
	}
	if err := connect(all[3]); err != nil {
		t.Error(err)
	}
}

// A file system that hangs is waited for once, and for a moment; the socket is there when it answers again.
func TestRelistenUnixLater(t *testing.T) {
	set := open(t, "path "+filepath.Join(t.TempDir(), "s"))
	defer set.Close()
	answers, made := make(chan bool), make(chan bool)
	set.options.Start = func(f func()) {
		go func() {
			<-answers
			f()
			close(made)
		}()
	}
	l := set.All()[0]
	unix.Shutdown(l.FD, unix.SHUT_RDWR)
	if mended, err := set.Relisten(); len(mended) > 0 || err == nil || !strings.Contains(err.Error(), "hang") {
		t.Errorf("Relisten() = %+v, %v; want an error", mended, err)
	}
	if mended, err := set.Relisten(); len(mended) > 0 || err != nil || !set.ShutDown(0) {
		t.Errorf("Relisten() = %+v, %v; want nothing", mended, err)
	}
	close(answers)
	<-made
	if mended, err := set.Relisten(); len(mended) != 1 || err != nil || set.ShutDown(0) {
		t.Errorf("Relisten() = %+v, %v; want one replaced", mended, err)
	}
	if err := connect(l); err != nil {
		t.Error(err)
	}
}

// Only the sockets of one slot are looked at.
func TestShutDown(t *testing.T) {
	set := openSlots(t, 4, "port 127.0.0.1:0")
	defer set.Close()
	shutDown(t, set.All()[0], 2)
	for slot := range 5 {
		if got := set.ShutDown(slot); got != (slot == 2) {
			t.Errorf("slot %d: %v", slot, got)
		}
	}
}
