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
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

const patience = time.Minute // for what has to happen

var quick = pace{quiet: 20 * time.Millisecond, patience: 100 * time.Millisecond, noise: 50 * time.Millisecond, poll: 20 * time.Millisecond}

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

// sum is what a look at paths that are at rest gives.
func sum(t *testing.T, paths ...string) uint64 {
	t.Helper()
	n, ok := attempt(map[string]*file{}, paths...)
	if !ok {
		t.Fatalf("%q: changes", paths)
	}
	return n
}

// attempt is one look, which is as good as none where it is not ok.
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

// settled returns what is reported of what has happened until now. A poll may
// come to the sentinel before, the next does not.
func (r *rig) settled() (names []string) {
	r.Helper()
	for polled := false; ; polled = true {
		r.marks++
		write(r.T, r.sentinel, fmt.Sprint(r.marks))
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

// story is what happens to a path, and whether its content then is another.
type story struct {
	name   string
	files  map[string]string
	path   string
	events []event
}

type event struct {
	changed bool
	what    func(t *testing.T, dir string)
}

func put(name, content string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { files(t, dir, map[string]string{name: content}) }
}

// replace is what an editor does: a new file takes the place of the old.
func replace(name, content string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		files(t, dir, map[string]string{name + ".new": content})
		must(t, os.Rename(dir+"/"+name+".new", dir+"/"+name))
	}
}

func move(from, to string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { must(t, os.Rename(dir+"/"+from, dir+"/"+to)) }
}

func remove(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { must(t, os.RemoveAll(dir+"/"+name)) }
}

func mode(name string, mode os.FileMode) func(*testing.T, string) {
	return func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/"+name, mode)) }
}

func touch(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		must(t, os.Chtimes(dir+"/"+name, time.Now(), time.Now().Add(-time.Hour)))
	}
}

func mkdir(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { must(t, os.MkdirAll(dir+"/"+name, 0o755)) }
}

// exchange swaps two names at one moment: renameat2(2).
func exchange(a, b string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		must(t, unix.Renameat2(unix.AT_FDCWD, dir+"/"+a, unix.AT_FDCWD, dir+"/"+b, unix.RENAME_EXCHANGE))
	}
}

