package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const patience = time.Minute // for what has to happen

var quick = pace{quiet: 20 * time.Millisecond, longest: 100 * time.Millisecond, noise: 50 * time.Millisecond, poll: 20 * time.Millisecond}

// rig is a Watch with a sentinel, by which it is known that what happened
// before has been looked at.
type rig struct {
	*testing.T
	*Watch
	dir      string
	sentinel string
	marks    int
	stop     context.CancelFunc
	ended    chan struct{}
	inotify  bool // nothing is polled from the start
	errors   []string
}

func watch(t *testing.T, pace pace, sources ...Source) *rig {
	t.Helper()
	r := &rig{T: t, dir: t.TempDir(), ended: make(chan struct{})}
	r.sentinel = r.dir + "/sentinel"
	write(t, r.sentinel, "0")
	w, err := start(append(sources, Source{"sentinel", at(r.sentinel).Paths}), pace)
	if err != nil {
		t.Fatal(err)
	}
	r.Watch, r.inotify = w, !w.polling
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() {
		defer close(r.ended)
		w.Run(ctx)
	}()
	t.Cleanup(r.end)
	return r
}

// end ends the watch and checks that what was reported last is what is.
func (r *rig) end() {
	r.stop()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.Fatal("Run does not end")
	}
	for _, s := range r.sources {
		if want := sum(r.T, s.Paths()...); s.current != want || s.reported != want {
			r.Errorf("%s is %x, of which %x is known and %x reported", s.Name, want, s.current, s.reported)
		}
	}
}

// sum is what a look at paths that do not change gives.
func sum(t *testing.T, paths ...string) uint64 {
	t.Helper()
	n, ok := attempt(map[string]*file{}, paths...)
	if !ok {
		t.Fatalf("%q: changes", paths)
	}
	return n
}

// attempt is one look. Where it is not ok it has no result.
func attempt(known map[string]*file, paths ...string) (sum uint64, ok bool) {
	l := newLook(known)
	for _, path := range paths {
		if l.source(path) != nil {
			return 0, true
		}
	}
	maps.Copy(known, l.kept)
	return max(1, l.hash.Sum64()), l.intact()
}

// at is the source that is one file or directory.
func at(path string) Source {
	return Source{path, func() []string { return []string{path} }}
}

func (r *rig) next() string {
	r.Helper()
	for {
		select {
		case report := <-r.Reports():
			if report.Err == nil {
				return report.Name
			}
			r.errors = append(r.errors, report.Err.Error())
		case <-time.After(patience):
			r.Fatal("nothing is reported")
		}
	}
}

// changes returns what is reported of what has happened until now. A poll may
// come to the sentinel before, the next does not.
func (r *rig) changes() (names []string) {
	r.Helper()
	for polled := false; ; polled = true {
		r.marks++
		// In one step, or the truncated file might be reported, too.
		write(r.T, r.sentinel+".new", fmt.Sprint(r.marks))
		must(r.T, os.Rename(r.sentinel+".new", r.sentinel))
		for name := r.next(); name != "sentinel"; name = r.next() {
			names = append(names, name)
		}
		if polled || r.inotify {
			return names
		}
	}
}

func (r *rig) expect(name string) {
	r.Helper()
	if got := r.next(); got != name {
		r.Fatalf("%s is reported, not %s", got, name)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// files writes what a map says, a link where the content begins with «-> ».
func files(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			must(t, os.Symlink(target, path))
		} else {
			write(t, path, content)
		}
	}
}

// A file that is removed and comes back at once was never gone.
func TestRewritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/f", "one")
	slow := quick
	slow.quiet, slow.longest = 2*time.Second, 4*time.Second
	r := watch(t, slow, at(dir+"/f"))
	remove("f")(t, dir)
	write(t, dir+"/f", "")
	write(t, dir+"/f", "one")
	if got := r.changes(); len(got) > 0 {
		t.Errorf("%q is reported", got)
	}
}

