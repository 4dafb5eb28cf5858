package web

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	oomScore = 900      // of 1000: before any worker, and long before PID 1
	memory   = 48 << 20 // bytes above which the garbage collector works harder
)

// BeModest makes this process the first to be killed when memory is short, which
// is to hit neither PID 1 nor a worker (proc(5), oom_score_adj), and has it use
// little. Workers of the same user cannot trace it any more (ptrace(2)). An error
// means that it is as likely to be killed as before.
func BeModest() error {
	defer unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // its files in /proc are root's from then on
	debug.SetMemoryLimit(memory)
	const file = "/proc/self/oom_score_adj"
	text, err := os.ReadFile(file)
	if err == nil {
		if score, _ := strconv.Atoi(strings.TrimSpace(string(text))); score >= oomScore {
			return nil
		}
		err = os.WriteFile(file, []byte(strconv.Itoa(oomScore)), 0)
	}
	if err != nil {
		return fmt.Errorf("set the OOM score of this process: %w", err)
	}
	return nil
}
