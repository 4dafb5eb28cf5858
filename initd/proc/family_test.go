package proc

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestChildren(t *testing.T) {
	p := started(t, "parent", nil)
	child, _ := strconv.Atoi(p.hello)
	defer unix.Kill(child, unix.SIGKILL)
	got, err := new(Reader).Children(p.pid, []int{7})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("a kernel without CONFIG_PROC_CHILDREN: %v", err)
	}
	if err != nil || !slices.Equal(got, []int{7, child}) {
		t.Errorf("Children() = %d, %v, want 7 and %d", got, err, child)
	}
}

func TestProcesses(t *testing.T) {
	p := started(t, "stay", nil)
	got, err := new(Reader).Processes()
	if err != nil || !slices.IsSorted(got) || !slices.Contains(got, os.Getpid()) || !slices.Contains(got, p.pid) {
		t.Errorf("Processes() = %d, %v, want %d and %d among them", got, err, os.Getpid(), p.pid)
	}
}

func TestAncestors(t *testing.T) {
	tree := map[int]int{2: 1, 10: 2, 20: 10, 30: 20, 40: 0, 41: 40}
	parent := func(pid int) int { return tree[pid] }
	tests := []struct {
		name       string
		pid, until int
		want       []int
	}{
		{"to us", 30, 10, []int{30, 20, 10}},
		{"us", 10, 10, []int{10}},
		{"to process 1, which is us", 20, 1, []int{20, 10, 2, 1}},
		{"to process 1, past us", 20, 99, []int{20, 10, 2, 1}},
		{"process 1", 1, 99, []int{1}},
		{"out of the namespace", 41, 1, []int{41, 40}},
		{"gone", 77, 1, []int{77}},
	}
	for _, test := range tests {
		if got := Ancestors(test.pid, test.until, parent); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}

	endless := func(pid int) int { return pid + 1 }
	if got := Ancestors(2, 1, endless); len(got) != maxAncestors {
		t.Errorf("an endless line gave %d, want %d", len(got), maxAncestors)
	}
}

func TestDescendants(t *testing.T) {
	tree := map[int][]int{
		1: {2, 3, 2}, // 2 was read twice
		2: {4, 5},
		3: {6, 4, 6, 7}, // 4 has a new parent since
		7: {1},          // a pid that was given away again
		8: {9},
	}
	children := func(pid int, pids []int) []int { return append(pids, tree[pid]...) }
	for root, want := range map[int][]int{1: {1, 2, 3, 4, 5, 6, 7}, 6: {6}, 8: {8, 9}} {
		if got := Descendants(root, children); !slices.Equal(got, want) {
			t.Errorf("of %d: %v, want %v", root, got, want)
		}
	}
}