// Reports that nobody reads become one, or none.
func TestUnread(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a", "one")
	write(t, dir+"/b", "one")
	r := watch(t, quick, at(dir+"/a"), at(dir+"/b"))
	// That b is looked at is known from c, of which the first report waits.
	known := func() {
		t.Helper()
		if got := r.changes(); !slices.Equal(got, nil) {
			t.Fatalf("%q is reported", got)
		}
	}
	known()
	for i := range 100 {
		write(t, dir+"/a", fmt.Sprint(i))
	}
	write(t, dir+"/b", "two")
	got := r.changes()
	if n := len(slices.DeleteFunc(got, func(name string) bool { return name != dir+"/a" })); n == 0 || n > 100 {
		t.Errorf("%d reports of 100 updates", n)
	}
	// What is not delivered is not lost, and is one.
	w := &Watch{reports: make(chan Report), sources: []*source{{Source: Source{Name: "s"}, current: 1, reported: 1}}}
	s := w.sources[0]
	for _, s.current = range []uint64{2, 3} {
		if report, ch := w.next(); ch == nil || report.Name != "s" {
			t.Errorf("%+v", report)
		}
	}
	if s.current = 1; true {
		if _, ch := w.next(); ch != nil {
			t.Error("what is again as it was is reported")
		}
	}
	s.current = 4
	report, _ := w.next()
	if w.delivered(report); s.reported != 4 {
		t.Error("what was delivered is not known")
	}
}

// A file that is written all the time is reported all the same.
func TestNeverQuiet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/f", "")
	r := watch(t, quick, at(dir+"/f"))
	stop := busy(t, dir+"/f")
	for range 3 {
		r.expect(dir + "/f")
	}
	stop()
	r.changes()
}

// A turn looks once nothing more happens, or nothing less for too long.
func TestTurn(t *testing.T) {
	for _, test := range []struct {
		fresh, late bool
		looks       bool
	}{
		{false, false, true},
		{true, false, false},
		{true, true, true},
	} {
		dir := t.TempDir()
		write(t, dir+"/f", "one")
		w, err := start([]Source{at(dir + "/f")}, quick)
		must(t, err)
		s := w.sources[0]
		before := s.current
		write(t, dir+"/f", "two")
		s.dirty, w.fresh, w.phase, w.deadline = true, test.fresh, listening, time.Now().Add(time.Hour)
		if test.late {
			w.deadline = time.Now()
		}
		w.turn()
		want := idle
		if !test.looks {
			want = pausing
		}
		if looked := s.current != before; looked != test.looks || s.dirty == looked || w.phase != want {
			t.Errorf("%+v: looked %v, dirty %v, phase %d", test, looked, s.dirty, w.phase)
		}
		w.kernel.close()
	}
}

// A log beside a watched file is not looked at, nor is the file because of it.
func TestNoise(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/f", "one")
	r := watch(t, quick, at(dir+"/f"))
	write(t, dir+"/f", "two")
	r.expect(dir + "/f")
	stop := busy(t, dir+"/log")
	if got := r.changes(); len(got) > 0 {
		t.Errorf("%q is reported", got)
	}
	must(t, os.Rename(dir+"/f", dir+"/g")) // is not overlooked
	r.expect(dir + "/f")
	must(t, os.Rename(dir+"/g", dir+"/f"))
	r.expect(dir + "/f")
	stop()
	r.changes()
}

func TestNew(t *testing.T) {
	paths := func(paths ...string) []Source {
		return []Source{{"it", func() []string { return paths }}}
	}
	for want, sources := range map[string][]Source{
		"watch it: no file to watch":                                           paths(),
		"watch it: an empty path":                                              paths("/etc", ""),
		`watch it: "/a\x00": a path cannot contain a NUL byte`:                 paths("/a\x00"),
		"watch it: etc/x: a path must start with a slash, as in /etc/app.conf": paths("etc/x"),
	} {
		if w, err := New(sources); w != nil || err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	w, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	w.Run(ctx)
}

func TestNothingIsLeft(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{"d/e/f": "one"})
	goroutines, fds := runtime.NumGoroutine(), open(t)
	for range 10 {
		w, err := start([]Source{at(dir + "/d")}, quick)
		must(t, err)
		ended := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		go func() { defer close(ended); w.Run(ctx) }()
		write(t, dir+"/d/e/f", fmt.Sprint(time.Now()))
		<-w.Reports()
		stop()
		<-ended
	}
	if n := open(t); n != fds {
		t.Errorf("%d files are open, %d before", n, fds)
	}
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
}

func open(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}
