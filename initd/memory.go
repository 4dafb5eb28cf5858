package initd

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// memory is what initd can do without while it waits, which is nearly always.
type memory struct{ program []pages }

// pages are an address and a length in bytes.
type pages struct{ from, size uintptr }

// newMemory settles the heap at its smallest: left alone it would grow to 4 MB
// before the first collection. The collector's own tables, mark bits of several
// cycles for one, come to their size with the fifth.
func newMemory() *memory {
	debug.SetGCPercent(10)
	for range 5 {
		debug.FreeOSMemory()
	}
	return &memory{unchanged("/proc/self/smaps", "/proc/self/exe")}
}

// giveBack frees what a start or a swap has left on the heap, and unmaps the
// program's own pages. Their content stays in the page cache, from where the
// few that are wanted again are mapped again; madvise(2), MADV_DONTNEED. They
// are three quarters of what would be resident, and most served the start.
func (m *memory) giveBack() {
	debug.FreeOSMemory()
	for _, pages := range m.program {
		unix.Syscall(unix.SYS_MADVISE, pages.from, pages.size, unix.MADV_DONTNEED)
	}
}

// unchanged finds where a file is mapped and no page differs from the file:
// such a page would be lost. That a mapping cannot be written to does not say
// so, for a loader may have relocated it before. proc_pid_smaps(5).
func unchanged(smaps, file string) (found []pages) {
	name, err := os.Readlink(file)
	if err != nil {
		return nil
	}
	text, _ := os.ReadFile(smaps)
	var mapping pages // zero: not one of the file
	for line := range strings.Lines(string(text)) {
		var from, to uintptr
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n == 3 {
			mapping = pages{}
			if strings.HasPrefix(mode, "r-") && strings.HasSuffix(strings.TrimSpace(line), " "+name) {
				mapping = pages{from, to - from}
			}
		} else if count, ok := strings.CutPrefix(line, "Anonymous:"); ok && mapping.size > 0 && strings.TrimSpace(count) == "0 kB" {
			found = append(found, mapping)
		}
	}
	return found
}
