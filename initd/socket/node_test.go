package socket

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPathRestored: a path that was removed leads to the same socket again; where its file has no other name left, to a
// new one, unless a goroutine of initd's accepts on it. What is there instead is left alone.
func TestPathRestored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	spare := filepath.Join(filepath.Dir(path), ".s.initd")
	set := open(t, "path "+path)
	relisten := func(want ...Mended) error {
		t.Helper()
		mended, err := set.Relisten()
		if !slices.Equal(mended, want) {
			t.Errorf("Relisten() = %+v, %v; want %+v", mended, err, want)
		}
		return err
	}
	var before, after unix.Stat_t
	unix.Lstat(path, &before)
	os.Remove(path)
	if err := relisten(Mended{Key: path, Slot: -1, Restored: true}); err != nil {
		t.Error(err)
	}
	if err := unix.Lstat(path, &after); err != nil || after.Ino != before.Ino || connect(set.All()[0]) != nil {
		t.Errorf("the path leads to %d, %v, and not to %d", after.Ino, err, before.Ino)
	}
	if err := relisten(); err != nil {
		t.Error(err)
	}

	os.Remove(path)
	os.Remove(spare)
	set.options.Alone = true
	if err := relisten(); err == nil {
		t.Error("no error where it cannot be restored")
	}
	set.options.Alone = false
	if err := relisten(Mended{Key: path, Slot: -1, Replaced: true}); err != nil || connect(set.All()[0]) != nil {
		t.Error("no new socket", err)
	}

	os.Remove(path)
	os.WriteFile(path, []byte("precious"), 0o600)
	if err := relisten(); err == nil {
		t.Error("no error where another file is there")
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file has %q, %v", text, err)
	}
	if _, err := os.Lstat(spare); !os.IsNotExist(err) {
		t.Errorf("the other name is left behind: %v", err)
	}
}

// TestSpareOfAnother: the other name that an initd has left when it was killed is taken again, and what is no dead socket
// is left alone.
func TestSpareOfAnother(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"/.dead.initd", "/dead"} {
		unix.Close(listener(t, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: dir + name}))
	}
	os.WriteFile(dir+"/.file.initd", []byte("precious"), 0o600)
	set := open(t, "path "+dir+"/dead", "path "+dir+"/file")
	os.Remove(dir + "/dead")
	if mended, err := set.Relisten(); len(mended) != 1 || !mended[0].Restored || err != nil {
		t.Errorf("Relisten() = %+v, %v", mended, err)
	}
	set.Close()
	if text, err := os.ReadFile(dir + "/.file.initd"); string(text) != "precious" {
		t.Errorf("the file has %q, %v", text, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("it has left %v", left)
	}
}
