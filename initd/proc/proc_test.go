package proc

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCPU(t *testing.T) {
	p := started(t, "burn", nil)
	used, err := CPU(p.pid)
	if err != nil || used < 50*time.Millisecond {
		t.Errorf("CPU() = %v, %v, want at least 50ms", used, err)
	}
	s, err := new(Reader).Stat(p.pid)
	if err != nil || s.CPU < 30*time.Millisecond {
		t.Errorf("Stat() = %+v, %v, want at least 30ms", s, err)
	}
	again, err := CPU(p.pid)
	if err != nil || (again-s.CPU).Abs() > 30*time.Millisecond+again/10 {
		t.Errorf("CPU() = %v, %v; Stat() says %v", again, err, s.CPU)
	}
}

func TestStat(t *testing.T) {
	const name = "a) R 1 2 (\n b"
	p := started(t, "stay "+name, nil)
	s, err := new(Reader).Stat(p.pid)
	if err != nil || s.Name != name || s.Parent != os.Getpid() || s.Group != unix.Getpgrp() || s.Start == 0 || s.State == 0 {
		t.Errorf("Stat() = %+v, %v", s, err)
	}
}

func TestMemory(t *testing.T) {
	p := started(t, "grow", nil)
	var r Reader
	if size, err := r.Resident(p.pid); err != nil || size < grown || size > 4*grown {
		t.Errorf("Resident() = %d, %v, want some more than %d", size, err, grown)
	}
	size, err := r.Proportional(p.pid)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("no smaps_rollup: %v", err)
	}
	if err != nil || size < grown || size > 4*grown {
		t.Errorf("Proportional() = %d, %v, want some more than %d", size, err, grown)
	}
}

func TestSockets(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	var want []uint32
	for _, fd := range fds {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			t.Fatal(err)
		}
		want = append(want, uint32(st.Ino))
	}
	// More files than one call of getdents takes.
	for range 600 {
		fd, err := unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	var r Reader
	got, err := r.Sockets(os.Getpid(), []uint32{7})
	count := 0
	for _, inode := range got {
		if inode == want[0] {
			count++
		}
	}
	if err != nil || got[0] != 7 || count != 601 || !slices.Contains(got, want[1]) {
		t.Errorf("Sockets() has %d of 601, %v", count, err)
	}
	p := started(t, "stay", nil)
	if got, err := r.Sockets(p.pid, nil); err != nil || len(got) != 1 {
		t.Errorf("Sockets() has %d, %v, want the one it was started with", len(got), err)
	}
}

func TestEnviron(t *testing.T) {
	p := started(t, "stay", nil)
	var r Reader
	got, err := r.Environ(p.pid, "PROC_TEST_NONE", "GORACE")
	if want := []string{"", "atexit_sleep_ms=0"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Environ() = %q, %v, want %q", got, err, want)
	}
}

// Of a process that has ended every call says so, and so does each of a zombie
// that has nothing to tell. None leaves a file open.
func TestGone(t *testing.T) {
	before := files(t)
	zombie := start("stay", nil)
	zombie.stdin.Close()
	if err := unix.Waitid(unix.P_PID, zombie.pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	var r Reader
	calls := map[string]func(int) error{
		"CPU":          func(pid int) error { _, err := CPU(pid); return err },
		"Stat":         func(pid int) error { _, err := r.Stat(pid); return err },
		"Resident":     func(pid int) error { _, err := r.Resident(pid); return err },
		"Proportional": func(pid int) error { _, err := r.Proportional(pid); return err },
		"Sockets":      func(pid int) error { _, err := r.Sockets(pid, nil); return err },
		"Environ":      func(pid int) error { _, err := r.Environ(pid, "PATH"); return err },
		"Children":     func(pid int) error { _, err := r.Children(pid, nil); return err },
	}
	for name, call := range calls {
		if err := call(zombie.pid); err != nil && !Gone(err) {
			t.Errorf("%s of a zombie: %v", name, err)
		}
	}
	if s, err := r.Stat(zombie.pid); err != nil || s.State != 'Z' {
		t.Errorf("Stat of a zombie: %+v, %v", s, err)
	}
	zombie.end()
	for name, call := range calls {
		if err := call(zombie.pid); !Gone(err) {
			t.Errorf("%s of a process that is no more: %v", name, err)
		}
	}
	if after := files(t); after != before {
		t.Errorf("%d files are open, %d were", after, before)
	}
}

// Processes end while they are looked at.
func TestVanish(t *testing.T) {
	var r Reader
	for range 20 {
		p := start("stay", nil)
		ended := make(chan struct{})
		go func() { p.end(); close(ended) }()
		for looking := true; looking; {
			select {
			case <-ended:
				looking = false
			default:
			}
			for _, call := range []func() error{
				func() error { _, err := r.Proportional(p.pid); return err },
				func() error { _, err := r.Sockets(p.pid, nil); return err },
				func() error { _, err := r.Children(p.pid, nil); return err },
			} {
				if err := call(); err != nil && !Gone(err) && !errors.Is(err, errors.ErrUnsupported) {
					t.Fatal(err)
				}
			}
		}
	}
}

func files(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// Who may look at whom; ptrace(2).
func TestPermission(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("takes root: processes of several users")
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65533, NoSetGroups: true}
	other := &syscall.Credential{Uid: 65532, Gid: 65532, NoSetGroups: true}
	const all, denied = "cpu, resident, proportional, sockets", "cpu, resident, proportional denied, sockets denied"
	for _, test := range []struct {
		name    string
		at      string
		whose   *syscall.Credential
		looking string
		as      *syscall.Credential
		want    string
	}{
		{"root", "stay", nobody, "look", nil, all},
		{"root, a hidden one", "hidden", nobody, "look", nil, all},
		{"root without SYS_PTRACE", "stay", nobody, "weaken", nil, all},
		{"root without SYS_PTRACE, a hidden one", "hidden", nobody, "weaken", nil, denied},
		{"its user", "stay", nobody, "look", nobody, all},
		{"its user, a hidden one", "hidden", nobody, "look", nobody, denied},
		{"another user", "stay", nobody, "look", other, denied},
		{"another group", "stay", nobody, "look", &syscall.Credential{Uid: 65534, Gid: 1, NoSetGroups: true}, denied},
	} {
		t.Run(test.name, func(t *testing.T) {
			may, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_PTRACE, 0, 0, 0)
			if test.looking == "look" && test.as == nil && (may != 1 || err != nil) {
				t.Skipf("takes CAP_SYS_PTRACE: %v", err)
			}
			p := started(t, test.at, test.whose)
			if got := started(t, test.looking+" "+strconv.Itoa(p.pid), test.as).hello; got != test.want {
				t.Errorf("%s; want %s", got, test.want)
			}
		})
	}
}

