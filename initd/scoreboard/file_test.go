package scoreboard

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"server-starter/initd/scoreboard/layout"
	"server-starter/initd/scoreboard/reader"
)

// A file that someone makes shorter is lost, and nothing else is.
func TestCutOff(t *testing.T) {
	for name, use := range map[string]func(*Board) bool{
		"claim": func(b *Board) bool {
			row, err := b.Claim(1, 0)
			if err != b.err {
				t.Errorf("claim: row %d, %v, and the board's error is %v", row, err, b.err)
			}
			return row != NoRow
		},
		"read":    func(b *Board) bool { _, ok := b.Read(0); return ok },
		"assign":  func(b *Board) bool { b.Assign(0, 1); return false },
		"release": func(b *Board) bool { b.Release(0); return false },
	} {
		path := filepath.Join(t.TempDir(), "board")
		b := create(t, path, 4)
		reader := open(t, b)
		b.Claim(1, 0)
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		if r, ok := reader.Row(0); ok {
			t.Errorf("a reader: %+v", r)
		}
		if b.err != nil {
			t.Errorf("%s: before: %v", name, b.err)
		}
		if use(b) || !errors.Is(b.err, layout.ErrGone) || !strings.Contains(b.err.Error(), path) {
			t.Errorf("%s: %v", name, b.err)
		}
		if use(b) {
			t.Errorf("%s: once more", name)
		}
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "board")
	defer unix.Umask(unix.Umask(0o077))
	// Of another process of this number, which ended in the middle.
	os.WriteFile(fmt.Sprint(path, ".", os.Getpid()), []byte("left"), 0o600)
	b := create(t, path, 100)
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil || stat.Mode != unix.S_IFREG|0o644 {
		t.Errorf("mode %o, %v", stat.Mode, err)
	}
	if size := int64(b.sizes.Total()); stat.Size != size || stat.Blocks*512 < size {
		t.Errorf("%d bytes and %d allocated, want %d", stat.Size, stat.Blocks*512, size)
	}
	row, _ := b.Claim(1, 0)
	r, err := reader.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if w, ok := r.Row(row); !ok || w.Generation != 1 {
		t.Errorf("by its name: %+v, %v", w, ok)
	}

	second := create(t, path, 2) // replaces it
	b.Assign(row, 9)             // which those that have it do not notice
	if w, ok := r.Row(row); !ok || w.PID != 9 {
		t.Errorf("after it was replaced: %+v, %v", w, ok)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the end of the first removes the second's: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := second.Claim(1, 0); err == nil {
		t.Error("a row of a closed board")
	}
}

func TestWhatIsNoBoardIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(path string) error{
		"text":      func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"empty":     func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":      func(path string) error { return os.Symlink("/dev/null", path) },
		"fifo":      func(path string) error { return unix.Mkfifo(path, 0o600) },
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Lstat(path)
		_, err := Create(path, 1)
		if err == nil || !strings.Contains(err.Error(), "not a scoreboard") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.Lstat(path); !os.SameFile(before, after) || after.Size() != before.Size() {
			t.Errorf("%s was changed", name)
		}
		if _, err := reader.Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s opens: %v", name, err)
		}
	}
	if _, err := Create(filepath.Join(dir, "absent", "board"), 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 5 {
		t.Errorf("left: %v", left)
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Skipf("a small file system needs CAP_SYS_ADMIN: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if _, err := Create(filepath.Join(dir, "board"), 1000); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	create(t, filepath.Join(dir, "board"), 10)
}
