package proc

import (
	"bytes"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Children appends to pids the children of a process, those that any of its
// threads has forked: /proc/PID/task/TID/children (proc_tid_children(5)). Where
// the kernel has no such file (CONFIG_PROC_CHILDREN), the error satisfies
// errors.Is for errors.ErrUnsupported. A child that is forked or reaped meanwhile
// may be missing or be another's, as the manual warns; one whose thread ends
// meanwhile moves to another thread, and may be there twice.
func (r *Reader) Children(pid int, pids []int) ([]int, error) {
	threads := path(pid, "task")
	err := r.entries(threads, func(_ int, name *byte) error {
		thread := unix.BytePtrToString(name)
		text, err := r.read(threads + "/" + thread + "/children")
		if thread == strconv.Itoa(pid) {
			// The first thread is there as long as its process, so that its list
			// is missing only where all are.
			err = unsupported(pid, err)
		}
		if Gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for field := range bytes.FieldsSeq(text) {
			if child, err := strconv.Atoi(string(field)); err == nil {
				pids = append(pids, child)
			}
		}
		return nil
	})
	return pids, err
}

// Processes returns the pids of all processes that /proc shows, in ascending
// order: with hidepid those of other users are not among them (proc(5)).
func (r *Reader) Processes() (pids []int, err error) {
	err = r.entries("/proc", func(_ int, name *byte) error {
		if pid, err := strconv.Atoi(unix.BytePtrToString(name)); err == nil {
			pids = append(pids, pid)
		}
		return nil
	})
	return pids, err
}

// maxAncestors bounds how far up the tree Ancestors goes.
const maxAncestors = 32

// Ancestors returns pid and its ancestors, nearest first, at most 32, up to the
// process until, or to one whose parent is 0: process 1, one whose parent is
// outside this pid namespace, or one that is gone.
func Ancestors(pid, until int, parent func(pid int) int) []int {
	line := []int{pid}
	for pid != until && len(line) < maxAncestors {
		if pid = parent(pid); pid <= 0 {
			break
		}
		line = append(line, pid)
	}
	return line
}

// Descendants returns pid and its descendants, each once, parents before their
// children. The function children appends those of a process to a list.
func Descendants(pid int, children func(pid int, pids []int) []int) []int {
	family := []int{pid}
	for i := 0; i < len(family); i++ {
		known := len(family)
		all := children(family[i], family)
		family = all[:known]
		for _, child := range all[known:] {
			if !slices.Contains(family, child) {
				family = append(family, child) // never beyond what is read of all
			}
		}
	}
	return family
}