var stories = []story{
	{"file", map[string]string{"f": "one", "g": "one"}, "f", []event{
		{true, put("f", "two")},
		{false, put("f", "two")},
		{false, touch("f")},
		{false, mode("f", 0o600)},
		{true, mode("f", 0o755)},
		{true, put("f", "")},
		{true, put("f", "once")},
		{false, put("g", "two")},
		{false, remove("g")},
		{true, remove("f")},
		{true, put("f", "")},
		{true, put("f", "new")},
		{true, replace("f", "newer")},
		{true, put("f", "newest")},
		{false, replace("f", "newest")},
	}},
	{"moved away and back", map[string]string{"f": "one"}, "f", []event{
		{true, move("f", "g")},
		{false, put("g", "two")},
		{true, move("g", "f")},
		{true, put("f", "three")},
	}},
	{"not there yet", nil, "a/b/c/f", []event{
		{false, mkdir("a")},
		{false, put("a/f", "")},
		{true, put("a/b/c/f", "one")},
		{true, put("a/b/c/f", "two")},
		{true, remove("a")},
		{true, put("a/b/c/f", "three")},
		{true, put("a/b/c/f", "four")},
	}},
	{"a directory above is replaced", map[string]string{"a/b/f": "one", "n/b/f": "two", "m/b/f": "two"}, "a/b/f", []event{
		{true, exchange("a", "n")},
		{false, put("n/b/f", "none")},
		{false, exchange("a", "m")},
		{false, put("m/b/f", "none")},
		{true, put("a/b/f", "three")},
		{true, move("a", "o")},
		{false, put("o/b/f", "none")},
		{true, move("o", "a")},
		{true, put("a/b/f", "four")},
	}},
	{"a file where a directory was", map[string]string{"a/f": "one"}, "a/f", []event{
		{true, remove("a")},
		{false, put("a", "file")},
		{false, remove("a")},
		{true, put("a/f", "two")},
	}},
	{"links", map[string]string{"f": "-> l/m", "l": "-> d1", "d1/m": "-> ../x/../d1/file", "x/y": "", "d1/file": "one", "d2/m": "two"}, "f", []event{
		{true, put("d1/file", "more")},
		{false, put("d2/m", "not yet")},
		{true, func(t *testing.T, dir string) { put("n", "-> d2")(t, dir); move("n", "l")(t, dir) }},
		{false, put("d1/file", "not any more")},
		{true, put("d2/m", "two")},
		{false, func(t *testing.T, dir string) {
			put("c", "two")(t, dir)
			put("n", "-> c")(t, dir)
			move("n", "f")(t, dir)
		}},
		{true, put("c", "three")},
		{true, remove("c")},
		{false, remove("f")},
		{true, put("f", "here")},
	}},
	{"absolute link", map[string]string{"f": "-> /proc/self/comm", "g": "file"}, "f", []event{
		{true, func(t *testing.T, dir string) { remove("f")(t, dir); put("f", "-> "+dir+"/g")(t, dir) }},
		{true, put("g", "more")},
	}},
	{"hard link", map[string]string{"d/f": "one", "e/x": ""}, "d/f", []event{
		{false, func(t *testing.T, dir string) { must(t, os.Link(dir+"/d/f", dir+"/e/g")) }},
		{true, put("e/g", "two")},
		{true, remove("d/f")},
		{false, put("e/g", "three")},
	}},
	{"directory", map[string]string{"d/f": "one", "d/s/t/g": "two", "other/f": "", "out": "out"}, "d", []event{
		{true, put("d/f", "1")},
		{true, put("d/s/t/g", "2")},
		{true, put("d/h", "")},
		{true, mode("d/h", 0o755)},
		{false, touch("d/h")},
		{false, touch("d/s")},
		{false, mode("d/s", 0o700)},
		{true, move("d/h", "d/i")},
		{true, put("d/n/e/w/f", "deep")},
		{true, put("d/n/e/w/f", "deeper")},
		{true, move("d/n", "d/s/n")},
		{true, put("d/s/n/e/w/f", "elsewhere")},
		{true, mkdir("d/empty")},
		{true, remove("d/empty")},
		{false, put("other/f", "none")},
		{true, put("d/l", "-> ../out")},
		{true, put("out", "in")},
		{true, put("d/dangling", "-> ../nothing")},
		{true, put("nothing", "something")},
		{true, remove("nothing")},
		{true, put("d/ld", "-> ../other")},
		{true, put("other/f", "all")},
		{true, put("d/s/loop", "-> ..")},
		{true, put("d/f", "in a loop")},
		{true, func(t *testing.T, dir string) { must(t, os.Link(dir+"/out", dir+"/d/hard")) }},
		{true, put("out", "by another name")},
		{true, func(t *testing.T, dir string) { must(t, unix.Mkfifo(dir+"/d/fifo", 0o644)) }},
		{true, remove("d/s")},
		{true, remove("d")},
		{true, put("d/f", "again")},
		{true, put("d/f", "and again")},
	}},
	{"hard link in a directory", map[string]string{"d/x": "", "out": "out"}, "d", []event{
		{true, func(t *testing.T, dir string) { must(t, os.Link(dir+"/out", dir+"/d/f")) }},
		{true, put("out", "by another name")},
	}},
	// The inode is often the same: only an event tells that it is watched no more.
	{"made anew at once", map[string]string{"d/e/f": "one"}, "d", []event{
		{true, func(t *testing.T, dir string) { remove("d")(t, dir); put("d/e/g", "two")(t, dir) }},
		{true, put("d/e/g", "three")},
		{true, func(t *testing.T, dir string) { remove("d/e")(t, dir); put("d/e/h", "two")(t, dir) }},
		{true, put("d/e/h", "three")},
	}},
	{"passed over", map[string]string{"d/f": "one", "d/.env": "A=1"}, "d", []event{
		{false, put("d/.f.swp", "editing")},
		{false, put("d/.git/index", "")},
		{false, put("d/f~", "")},
		{false, put("d/.#f", "-> me@here:1")},
		{false, put("d/..x", "")},
		{true, put("d/.env", "A=2")},
		{true, put("d/.htpasswd", "")},
		{true, replace("d/f", "two")},
	}},
	{"file in a volume", map[string]string{"v/..data": "-> ..1", "v/..1/f": "one", "v/..2/f": "two", "v/..2/g": "", "v/f": "-> ..data/f"}, "v/f", []event{
		{false, put("v/..data_tmp", "-> ..2")},
		{true, move("v/..data_tmp", "v/..data")},
		{false, remove("v/..1")},
		{false, put("v/g", "-> ..data/g")},
	}},
	{"volume", map[string]string{"v/..data": "-> ..1", "v/..1/f": "one", "v/..2/f": "one", "v/..2/g": "", "v/f": "-> ..data/f"}, "v", []event{
		{false, put("v/..data_tmp", "-> ..2")},
		{true, move("v/..data_tmp", "v/..data")},
		{false, put("v/g", "-> ..data/g")},
		{false, remove("v/..1")},
		{true, put("v/..2/f", "by hand")},
		{true, remove("v/..data")},
		{true, put("v/h", "")},
	}},
}

