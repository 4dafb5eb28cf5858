package envdir

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A volume is written as the kubelet's AtomicWriter does it.
type volume struct {
	dir     string
	version int
}

// update puts the next version in place of the old one.
func (v *volume) update(keys []string) error {
	old, err := v.flip(keys)
	if err != nil || old == "" {
		return err
	}
	return os.RemoveAll(old)
}

// flip writes the next version, in which every key has its number for a value,
// and returns the directory of the old one, "" before the first.
func (v *volume) flip(keys []string) (old string, err error) {
	v.version++
	name := fmt.Sprintf("..2026_01_02_03_04_05.%09d", v.version)
	if err := os.Mkdir(v.dir+"/"+name, 0o755); err != nil {
		return "", err
	}
	for _, key := range keys {
		if err := os.WriteFile(v.dir+"/"+name+"/"+key, fmt.Append(nil, v.version), 0o644); err != nil {
			return "", err
		}
	}
	if target, err := os.Readlink(v.dir + "/..data"); err == nil {
		old = v.dir + "/" + target
	}
	if err := os.Symlink(name, v.dir+"/..data_tmp"); err != nil {
		return "", err
	}
	if err := os.Rename(v.dir+"/..data_tmp", v.dir+"/..data"); err != nil {
		return "", err
	}
	for _, key := range keys { // what users see
		if err := os.Symlink("..data/"+key, v.dir+"/"+key); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	visible, err := filepath.Glob(v.dir + "/[^.]*")
	if err != nil {
		return "", err
	}
	for _, path := range visible {
		if !slices.Contains(keys, filepath.Base(path)) {
			if err := os.Remove(path); err != nil {
				return "", err
			}
		}
	}
	return old, nil
}

func TestConfigMap(t *testing.T) {
	v := &volume{dir: t.TempDir()}
	for _, keys := range [][]string{{"A", "B"}, {"B", "C"}, {}, {"A"}} {
		if err := v.update(keys); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, key := range keys {
			want = append(want, fmt.Sprintf("%s=%d", key, v.version))
		}
		if got, _, err := Read(v.dir); err != nil || !slices.Equal(got, want) {
			t.Errorf("version %d: got %q, %v, want %q", v.version, got, err, want)
		}
	}
}

// A version that is half removed when it is listed is not taken for a small one.
func TestConfigMapReplacedWhileOpen(t *testing.T) {
	v := &volume{dir: t.TempDir()}
	if _, err := v.flip([]string{"A", "B"}); err != nil {
		t.Fatal(err)
	}
	d, err := open(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	old, err := v.flip([]string{"A", "B"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(old + "/A"); err != nil {
		t.Fatal(err)
	}
	if got, _, err := snapshot(d); !errors.Is(err, errChanged) {
		t.Errorf("got %q, %v, want %v", got, err, errChanged)
	}
	if got, _, err := Read(v.dir); err != nil || !slices.Equal(got, []string{"A=2", "B=2"}) {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

// Each reading gives one version, whole, while the volume changes without
// pause. Odd versions have ten keys, even ones half of them.
func TestConfigMapThatChanges(t *testing.T) {
	var odd, even []string
	for i := range 10 {
		odd = append(odd, fmt.Sprintf("KEY%d", i))
	}
	even = odd[5:]
	v := &volume{dir: t.TempDir()}
	if err := v.update(odd); err != nil {
		t.Fatal(err)
	}
	stop, written := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			keys := odd
			if v.version%2 == 1 {
				keys = even
			}
			err := v.update(keys)
			select {
			case <-stop:
			default:
				if err == nil {
					continue
				}
			}
			written <- err
			return
		}
	}()
	defer func() {
		close(stop)
		if err := <-written; err != nil {
			t.Error(err)
		}
	}()
	seen := map[string]bool{}
	const versions = 100
	deadline := time.Now().Add(60 * time.Second)
	for len(seen) < versions && time.Now().Before(deadline) {
		environ, _, err := Read(v.dir)
		if err != nil {
			t.Fatal(err)
		}
		found, keys := map[string]bool{}, []string{}
		for _, variable := range environ {
			key, version, _ := strings.Cut(variable, "=")
			found[version] = true
			keys = append(keys, key)
		}
		if len(found) != 1 || !slices.Equal(keys, odd) && !slices.Equal(keys, even) {
			t.Fatalf("not one version: %q", environ)
		}
		maps.Copy(seen, found)
	}
	if len(seen) < versions {
		t.Errorf("saw only %d versions", len(seen))
	}
}
