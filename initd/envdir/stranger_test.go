package envdir

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Whoever can write to the directory does not get what only initd can read.
func TestPlantedLink(t *testing.T) {
	const stranger = 12345
	top := t.TempDir()
	for _, name := range []string{"theirs", "secret"} {
		os.Mkdir(top+"/"+name, 0o755)
		os.WriteFile(top+"/"+name+"/WORD", []byte(name+"\n"), 0o600)
	}
	if err := os.Chown(top+"/theirs", stranger, -1); err != nil {
		t.Skipf("needs root, for a directory of another user: %v", err)
	}
	link := func(target, name string) func() error {
		return func() error {
			path := top + "/theirs/" + name
			os.Remove(path)
			if err := os.Symlink(target, path); err != nil {
				return err
			}
			return os.Lchown(path, stranger, -1)
		}
	}
	for _, step := range []struct {
		what string
		do   func() error
		fine bool
	}{
		{"its own file", link("WORD", "OTHER"), true},
		{"a file elsewhere", link(top+"/secret/WORD", "OTHER"), false},
		{"a hard link", func() error {
			os.Remove(top + "/theirs/OTHER")
			return os.Link(top+"/secret/WORD", top+"/theirs/OTHER")
		}, false},
		{"nothing", func() error { return os.Remove(top + "/theirs/OTHER") }, true},
		{"a directory elsewhere", link(top+"/secret", "..data"), false},
		{"root's link", func() error {
			os.Remove(top + "/theirs/..data")
			return os.Symlink(top+"/secret", top+"/theirs/..data")
		}, true},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		environ, _, err := Read(top + "/theirs")
		if step.fine != (err == nil) || !step.fine && (len(environ) > 0 || strings.Contains(err.Error(), "WORD=")) {
			t.Errorf("%s: %q, %v", step.what, environ, err)
		}
		if step.what == "root's link" && !slices.Equal(environ, []string{"WORD=secret"}) {
			t.Errorf("%s: %q", step.what, environ)
		}
	}
}
