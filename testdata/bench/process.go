package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A usage is the memory that a process uses, in KB.
type usage struct {
	// anonymous is what the machine has less because of the process: pages with no file behind them (heap, stacks, data
	// that differ from the program file, shared memory), which the kernel cannot drop and read again. Of pages that
	// several processes have, each has its part.
	anonymous int
	// resident is all that is mapped in memory. Pages of the program file are part of it, which are in the page cache
	// once for all processes, and which the kernel takes back when it needs the room.
	resident int
}

// memory is taken from smaps_rollup, proc_pid_smaps(5): RssAnon and its like in proc_pid_status(5) are counted per
// processor and are off by up to 128 KB for each.
func memory(pid int) (usage, error) {
	fields, err := fields(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	return usage{fields["Pss_Anon"] + fields["Pss_Shmem"], fields["Rss"]}, err
}

// addTo adds the figures to samples.
func (u usage) addTo(anonymous, resident *sample) {
	anonymous.count(u.anonymous)
	resident.count(u.resident)
}

// switches is how often the threads of a process have been given a processor.
func switches(pid int) (n int, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return 0, err
	}
	for _, thread := range threads {
		fields, err := fields(thread)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		n += fields["voluntary_ctxt_switches"] + fields["nonvoluntary_ctxt_switches"]
	}
	return n, nil
}

// files is how many files a process has open.
func files(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries), err
}

// fields reads the numbers in a file of lines such as "Rss:  4096 kB".
func fields(path string) (map[string]int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	all := make(map[string]int)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if words := strings.Fields(value); len(words) > 0 {
			if n, err := strconv.Atoi(words[0]); err == nil {
				all[name] = n
			}
		}
	}
	return all, nil
}