func TestStories(t *testing.T) { tell(t) }

// Without inotify all is the same.
func TestStoriesPolled(t *testing.T) {
	inNamespace(t, func() {
		limit(t, "instances", 0)
		tell(t)
	})
}

func tell(t *testing.T) {
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			files(t, dir, story.files)
			r := watch(t, quick, at(dir+"/"+story.path))
			r.sources[0].Name = "it"
			for i, event := range story.events {
				event.what(t, dir)
				got := r.settled()
				// What takes more than one system call may be seen in between.
				if len(got) > 0 != event.changed {
					t.Fatalf("event %d: %q is reported", i+1, got)
				}
			}
			if r.inotify && len(r.errors) > 0 {
				t.Errorf("%q", r.errors)
			}
		})
	}
}

// A file that is removed and comes back at once was never gone.
func TestRewritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/f", "one")
	slow := quick
	slow.quiet, slow.patience = 2*time.Second, 4*time.Second
	r := watch(t, slow, at(dir+"/f"))
	remove("f")(t, dir)
	write(t, dir+"/f", "")
	write(t, dir+"/f", "one")
	if got := r.settled(); len(got) > 0 {
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
		if got := r.settled(); !slices.Equal(got, nil) {
			t.Fatalf("%q is reported", got)
		}
	}
	known()
	for i := range 100 {
		write(t, dir+"/a", fmt.Sprint(i))
	}
	write(t, dir+"/b", "two")
	got := r.settled()
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
	r.settled()
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

// A log beside a watched file is not looked at, nor is the file because of it.
func TestNoise(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/f", "one")
	r := watch(t, quick, at(dir+"/f"))
	write(t, dir+"/f", "two")
	r.expect(dir + "/f")
	stop := busy(t, dir+"/log")
	if got := r.settled(); len(got) > 0 {
		t.Errorf("%q is reported", got)
	}
	must(t, os.Rename(dir+"/f", dir+"/g")) // is not overlooked
	r.expect(dir + "/f")
	must(t, os.Rename(dir+"/g", dir+"/f"))
	r.expect(dir + "/f")
	stop()
	r.settled()
}

