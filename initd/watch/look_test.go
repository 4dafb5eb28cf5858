package watch

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What one source has found out is not undone by what another one believes.
func TestPoints(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{"a/f": "one", "b/f": "two", "c/x": ""})
	must(t, os.Link(dir+"/a/f", dir+"/c/f"))
	w, err := start([]Source{at(dir + "/a/f"), at(dir + "/a/f"), at(dir + "/c/f")}, quick)
	must(t, err)
	defer w.kernel.close()
	exchange("a", "b")(t, dir)
	if _, ok := w.look(w.sources[1]); !ok || w.sources[1].polled {
		t.Error("a directory that has been replaced is not watched")
	}
	w.look(w.sources[0])
	if !w.sources[2].dirty {
		t.Error("a file was not watched for a moment, and nobody knows")
	}
	w.look(w.sources[2])
	for _, s := range w.sources {
		if !w.kernel.covers(s.points) {
			t.Errorf("%s is not watched", s.Name)
		}
	}
}

// What is known of a file is enough where nothing says that it has changed.
func TestKnown(t *testing.T) {
	path := t.TempDir() + "/f"
	write(t, path, "one")
	known := map[string]*file{}
	first, _ := attempt(known, path)
	other := *known[path]
	other.sum++
	for _, test := range []struct {
		age  time.Duration
		read bool
	}{{0, true}, {coarseness - 1, true}, {coarseness, false}} {
		f := other
		f.first = f.last.Add(-test.age)
		if got, _ := attempt(map[string]*file{path: &f}, path); (got == first) != test.read {
			t.Errorf("known for %v: read %v", test.age, !test.read)
		}
	}
	comm := "/proc/self/comm"
	first, _ = attempt(known, comm)
	for path, f := range known {
		if strings.HasSuffix(path, "/comm") {
			f.sum++
			f.first = f.last.Add(-time.Hour)
		}
	}
	if got, _ := attempt(known, comm); got != first {
		t.Error("a file that has no size is not read")
	}
}

// What changes between a look and the watch that it asks for is looked at.
func TestLooksAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/f", "one")
	asked := 0
	w, err := start([]Source{{"it", func() []string {
		if asked++; asked == 3 { // by New, and for two looks
			write(t, dir+"/f", "two")
		}
		return []string{dir + "/f"}
	}}}, quick)
	must(t, err)
	defer w.kernel.close()
	if got, want := w.sources[0].current, sum(t, dir+"/f"); asked != 3 || got != want {
		t.Errorf("after %d questions it is %x, not %x", asked, got, want)
	}
}

// busy writes to a file until the function it returns is called.
func busy(t *testing.T, path string) (stop func()) {
	f, err := os.Create(path)
	must(t, err)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer f.Close()
		for {
			select {
			case <-done:
				return
			default:
				f.WriteString("line\n")
				runtime.Gosched()
			}
		}
	}()
	return func() { close(done); <-ended }
}

// What may not be read is said once, and counts as such.
func TestUnreadable(t *testing.T) {
	asNobody(t, func() {
		dir := t.TempDir()
		files(t, dir, map[string]string{"f": "one", "d/f": "", "d/e/f": "", "x/f": "", "loop": "-> loop"})
		must(t, os.Chmod(dir+"/f", 0), os.Chmod(dir+"/d/e", 0), os.Chmod(dir+"/x", 0))
		defer os.Chmod(dir+"/x", 0o755)
		defer os.Chmod(dir+"/d/e", 0o755)
		r := watch(t, quick, at(dir+"/f"), at(dir+"/d"), at(dir+"/x/f"), at(dir+"/loop"))
		r.changes()
		mode("f", 0o644)(t, dir)
		r.expect(dir + "/f")
		write(t, dir+"/f", "two")
		r.expect(dir + "/f")
		write(t, dir+"/d/f", "two")
		r.expect(dir + "/d")
		mode("d/e", 0o755)(t, dir)
		r.expect(dir + "/d")
		write(t, dir+"/d/e/f", "two")
		r.expect(dir + "/d")
		mode("x", 0o755)(t, dir)
		r.expect(dir + "/x/f")
		must(t, os.Remove(dir+"/loop"))
		r.expect(dir + "/loop")
		mode("f", 0)(t, dir)
		r.expect(dir + "/f")
		for _, want := range []string{"/f: open DIR/f: permission denied", "/d: open DIR/d/e: permission denied", "/x/f: stat DIR/x/f: permission denied", "/loop: open DIR/loop: too many levels of symbolic links"} {
			want = "watch " + dir + strings.ReplaceAll(want, "DIR", dir)
			if n := len(slices.DeleteFunc(slices.Clone(r.errors), func(s string) bool { return s != want })); n != 1 {
				t.Errorf("%q is said %d times in\n%s", want, n, strings.Join(r.errors, "\n"))
			}
		}
	})
}

