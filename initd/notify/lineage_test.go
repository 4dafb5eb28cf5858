package notify

import (
	"slices"
	"testing"
)

func TestLineage(t *testing.T) {
	tree := map[int]int{2: 1, 10: 2, 20: 10, 30: 20, 40: 0, 41: 40}
	stat := func(pid int) (parent, group int) { return tree[pid], 0 }
	tests := []struct {
		name      string
		pid, self int
		want      []int
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
		if got := lineage(test.pid, test.self, stat); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}

	endless := func(pid int) (parent, group int) { return pid + 1, 0 }
	if got := lineage(2, 1, endless); len(got) != maxLineage {
		t.Errorf("an endless lineage gave %d, want %d", len(got), maxLineage)
	}
}
