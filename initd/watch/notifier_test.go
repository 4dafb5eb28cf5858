package watch

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

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
		r.changes() // end compares
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
			if got := r.changes(); len(got) != want {
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
	r.changes()
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
		if got := r.changes(); len(got) != 2 {
			t.Errorf("%q are reported", got)
		}
		// Replaced outside, it stays what it is inside.
		replace("f", "three")(t, dir+"/x")
		if got := r.changes(); len(got) != 0 {
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
				if got := r.changes(); len(got) == 0 {
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
		r.changes()
		r.changes()
		want := "too many open files: polling every few seconds instead; raise fs.inotify.max_user_instances by sysctl, or the limit of open files"
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
		r.changes()
		write(t, dir+"/f", "two")
		r.expect(dir)
		want := "watch " + dir + ": no space left on device: polling every few seconds instead; raise fs.inotify.max_user_watches by sysctl"
		if !slices.Contains(r.errors, want) || len(r.errors) != 2 {
			t.Errorf("%q", r.errors)
		}
	})
}