// Where the kernel cannot remember all that happens it says so, and then all is
// looked at.
func TestOverflow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/f", "one")
	slow := quick
	slow.quiet = 2 * time.Second // of gathering events
	w, err := start([]Source{at(dir + "/f")}, slow)
	must(t, err)
	go w.Run(t.Context())

	// One that nobody reads tells what the other's queue takes.
	double, err := fsnotify.NewWatcher()
	must(t, err)
	defer double.Close()
	must(t, double.Add(dir))

	var limit int
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	must(t, err)
	fmt.Sscan(string(text), &limit)
	a, err := os.Create(dir + "/a")
	must(t, err)
	b, err := os.Create(dir + "/b")
	must(t, err)
	for range 2*limit + 10_000 {
		a.WriteString("x")
		b.WriteString("x")
	}
	a.Close()
	b.Close()
	must(t, os.WriteFile(dir+"/f.new", []byte("two"), 0o644), os.Rename(dir+"/f.new", dir+"/f"))

	select {
	case r := <-w.Reports():
		if r.Err != nil || r.Name != dir+"/f" {
			t.Errorf("%+v is reported", r)
		}
	case <-time.After(patience):
		t.Fatal("nothing is reported")
	}
	for {
		select {
		case e := <-double.Events:
			if e.Name == dir+"/f" {
				t.Fatal("the queue did not overflow")
			}
		case err := <-double.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				t.Fatal(err)
			}
			return
		}
	}
}

// A file in a directory that was made a moment before is not missed.
func TestNewDirectories(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := watch(t, quick, at(dir))
	for i := range 30 {
		name := fmt.Sprintf("%d/a/b", i)
		put(name+"/f", "one")(t, dir)
		for range i % 7 {
			runtime.Gosched()
		}
		mkdir(name+"/c")(t, dir)
		put(name+"/c/f", "one")(t, dir)
		r.settled() // end compares
		if i%3 == 0 {
			put(name+"/c/f", "two")(t, dir)
			r.expect(dir)
		}
	}
}

// The same volume, at two places.
func TestTwoNames(t *testing.T) {
	inNamespace(t, func() {
		dir := t.TempDir()
		files(t, dir, map[string]string{"a/f": "one", "a/g": "one", "b/f": ""})
		must(t, unix.Mount(dir+"/a", dir+"/b", "", unix.MS_BIND, ""))
		t.Cleanup(func() { unix.Unmount(dir+"/b", unix.MNT_DETACH) })
		elsewhere := dir + "/a/f"
		paths := func() []string { return []string{elsewhere} }
		r := watch(t, quick, Source{"a", paths}, at(dir+"/b/f"), at(dir+"/b"))
		unpolled(t, r)
		both := func(want int) {
			t.Helper()
			if got := r.settled(); len(got) != want {
				t.Errorf("%q are reported", got)
			}
		}
		write(t, dir+"/b/f", "two")
		both(3)
		write(t, dir+"/a/f", "three")
		both(3)
		elsewhere = dir + "/a/g" // read in the other goroutine only after the next event
		write(t, dir+"/a/f", "four")
		both(3)
		write(t, dir+"/a/f", "five")
		both(2)
	})
}

// unpolled checks that nothing of what is watched needs to be polled.
func unpolled(t *testing.T, r *rig) {
	t.Helper()
	r.settled()
	for _, s := range r.sources {
		if !r.kernel.covers(s.points) {
			t.Fatalf("%s is polled", s.Name)
		}
	}
}

// As Docker mounts a file: its directory there tells nothing of it.
func TestMountedFile(t *testing.T) {
	inNamespace(t, func() {
		dir := t.TempDir()
		files(t, dir, map[string]string{"host/f": "one", "conf.d/f": "", "x/y": "", "lone": ""})
		must(t, unix.Mount("none", dir+"/x", "tmpfs", 0, ""))
		t.Cleanup(func() { unix.Unmount(dir+"/x", unix.MNT_DETACH) })
		write(t, dir+"/x/f", "one")
		for _, at := range []string{"/conf.d/f", "/lone"} {
			must(t, unix.Mount(dir+"/x/f", dir+at, "", unix.MS_BIND, ""))
			t.Cleanup(func() { unix.Unmount(dir+at, unix.MNT_DETACH) })
		}
		r := watch(t, quick, at(dir+"/conf.d"), at(dir+"/lone"))
		unpolled(t, r)
		write(t, dir+"/x/f", "two")
		if got := r.settled(); len(got) != 2 {
			t.Errorf("%q are reported", got)
		}
		// Replaced outside, it stays what it is inside.
		replace("f", "three")(t, dir+"/x")
		if got := r.settled(); len(got) != 0 {
			t.Errorf("%q are reported", got)
		}
	})
}

