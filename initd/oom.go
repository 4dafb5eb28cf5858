package initd

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// oomKills is the kernel's count of the processes of initd's own cgroup that it has killed
// because memory ran out: oom_kill of memory.events (cgroup v2,
// Documentation/admin-guide/cgroup-v2.rst) or of memory.oom_control (v1). It is raised
// before the signal is sent (__oom_kill_process in mm/oom_kill.c), and is so when the
// victim is reaped. The file is kept open: a read of it cannot hang, whatever is mounted
// over its path later.
type oomKills struct {
	fd     int // -1: there is no such file
	seen   int64
	credit int64     // kills that were seen and no worker has ended by yet
	at     time.Time // when they were
}

// sameKill is how long after a look a worker may be reaped that was killed before it: with
// memory.oom.group the kernel kills all processes of a cgroup together.
const sameKill = time.Second

// openOOMKills opens the count of the cgroup that this process is in. Membership is what
// /proc/self/cgroup has; cgroups(7). A container without a cgroup namespace sees its own
// cgroup at the root of the mount, and has there the path that the host has.
func openOOMKills(root string, membership []byte, isCgroup func(fd int) bool) *oomKills {
	for line := range strings.Lines(string(membership)) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		var mount, file string
		switch {
		case id == "0" && controllers == "":
			mount, file = root, "memory.events"
		case controllers == "memory":
			mount, file = filepath.Join(root, "memory"), "memory.oom_control"
		default:
			continue
		}
		for _, dir := range []string{filepath.Join(mount, filepath.Clean("/"+path)), mount} {
			fd, err := unix.Open(filepath.Join(dir, file), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
			if err != nil {
				continue
			}
			k := &oomKills{fd: fd}
			var ok bool
			if k.seen, ok = k.read(); ok && isCgroup(fd) {
				return k
			}
			unix.Close(fd)
		}
	}
	return &oomKills{fd: -1}
}

// ownOOMKills opens the count of initd's own cgroup.
func ownOOMKills() *oomKills {
	membership, _ := os.ReadFile("/proc/self/cgroup")
	return openOOMKills("/sys/fs/cgroup", membership, isCgroup)
}

// isCgroup reports whether a file is the kernel's; statfs(2).
func isCgroup(fd int) bool {
	var s unix.Statfs_t
	return unix.Fstatfs(fd, &s) == nil && (s.Type == unix.CGROUP2_SUPER_MAGIC || s.Type == unix.CGROUP_SUPER_MAGIC)
}

// read returns the count, and whether there is one: Linux before 4.13 has none.
func (k *oomKills) read() (n int64, ok bool) {
	var text [4096]byte
	size, err := unix.Pread(k.fd, text[:], 0)
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(text[:max(size, 0)]) {
		if name, value, found := bytes.Cut(bytes.TrimSpace(line), []byte(" ")); found && string(name) == "oom_kill" {
			n, err := strconv.ParseInt(string(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// claim reports whether a process that was killed, by somebody else than initd, has been
// killed because memory ran out: the count has risen since the last look.
func (k *oomKills) claim(now time.Time) bool {
	if k == nil || k.fd < 0 {
		return false
	}
	n, ok := k.read()
	switch {
	case ok && n > k.seen:
		k.credit, k.at, k.seen = n-k.seen, now, n
	case now.Sub(k.at) > sameKill:
		k.credit = 0
	}
	if k.credit == 0 {
		return false
	}
	k.credit--
	return true
}
