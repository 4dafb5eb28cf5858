package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// configMap is a volume as the kubelet keeps it: the files are links into a directory that is replaced as one.
type configMap struct {
	*testing.T
	dir     string
	version int
}

func newConfigMap(t *testing.T) *configMap {
	m := &configMap{T: t, dir: t.TempDir()}
	m.update()
	for _, name := range []string{"FIRST", "SECOND"} {
		if err := os.Symlink("..data/"+name, filepath.Join(m.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// update puts the next version in place, in which both files say which it is.
func (m *configMap) update() {
	m.Helper()
	m.version++
	name := fmt.Sprintf("..2026_11_21_08_47_00.%09d", m.version)
	at := func(names ...string) string { return filepath.Join(append([]string{m.dir}, names...)...) }
	old, _ := os.Readlink(at("..data"))
	err := os.Mkdir(at(name), 0o755)
	for _, file := range []string{"FIRST", "SECOND"} {
		err = errors.Join(err, os.WriteFile(at(name, file), fmt.Appendln(nil, m.version), 0o644))
	}
	err = errors.Join(err, os.Symlink(name, at("..data_tmp")), os.Rename(at("..data_tmp"), at("..data")))
	if old != "" {
		err = errors.Join(err, os.RemoveAll(at(old)))
	}
	if err != nil {
		m.Fatal(err)
	}
}

// version is that of the environment that a worker was given, which has to be whole.
func (p *puppet) version() (version string) {
	p.Helper()
	first, _ := p.Value("FIRST")
	if second, _ := p.Value("SECOND"); first != second || first == "" {
		p.Errorf("generation %d has %q of one version and %q of another", p.Generation(), first, second)
	}
	return first
}

// TestWatchConfigMap: an update of a volume is one change, and one swap.
func TestWatchConfigMap(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		m := newConfigMap(t)
		d, s, all := pool(t, as, 1, nil, "envdir="+m.dir, "watch=envdir", "watch-debounce=0.2")
		old := all[0]
		for number := 2; number <= 4; number++ {
			m.update()
			p := s.generation(number)
			if got := p.version(); got != fmt.Sprint(m.version) {
				t.Errorf("generation %d has version %s, not %d", number, got, m.version)
			}
			p.ready()
			old.ends()
			d.is("gone", number-1)
			old = p
		}
		d.starts(old, 4)
		if n := len(d.logged("changed")); n != 3 {
			t.Errorf("%d changes were seen", n)
		}
		d.stop()
	})
}

// TestWatchUpdates: many updates while swaps are under way: none of the swaps has an environment of two versions, there
// are no more of them than updates, and the last version is what serves in the end.
func TestWatchUpdates(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		const updates = 200
		m := newConfigMap(t)
		d, s, _ := pool(t, as, 1, []string{"eager"}, "envdir="+m.dir, "watch=envdir", "watch-debounce=0.01")
		done := make(chan bool)
		go func() {
			defer close(done)
			for i := range updates {
				m.update()
				if i%5 == 0 {
					time.Sleep(150 * time.Millisecond) // nothing is waited for: the pace is to differ
				}
			}
		}()
		number := 1
		for last := ""; last != fmt.Sprint(updates+1); {
			p := s.next()
			number = p.Generation()
			last = p.version()
		}
		<-done
		if t.Failed() {
			return
		}
		t.Logf("%d updates were %d swaps", updates, number-1)
		if number-1 > updates || number == 1 {
			t.Errorf("%d updates were %d swaps", updates, number-1)
		}
		d.is("serving", number)
		d.stop()
	})
}

