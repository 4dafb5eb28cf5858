// Package processes finds out how many more processes and threads the kernel allows. The Go runtime does not: if it
// needs a thread and cannot have one, it ends the program with a stack trace.
package processes

import (
	"fmt"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limit is a limit of the number of processes and threads together.
type limit struct {
	name      string
	max, left int
	raise     string // how to raise it, a format for the number
}

// Check returns an error if a limit does not allow this many more processes and threads. The error names the limit and
// the least value that it needs. A limit that cannot be read is ignored.
func Check(more int) error {
	for _, l := range append(pids(), user()...) {
		if l.left < more {
			return fmt.Errorf("%d more processes or threads are needed, but %s (%d) leaves only %d: raise it to at least %d ("+l.raise+")",
				more, l.name, l.max, max(l.left, 0), l.max-l.left+more, l.max-l.left+more)
		}
	}
	return nil
}

// pids are the limits of this process's control group and of those above it that can be read: cgroups(7), "pids".
func pids() (limits []limit) {
	for line := range strings.Lines(read("/proc/self/cgroup")) {
		// number:controllers:path; in version 2 the number is 0 and there are no controllers.
		number, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, _ := strings.Cut(rest, ":")
		root := "/sys/fs/cgroup"
		switch {
		case number == "0" && controllers == "":
		case strings.Contains(","+controllers+",", ",pids,"):
			root += "/pids"
		default:
			continue
		}
		// In a container without a cgroup namespace the path is the host's, but the root is the container's group.
		for dir := path.Clean("/" + group); ; dir = path.Dir(dir) {
			most, limited := number32(read(root + dir + "/pids.max"))
			current, known := number32(read(root + dir + "/pids.current"))
			if limited && known {
				limits = append(limits, limit{"pids.max of the control group", most, most - current, "docker run --pids-limit=%d"})
			}
			if dir == "/" {
				break
			}
		}
	}
	return limits
}

// user is the limit of processes of a user who is not root: getrlimit(2), RLIMIT_NPROC. How many the user has is
// unknown, but not less than the threads of this process.
func user() (limits []limit) {
	var r unix.Rlimit
	if os.Geteuid() == 0 || unix.Getrlimit(unix.RLIMIT_NPROC, &r) != nil || r.Cur > math.MaxInt32 {
		return nil
	}
	var tasks unix.Stat_t
	if err := unix.Stat("/proc/self/task", &tasks); err != nil {
		return nil
	}
	threads := int(tasks.Nlink) - 2 // a directory has a link for each subdirectory, and two more
	return []limit{{"RLIMIT_NPROC", int(r.Cur), int(r.Cur) - threads, "ulimit -u %d"}}
}

// number32 reads a number. The limit may also be "max".
func number32(text string) (n int, ok bool) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	return n, err == nil && n <= math.MaxInt32
}

// read returns what is in a small file of the kernel, or nothing if it cannot be read. An os.File would start the
// runtime's poller.
func read(file string) string {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	buffer := make([]byte, 4096)
	n, _ := unix.Read(fd, buffer)
	return string(buffer[:max(n, 0)])
}
