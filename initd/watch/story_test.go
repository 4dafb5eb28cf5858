package watch

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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

func TestStories(t *testing.T) { play(t) }

// Without inotify all is the same.
func TestStoriesPolled(t *testing.T) {
	inNamespace(t, func() {
		limit(t, "instances", 0)
		play(t)
	})
}

func play(t *testing.T) {
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			files(t, dir, story.files)
			r := watch(t, quick, Source{"it", at(dir + "/" + story.path).Paths})
			for i, event := range story.events {
				event.what(t, dir)
				got := r.changes()
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
