package proc

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// A Stat is what is in /proc/PID/stat (proc_pid_stat(5)).
type Stat struct {
	Name   string // of the program, cut at 15 bytes, or of its own choice
	State  byte   // R, S, D, Z …
	Parent int    // 0 for none in this pid namespace
	Group  int
	CPU    time.Duration // of its threads, in ticks of 10 ms; see also the function CPU
	Reaped time.Duration // CPU of the children that it has waited for, and theirs
	Start  uint64        // in ticks since the boot; with the pid it is the process for good
}

// tick is USER_HZ, which is 100 wherever Go runs on Linux; times(2).
const tick = 10 * time.Millisecond

// Stat reads /proc/PID/stat. A zombie has one, too.
func (r *Reader) Stat(pid int) (Stat, error) {
	line, err := r.read(path(pid, "stat"))
	if err != nil {
		return Stat{}, err
	}
	s, err := ParseStat(line)
	if err != nil {
		return Stat{}, fmt.Errorf("read %s: %w", path(pid, "stat"), err)
	}
	return s, nil
}

// ParseStat reads the line of proc_pid_stat(5): pid (comm) state ppid pgrp ….
// comm is the program's to choose, blanks, parentheses and newlines included;
// nothing after it has a parenthesis.
func ParseStat(line []byte) (s Stat, err error) {
	begin, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if begin < 0 || end < begin {
		return s, fmt.Errorf("%.200q is no line of proc_pid_stat(5)", line)
	}
	s.Name = string(line[begin+1 : end])
	rest := line[end+1:]
	field := func() (text string) { // the next one
		rest = bytes.TrimLeft(rest, " ")
		text, rest = cut(rest)
		return text
	}
	number := func() (n int64) { // the group of one that is being reaped is -1
		text := field()
		if err == nil {
			if n, err = strconv.ParseInt(text, 10, 64); err != nil {
				err = fmt.Errorf("%.200q: %w", line, err)
			}
		}
		return n
	}
	skip := func(n int) {
		for range n {
			field()
		}
	}
	if state := field(); len(state) == 1 {
		s.State = state[0]
	} else {
		return Stat{}, fmt.Errorf("%.200q has no state", line)
	}
	s.Parent = int(number())                           // 4
	s.Group = int(number())                            // 5
	skip(8)                                            // session … cmajflt
	s.CPU = time.Duration(number()+number()) * tick    // 14 utime, 15 stime
	s.Reaped = time.Duration(number()+number()) * tick // 16 cutime, 17 cstime
	skip(4)                                            // priority … itrealvalue
	s.Start = uint64(number())                         // 22
	if err != nil {
		return Stat{}, err
	}
	return s, nil
}

// cut cuts the first field off a line.
func cut(line []byte) (field string, rest []byte) {
	if i := bytes.IndexAny(line, " \n"); i >= 0 {
		return string(line[:i]), line[i:]
	}
	return string(line), nil
}
