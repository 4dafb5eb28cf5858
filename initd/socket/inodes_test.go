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

// TestRelease: no descriptor is left, nothing is mended any more, and the file of a unix socket is removed at last.
func TestRelease(t *testing.T) {
	path := t.TempDir() + "/s"
	set := openSlots(t, 3, "port 127.0.0.1:0", "path "+path)
	inodes, key := set.Inodes(), set.All()[0].Key
	set.Release()
	held, err := new(proc.Reader).Sockets(os.Getpid(), nil)
	if err != nil || slices.ContainsFunc(held, func(n uint32) bool { return slices.Contains(inodes, n) }) {
		t.Errorf("of the sockets %v the process has %v, %v", inodes, held, err)
	}
	if !slices.Equal(set.Inodes(), inodes) || set.All()[0].Key != key {
		t.Error("it has forgotten what the listeners were")
	}
	mended, err := set.Relisten()
	if len(mended) > 0 || err != nil || set.Grow(5) != nil || set.Steer([]int{1}) != nil || len(set.Waiting()) > 0 || set.Queue(0) != 0 {
		t.Errorf("it has mended %v, %v", mended, err)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the file of the unix socket is there")
	}
}
