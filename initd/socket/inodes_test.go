package socket

import (
	"os"
	"slices"
	"testing"

	"server-starter/initd/proc"
)

// TestInodes: they are those by which /proc shows what a process has open.
func TestInodes(t *testing.T) {
	set := openSlots(t, 3, "port 127.0.0.1:0", "path "+t.TempDir()+"/s")
	inodes := set.Inodes()
	held, err := new(proc.Reader).Sockets(os.Getpid(), nil)
	if err != nil || len(inodes) != 4 || slices.ContainsFunc(inodes, func(n uint32) bool { return !slices.Contains(held, n) }) {
		t.Errorf("the inodes are %v, and the process has %v, %v", inodes, held, err)
	}
	if none := (*Set)(nil).Inodes(); none != nil {
		t.Errorf("no listeners have the inodes %v", none)
	}
}