// A container's own files: inotify(7) follows them when they are copied up.
func TestOverlay(t *testing.T) {
	inNamespace(t, func() {
		dir := t.TempDir()
		must(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
		files(t, dir, map[string]string{"lower/bin/app": "one", "lower/etc/d/f": "one", "upper/x": "", "work/x": "", "merged/x": ""})
		remove("work/x")(t, dir)
		must(t, unix.Mount("overlay", dir+"/merged", "overlay", 0, fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work,userxattr", dir)))
		t.Cleanup(func() { unix.Unmount(dir+"/merged", unix.MNT_DETACH) })
		r := watch(t, quick, at(dir+"/merged/bin/app"), at(dir+"/merged/etc"))
		unpolled(t, r)
		for _, content := range []string{"two", "three"} {
			for _, name := range []string{"bin/app", "etc/d/f", "etc/new"} {
				write(t, dir+"/merged/"+name, content)
				if got := r.settled(); len(got) == 0 {
					t.Errorf("%s is not reported", name)
				}
			}
		}
		replace("merged/bin/app", "four")(t, dir)
		r.expect(dir + "/merged/bin/app")
	})
}

// A file system without inotify(7), whose files have neither size nor times.
func TestProc(t *testing.T) {
	comm := fmt.Sprintf("/proc/%d/comm", os.Getpid())
	before, err := os.ReadFile(comm)
	must(t, err)
	t.Cleanup(func() { os.WriteFile(comm, before, 0) })
	r := watch(t, quick, at("/proc/self/comm"))
	for _, name := range []string{"watched", "Watched"} {
		must(t, os.WriteFile(comm, []byte(name), 0))
		r.expect("/proc/self/comm")
	}
}

func TestNoInstance(t *testing.T) {
	inNamespace(t, func() {
		limit(t, "instances", 0)
		r := watch(t, quick, at(t.TempDir()))
		r.settled()
		r.settled()
		want := "too many open files: looking every few seconds instead; raise fs.inotify.max_user_instances by sysctl, or the limit of open files"
		if len(r.errors) != 2 || !strings.HasPrefix(r.errors[0], "watch "+r.sources[0].Name+": ") || !strings.HasSuffix(r.errors[0], want) {
			t.Errorf("%q", r.errors)
		}
	})
}

func TestTooFewWatches(t *testing.T) {
	inNamespace(t, func() {
		limit(t, "watches", 2)
		dir := t.TempDir()
		write(t, dir+"/f", "one")
		r := watch(t, quick, at(dir))
		r.settled()
		write(t, dir+"/f", "two")
		r.expect(dir)
		want := "watch " + dir + ": no space left on device: looking every few seconds instead; raise fs.inotify.max_user_watches by sysctl"
		if !slices.Contains(r.errors, want) || len(r.errors) != 2 {
			t.Errorf("%q", r.errors)
		}
	})
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
		r.settled()
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
		got := r.settled()
		slices.Sort(got)
		slices.Sort(step.want)
		if !slices.Equal(slices.Compact(got), step.want) {
			t.Errorf("%q are reported, not %q", got, step.want)
		}
	}
	for _, want := range []string{
		"watch " + dir + "/large: " + dir + "/large: with it more than 64 MiB are to be read: it is judged by size, time and inode",
		"watch all: " + dir + "/d: more than 10000 names in all: what is in it is not looked at; watch what matters of it",
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
		if got := r.settled(); len(got) > 0 != step.changed {
			t.Fatalf("step %d: %q is reported", i+1, got)
		}
	}
}

func TestNew(t *testing.T) {
	paths := func(paths ...string) []Source {
		return []Source{{"it", func() []string { return paths }}}
	}
	for want, sources := range map[string][]Source{
		"watch it: it names no file":                                             paths(),
		"watch it: an empty path":                                                paths("/etc", ""),
		`watch it: "/a\x00": a NUL byte can be in no path`:                       paths("/a\x00"),
		"watch it: etc/x: a path has to begin with a slash, as in /etc/app.conf": paths("etc/x"),
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
