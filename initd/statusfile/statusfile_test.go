package statusfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// write has a file with that text written, and waits until it is.
func write(t *testing.T, f *File, text string) {
	t.Helper()
	var workers []Worker
	for line := range strings.Lines(text) {
		var w Worker
		if _, err := fmt.Sscanf(line, "%d:%d\n", &w.Generation, &w.PID); err != nil {
			t.Fatal(err)
		}
		workers = append(workers, w)
	}
	f.Write(workers)
	time.Sleep(spacing) // virtual
	synctest.Wait()
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func goroutine(f func()) { go f() }

// In a bubble of synctest a goroutine that does system calls runs on, and
// virtual time stands still meanwhile.
func TestWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "status")
		f, err := Open(path, goroutine, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		write(t, f, "")
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("there is a file, and nothing to tell: %v", err)
		}
		write(t, f, "1:101\n")
		old, err := os.Open(path) // as a reader in the midst of it
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		for _, text := range []string{"1:101\n2:102\n", "2:102\n", ""} {
			write(t, f, text)
			if got := content(t, path); got != text {
				t.Errorf("got %q, want %q", got, text)
			}
		}
		buffer := make([]byte, 100)
		if n, _ := old.Read(buffer); string(buffer[:n]) != "1:101\n" {
			t.Errorf("who reads it sees %q", buffer[:n])
		}
		f.Remove(time.Second)
		if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) > 0 {
			t.Errorf("left behind: %v", entries)
		}
	})
}

func TestRemoveLeavesAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "status")
		f, _ := Open(path, goroutine, nil)
		write(t, f, "1:101\n")
		os.Remove(path)
		os.WriteFile(path, []byte("7:7\n"), 0o600)
		f.Remove(time.Second)
		if got := content(t, path); got != "7:7\n" {
			t.Errorf("got %q", got)
		}
	})
}

// What cannot be written is told once, tried again, and told when it can.
func TestFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dir")
		told := make(chan error, 10)
		f, err := Open(dir+"/status", goroutine, func(err error) { told <- err })
		if err != nil {
			t.Fatal(err)
		}
		write(t, f, "1:101\n")
		time.Sleep(3 * retry) // virtual
		write(t, f, "2:102\n")
		if err := <-told; !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("told: %v", err)
		}
		os.Mkdir(dir, 0o700)
		time.Sleep(8 * retry)
		synctest.Wait()
		if err := <-told; err != nil {
			t.Errorf("told: %v", err)
		}
		if got := content(t, dir+"/status"); got != "2:102\n" {
			t.Errorf("the file has %q", got)
		}
		f.Remove(time.Second)
		if len(told) > 0 {
			t.Errorf("told again: %v", <-told)
		}
	})
}

// The last text is written, however fast they come.
func TestLatestWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status")
	f, _ := Open(path, goroutine, nil)
	for range 1000 {
		f.Write([]Worker{{1, 1}})
	}
	f.Write([]Worker{{2, 2}})
	kept := path + ".kept"
	for os.Link(path, kept) != nil || content(t, kept) != "2:2\n" {
		os.Remove(kept)
	}
	f.Remove(time.Minute)
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "status")
	for _, stale := range []string{"", "1:101\n2:102\n", "7:1"} {
		os.WriteFile(path, []byte(stale), 0o600)
		f, err := Open(path, goroutine, nil)
		if err != nil {
			t.Fatalf("%q: %v", stale, err)
		}
		if got := content(t, path); got != stale { // initd may yet find that another one runs
			t.Errorf("%q has become %q", stale, got)
		}
		f.Write(nil)
		f.Remove(time.Minute)
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%q is still there", stale)
		}
	}
	for _, precious := range []string{"root:x:0:0:root:/root:/bin/bash\n", "letter", "1:1\n\nx", "4711\n"} {
		os.WriteFile(path, []byte(precious), 0o600)
		if _, err := Open(path, goroutine, nil); err == nil || !strings.Contains(err.Error(), "not a status file") || content(t, path) != precious {
			t.Errorf("%q: %v, the file has %q", precious, err, content(t, path))
		}
	}
	syscall.Mkfifo(dir+"/fifo", 0o600)
	for _, other := range []string{dir, dir + "/fifo"} {
		if _, err := Open(other, goroutine, nil); err == nil {
			t.Errorf("%s was taken", other)
		}
	}
}

func TestGenerations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status")
	os.WriteFile(path, []byte("10:3\n9:4\n10:5\nx\n:1\n8\n"), 0o600)
	if got, err := Generations(path); err != nil || !slices.Equal(got, []int{9, 10}) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Generations(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}

// What somebody puts in the place of the file is not waited for.
func TestGenerationsOfAnother(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/status", []byte("1:101\n"), 0o600)
	os.Symlink("status", dir+"/link")
	syscall.Mkfifo(dir+"/fifo", 0o600)
	os.WriteFile(dir+"/huge", nil, 0o600)
	os.Truncate(dir+"/huge", 1<<40)
	for _, name := range []string{"link", "fifo", "huge"} {
		read := make(chan error, 1)
		go func() {
			_, err := Generations(dir + "/" + name)
			read <- err
		}()
		select {
		case err := <-read:
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s: it hangs", name)
			os.OpenFile(dir+"/fifo", os.O_WRONLY|syscall.O_NONBLOCK, 0)
		}
	}
	if _, err := Open(dir+"/huge", goroutine, nil); err == nil {
		t.Error("a huge file is replaced")
	}
}

// What has taken the file's place since the start is left alone.
func TestReplaced(t *testing.T) {
	for _, before := range []string{"", "1:101\n"} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "status")
			os.WriteFile(path, []byte("1:101\n"), 0o600)
			told := make(chan error, 10)
			f, err := Open(path, goroutine, func(err error) { told <- err })
			if err != nil {
				t.Fatal(err)
			}
			if before != "" {
				write(t, f, before)
			}
			os.WriteFile(path, []byte("precious"), 0o600)
			write(t, f, "")
			if len(told) != 1 || content(t, path) != "precious" {
				t.Errorf("%d are told, it has %q", len(told), content(t, path))
			} else if err := <-told; !strings.Contains(err.Error(), "not a status file") {
				t.Error(err)
			}
			f.Remove(time.Minute)
			if got := content(t, path); got != "precious" {
				t.Errorf("it has %q in the end", got)
			}
		})
	}
}