// TestWatchCommand: the command's own file is replaced, by whatever means, and what is started next is that.
func TestWatchCommand(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		s := newStage(t)
		dir := t.TempDir()
		program := func(version string) string {
			return "#!/bin/sh\nexec " + strings.Join(s.puppet(version), " ") + "\n"
		}
		writes(t, dir+"/program", program("1"))
		if err := os.Chmod(dir+"/program", 0o755); err != nil {
			t.Fatal(err)
		}
		// It is found by PATH.
		d := run{mode: as, environ: []string{"PATH=" + dir + ":" + searchPath}, args: flags([]string{"program"}, "ready=notify", "interval=0.1",
			"watch=command", "watch-debounce=0.1")}.start(t)
		s.generation(1).ready()
		d.is("serving", 1)

		writes(t, dir+"/new", program("2"))
		if err := errors.Join(os.Chmod(dir+"/new", 0o755), os.Rename(dir+"/new", dir+"/program")); err != nil {
			t.Fatal(err)
		}
		second := s.generation(2)
		second.ready()
		d.is("serving", 2)
		d.starts(second, 2)

		writes(t, dir+"/program", program("3"))
		third := s.generation(3)
		third.ready()
		d.is("serving", 3)
		if second.Args[0] != "2" || third.Args[0] != "3" {
			t.Errorf("%q and %q were started", second.Args, third.Args)
		}
		d.stop()
	})
}

// TestWatchTouch: time stamps, modes and the same content once more are no change; files that come and go are.
func TestWatchTouch(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := t.TempDir()
		writes(t, dir+"/touched", "as it was\n")
		writes(t, dir+"/changed", "one\n")
		d, s, all := pool(t, as, 1, nil, "watch="+dir+"/touched", "watch="+dir+"/changed", "watch="+dir+"/later", "watch-debounce=0.1")
		now := time.Now()
		if err := errors.Join(os.Chtimes(dir+"/touched", now, now), os.Chmod(dir+"/touched", 0o600)); err != nil {
			t.Fatal(err)
		}
		writes(t, dir+"/touched", "as it was\n")
		writes(t, dir+"/other", "not watched\n")
		writes(t, dir+"/changed", "two\n")
		second := s.generation(2)
		second.ready()
		all[0].ends()
		writes(t, dir+"/later", "now\n")
		third := s.generation(3)
		third.ready()
		second.ends()
		if err := os.Remove(dir + "/later"); err != nil {
			t.Fatal(err)
		}
		fourth := s.generation(4)
		fourth.ready()
		third.ends()
		d.starts(fourth, 4)
		for _, e := range d.logged("changed") {
			if e.Name != dir+"/changed" && e.Name != dir+"/later" {
				t.Errorf("it says that %s has changed", e.Name)
			}
		}
		d.stop()
	})
}

// TestWatchMount: what is watched lies on a file system that goes away. Initd does not keep it from going, and goes on
// to see what happens elsewhere. That it is gone the kernel tells nobody.
func TestWatchMount(t *testing.T) {
	t.Parallel()
	dir, sign := t.TempDir(), t.TempDir()+"/sign"
	s := newStage(t)
	d := run{mode: pid1, given: []string{"mounted=" + dir}, args: flags(s.puppet(), "ready=notify", "interval=0.1", "watch="+dir+"/file",
		"watch="+sign, "watch-debounce=0.1")}.start(t)
	first := s.generation(1)
	first.ready()
	d.is("serving", 1)
	first.do("run", "/bin/sh", "-c", "echo two >"+dir+"/file")
	second := s.generation(2)
	second.ready()
	first.ends()
	second.do("run", "umount", dir)
	writes(t, sign, "of life\n")
	third := s.generation(3)
	third.ready()
	second.ends()
	d.is("serving", 3)
	d.stop()
}

// TestWatchDuringSwap: what changes while a swap is under way makes one more after it.
func TestWatchDuringSwap(t *testing.T) {
	t.Parallel()
	m := newConfigMap(t)
	d, s, all := pool(t, subreaper, 2, nil, "envdir="+m.dir, "watch=envdir", "watch-debounce=0.1", "surge=1")
	d.swap()
	first := s.pool(2, 0)[0]
	m.update()
	d.event("it has seen the change", func(e initdtest.Entry) bool { return e.Event == "changed" })
	first.ready()
	all[0].ends()
	second := s.pool(2, 1)[0]
	if first.version() != second.version() {
		t.Error("one generation has two environments")
	}
	second.ready()
	d.is("serving", 2)
	all[1].ends()
	for slot, before := range []*puppet{first, second} {
		p := s.pool(3, slot)[0]
		if p.version() != fmt.Sprint(m.version) {
			t.Errorf("it has version %s", p.version())
		}
		p.ready()
		before.gets(syscall.SIGTERM)
		before.ends()
	}
	d.is("serving", 3)
	d.stop()
}
