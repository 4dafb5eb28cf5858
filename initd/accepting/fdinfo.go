package accepting

import (
	"bytes"
	"iter"
	"strconv"
)

// target is what an epoll instance watches.
type target struct {
	fd                    int
	events, inode, device uint64
}

// targets are the lines of proc_pid_fdinfo(5) for an epoll instance:
//
//	tfd:        6 events: 2019 data:   55b27c0 pos:0 ino:d5a7 sdev:9
//
// The numbers but the first are hexadecimal. Kernels before 4.13 have no inode.
func targets(text []byte) iter.Seq[target] {
	return func(yield func(target) bool) {
		for line := range bytes.Lines(text) {
			if !bytes.HasPrefix(line, []byte("tfd:")) {
				continue
			}
			number, _, _ := bytes.Cut(bytes.TrimSpace(line[len("tfd:"):]), []byte(" "))
			fd, _ := strconv.Atoi(string(number))
			t := target{fd: fd, events: hexadecimal(line, "events:"), inode: hexadecimal(line, "ino:"), device: hexadecimal(line, "sdev:")}
			if !yield(t) {
				return
			}
		}
	}
}

// hexadecimal is the number that follows a name; 0 if there is none.
func hexadecimal(line []byte, name string) uint64 {
	_, rest, _ := bytes.Cut(line, []byte(name))
	for field := range bytes.FieldsSeq(rest) {
		n, _ := strconv.ParseUint(string(field), 16, 64)
		return n
	}
	return 0
}