// A file system that fails changes nothing, and is asked again.
func TestFailure(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/f", "one")
	w, err := start([]Source{at(dir + "/f")}, quick)
	must(t, err)
	defer w.kernel.close()
	s := w.sources[0]
	before := s.current
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
	write(t, dir+"/f", "two")
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: old.Max}))
	w.update(s)
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old))
	if s.current != before || !s.polled || len(w.errs) != 1 {
		t.Errorf("%x, was %x; polled %v; %v", s.current, before, s.polled, w.errs)
	}
	w.polls()
	if !s.dirty || s.polled {
		t.Error("it was not asked again")
	}
	if w.update(s); s.current == before {
		t.Error("what changed meanwhile is not known")
	}
}

// What cannot be read in a directory keeps nobody from watching the others. What was
// known of it stays until it can be read again.
func TestFailingFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files(t, dir, map[string]string{"a": "one", "d/mem": "-> /proc/self/mem", "known": "-> a", "z": "one"}) // EIO: there is nothing at 0
	r := watch(t, quick, at(dir))
	r.changes()
	write(t, dir+"/z", "two")
	r.expect(dir)
	must(t, os.Symlink("/proc/self/mem", dir+"/.#new"), os.Rename(dir+"/.#new", dir+"/known"))
	if got := r.changes(); len(got) > 0 {
		t.Errorf("%q is reported, although nothing is known", got)
	}
	write(t, dir+"/z", "three")
	r.expect(dir)
	must(t, os.Symlink("z", dir+"/.#new"), os.Rename(dir+"/.#new", dir+"/known"))
	r.expect(dir)
	for _, name := range []string{"known", "d/mem"} {
		must(t, os.Remove(dir+"/"+name))
		r.expect(dir)
	}
	for _, s := range r.errors {
		if !strings.Contains(s, "/mem: input/output error") {
			t.Errorf("it reports %q", s)
		}
	}
	if len(r.errors) == 0 {
		t.Error("nobody is told")
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mkdir("d")(t, dir)
	for i := range maxNames + 1 {
		write(t, fmt.Sprintf("%s/d/%d", dir, i), "")
	}
	for _, name := range []string{"fits", "large"} {
		write(t, dir+"/"+name, "")
	}
	must(t, os.Truncate(dir+"/fits", maxBytes), os.Truncate(dir+"/large", maxBytes+1))
	r := watch(t, quick, at(dir+"/fits"), at(dir+"/large"), at(dir))
	r.sources[2].Name = "all"
	for _, step := range []struct {
		what func(*testing.T, string)
		want []string
	}{
		{touch("fits"), []string{}},
		{touch("large"), []string{dir + "/large", "all"}}, // by its time
		{put("d/new", ""), []string{"all"}},
		{put("d/new", "content"), []string{}},
		{put("fits", "x"), []string{dir + "/fits", "all"}},
		{put("large", "x"), []string{dir + "/large", "all"}},
		{touch("large"), []string{}},
	} {
		step.what(t, dir)
		got := r.changes()
		slices.Sort(got)
		slices.Sort(step.want)
		if !slices.Equal(slices.Compact(got), step.want) {
			t.Errorf("%q are reported, not %q", got, step.want)
		}
	}
	for _, want := range []string{
		"watch " + dir + "/large: " + dir + "/large: with this file there are more than 64 MiB to read: changes to it are detected by size, time and inode",
		"watch all: " + dir + "/d: more than 10000 files in total: their contents are not watched; watch only the part that matters",
	} {
		if !slices.Contains(r.errors, want) {
			t.Errorf("%q is not said in\n%s", want, strings.Join(r.errors, "\n"))
		}
	}
}

// What a command is may be found elsewhere later.
func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files(t, dir, map[string]string{"a/x": "", "b/app": "one", "c/app": "other"})
	r := watch(t, quick, Source{"command", func() (paths []string) {
		for _, d := range []string{"a", "b", "c"} {
			paths = append(paths, dir+"/"+d+"/app")
			if _, err := os.Stat(paths[len(paths)-1]); err == nil {
				break
			}
		}
		return paths
	}})
	for i, step := range []event{
		{false, put("c/app", "more")},
		{true, put("b/app", "two")},
		{false, put("a/app", "two")},
		{false, put("b/app", "not any more")},
		{true, put("a/app", "three")},
		{true, remove("a")},
		{true, remove("b/app")},
		{true, put("c/app", "last")},
		{true, remove("c")},
		{true, put("a/app", "back")},
	} {
		step.what(t, dir)
		if got := r.changes(); len(got) > 0 != step.changed {
			t.Fatalf("step %d: %q is reported", i+1, got)
		}
	}
}