// A zombie belongs to root, but that is no matter of permission.
func TestZombie(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("takes root: processes of several users")
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65533, NoSetGroups: true}
	zombie := started(t, "stay", nobody)
	zombie.stdin.Close()
	if err := unix.Waitid(unix.P_PID, zombie.pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if got := started(t, "look "+strconv.Itoa(zombie.pid), nobody).hello; strings.Contains(got, "denied") {
		t.Error(got)
	}
}

func TestParseStat(t *testing.T) {
	const rest = " 9 9 -1 4194304 90 0 0 0 7 3 2 1 20 0 1 0 4711 9 9\n"
	for _, test := range []struct {
		line string
		want Stat
	}{
		{"12 (cat) S 7 9" + rest, Stat{Name: "cat", State: 'S', Parent: 7, Group: 9}},
		{"12 (a b) S 7 9" + rest, Stat{Name: "a b", State: 'S', Parent: 7, Group: 9}},
		{"12 (a) R 1 2) S 7 9" + rest, Stat{Name: "a) R 1 2", State: 'S', Parent: 7, Group: 9}},
		{"12 (a\n) Z 7 -1" + rest, Stat{Name: "a\n", State: 'Z', Parent: 7, Group: -1}},
		{"12 () S 0 0" + rest, Stat{State: 'S'}},
	} {
		test.want.CPU, test.want.Reaped, test.want.Start = 100*time.Millisecond, 30*time.Millisecond, 4711
		if got, err := ParseStat([]byte(test.line)); err != nil || got != test.want {
			t.Errorf("ParseStat(%q) = %+v, %v, want %+v", test.line, got, err, test.want)
		}
	}
	for _, line := range []string{"", "12 (cat)", "12 (cat) S 7", "12 )cat( S 7 9" + rest, "12 (cat) S x 9" + rest, "12 (cat)  "} {
		if got, err := ParseStat([]byte(line)); err == nil || got != (Stat{}) {
			t.Errorf("ParseStat(%q) = %+v, %v, want an error", line, got, err)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (a) R 1 2) S 7 9 9 9 -1 4194304 90 0 0 0 7 3 2 1 20 0 1 0 4711 9 9\n"))
	f.Fuzz(func(t *testing.T, line []byte) { ParseStat(line) })
}

func FuzzSocketInode(f *testing.F) {
	f.Add([]byte("socket:[4294967295]"))
	f.Fuzz(func(t *testing.T, link []byte) {
		inode, ok := socketInode(link)
		if again, _ := socketInode([]byte("socket:[" + strconv.FormatUint(uint64(inode), 10) + "]")); ok && again != inode {
			t.Errorf("%q is %d", link, inode)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	var r Reader
	pid := os.Getpid()
	for name, call := range map[string]func() error{
		"CPU":          func() error { _, err := CPU(pid); return err },
		"Stat":         func() error { _, err := r.Stat(pid); return err },
		"Resident":     func() error { _, err := r.Resident(pid); return err },
		"Proportional": func() error { _, err := r.Proportional(pid); return err },
		"Sockets":      func() error { _, err := r.Sockets(pid, nil); return err },
		"Children":     func() error { _, err := r.Children(pid, nil); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
