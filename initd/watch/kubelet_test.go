package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// volume is a volume as a kubelet keeps it.
type volume struct {
	*testing.T
	dir     string
	version int
	early   bool // new names are made before the flip, as by older ones
}

// update does what AtomicWriter.Write does, in its order.
func (v *volume) update(payload map[string]string) {
	v.Helper()
	old, _ := os.Readlink(v.dir + "/..data")
	v.version++
	name := fmt.Sprintf("..2026_01_02_15_04_05.%d", v.version)
	must(v.T, os.Mkdir(filepath.Join(v.dir, name), 0o700), os.Chmod(filepath.Join(v.dir, name), 0o755))
	for key, content := range payload {
		path := filepath.Join(v.dir, name, key)
		must(v.T, os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(content), 0o644), os.Chmod(path, 0o644))
	}
	visible := func() {
		for key := range payload {
			key, _, _ = strings.Cut(key, "/")
			if _, err := os.Readlink(v.dir + "/" + key); os.IsNotExist(err) {
				must(v.T, os.Symlink("..data/"+key, v.dir+"/"+key))
			}
		}
	}
	if v.early {
		visible()
	}
	must(v.T, os.Symlink(name, v.dir+"/..data_tmp"), os.Rename(v.dir+"/..data_tmp", v.dir+"/..data"))
	visible()
	if old == "" {
		return
	}
	gone, err := os.ReadDir(v.dir + "/" + old)
	must(v.T, err)
	for _, entry := range gone {
		if _, err := os.Lstat(filepath.Join(v.dir, name, entry.Name())); err != nil {
			must(v.T, os.Remove(v.dir+"/"+entry.Name()))
		}
	}
	must(v.T, os.RemoveAll(v.dir+"/"+old))
}

// payload is a version in which no two files are as in another, and some come
// and go.
func payload(i int) map[string]string {
	files := map[string]string{"app.conf": fmt.Sprint("a", i), "b.conf": fmt.Sprint("b", i), "sub/c.conf": fmt.Sprint("c", i)}
	files[fmt.Sprintf("%d.conf", i%5)] = fmt.Sprint("d", i)
	if i%2 == 0 {
		files["z.conf"] = "the same"
	}
	return files
}

// Each update of a volume is one change, of the volume and of a file in it.
func TestKubelet(t *testing.T) {
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprint("early=", early), func(t *testing.T) {
			t.Parallel()
			updates(t, early)
		})
	}
}

func TestKubeletPolled(t *testing.T) {
	inNamespace(t, func() {
		limit(t, "instances", 0)
		updates(t, false)
	})
}

func updates(t *testing.T, early bool) {
	v := &volume{T: t, dir: t.TempDir(), early: early}
	v.update(payload(0))
	r := watch(t, quick, at(v.dir), at(v.dir+"/app.conf"), at(v.dir+"/z.conf"))
	r.sources[0].Name, r.sources[1].Name, r.sources[2].Name = "volume", "file", "sometimes"
	for i := range 20 {
		v.update(payload(i + 1))
		got := r.changes()
		slices.Sort(got)
		if !slices.Equal(got, []string{"file", "sometimes", "volume"}) {
			t.Fatalf("update %d: %q are reported", i+1, got)
		}
	}
	// The same again is none.
	v.update(payload(20))
	if got := r.changes(); len(got) > 0 {
		t.Errorf("%q are reported", got)
	}
}

// A volume that is updated while it is read is never seen in between, no update
// is more than one change, and the last is seen.
func TestTorn(t *testing.T) {
	t.Parallel()
	storm(t)
}

func TestTornPolled(t *testing.T) {
	inNamespace(t, func() {
		limit(t, "instances", 0)
		storm(t)
	})
}

func storm(t *testing.T) {
	const n = 200
	versions := map[uint64]int{}
	for i := range n + 1 {
		dir := t.TempDir()
		files(t, dir, payload(i)) // a volume is what its files are
		versions[sum(t, dir)] = i
	}
	if len(versions) != n+1 {
		t.Fatalf("%d versions", len(versions))
	}
	for _, early := range []bool{false, true} {
		v := &volume{T: t, dir: t.TempDir(), early: early}
		v.update(payload(0))
		hasty := quick
		hasty.quiet = 1 // as often as possible
		hasty.longest = 1
		r := watch(t, hasty, at(v.dir))
		r.sources[0].Name = "volume"
		done := make(chan struct{})
		var writer sync.WaitGroup
		writer.Go(func() {
			defer close(done)
			for i := range n {
				v.update(payload(i + 1))
			}
		})
		last, looks, reports := 0, 0, 0
		known := map[string]*file{}
		for running := true; running; {
			select {
			case <-done:
				running = false
			case report := <-r.Reports():
				if report.Err == nil {
					reports++
				}
			default:
			}
			sum, ok := attempt(known, v.dir)
			if !ok {
				continue
			}
			looks++
			version, whole := versions[sum]
			if !whole || version < last {
				t.Fatalf("look %d: version %d after %d (%v)", looks, version, last, whole)
			}
			last = version
		}
		writer.Wait()
		reports += len(r.changes())
		if reports == 0 || reports > n {
			t.Errorf("%d reports of %d updates", reports, n)
		}
		t.Logf("%d looks, %d reports of %d updates", looks, reports, n)
	}
}
