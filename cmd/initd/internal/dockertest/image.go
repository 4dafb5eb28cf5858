package dockertest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/entry"
)

// Images are what the container tests run. They are made once, and last as long as the tests of a package.
type Images struct {
	Sources string // a copy of the source tree, which all of it is made from
	Context string // what images are built from: the programs are in root
	Tag     string // of the image with nothing but the programs, and what it is based on
}

// root is the directory of the module, from that of a package of tests.
const root = "../../.."

// Release is how the Dockerfile builds initd and what else there is.
var Release = []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-ldflags=./cmd/initd=-s -w -buildid= " + entry.Flag}

// programs are what images hold.
var programs = map[string]string{
	"load":       "./testdata/load", // which generates it
	"initd":      "./cmd/initd",
	"initctl":    "./cmd/initctl",
	"hello":      "./cmd/hello",
	"app/worker": "./cmd/hello",
	"faults":     "./testdata/docker/faults",
}

// made is what the tests of this package run.
var made struct {
	sync.Mutex
	tried  bool
	images *Images
}

// Make makes the images from the sources as they are now, the first time that it is called. They are based on an
// image, and have some files besides. It skips the test where no engine answers.
func Make(t testing.TB, basis func(testing.TB) (base string, files map[string]string)) Images {
	t.Helper()
	Need(t)
	made.Lock()
	defer made.Unlock()
	if !made.tried {
		made.tried = true
		base, files := basis(t)
		images := build(t, base, files)
		made.images = &images
	}
	if made.images == nil {
		initdtest.Impossible(t, "there are no images, for a reason that another test has given")
	}
	return *made.images
}

func build(t testing.TB, base string, files map[string]string) Images {
	dir, err := initdtest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	images := Images{Sources: filepath.Join(dir, "src"), Context: filepath.Join(dir, "context"), Tag: initdtest.Unique()}
	snapshot(t, images.Sources)
	for path, pkg := range programs {
		if err := initdtest.Build(images.Sources, pkg, filepath.Join(images.Context, "root", path), Release...); err != nil {
			t.Fatal(err)
		}
	}
	for path, content := range files {
		path := filepath.Join(images.Context, "root", path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	initdtest.AtEnd("docker", "rmi", "--force", images.Tag)
	// All in one step: each is slow.
	BuildAs(t, images.Tag, images.Context, "FROM "+base+"\nCOPY root /\nENTRYPOINT [\"/initd\"]\n")
	return images
}

// snapshot copies the source tree, so that an edit meanwhile does not make two builds differ.
func snapshot(t testing.TB, dir string) {
	entries, err := os.ReadDir(root)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	for _, entry := range entries {
		from, to := filepath.Join(root, entry.Name()), filepath.Join(dir, entry.Name())
		switch {
		case entry.Name() == ".git":
		case entry.IsDir():
			err = errors.Join(err, os.CopyFS(to, os.DirFS(from)))
		default:
			content, failure := os.ReadFile(from)
			err = errors.Join(err, failure, os.WriteFile(to, content, 0o666))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Build makes an image that lasts as long as the test. The classic builder is offline here, too.
func Build(t testing.TB, context, dockerfile string, options ...string) string {
	t.Helper()
	tag := initdtest.Unique()
	initdtest.Undo(t, "docker", "rmi", "--force", tag)
	BuildAs(t, tag, context, dockerfile, options...)
	return tag
}

// BuildAs makes an image that is kept until somebody removes it.
func BuildAs(t testing.TB, tag, context, dockerfile string, options ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Dockerfile")
	if err := os.WriteFile(file, []byte(dockerfile), 0o666); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"build", "--network", "none", "--force-rm", "--tag", tag, "--file", file}, options...)
	Docker(t, append(args, context)...)
}

// Exists reports whether the engine has an image.
func Exists(image string) bool {
	_, err := initdtest.Try("docker", "image", "inspect", image)
	return err == nil
}

// Pipe runs two commands, the output of the first being the input of the second.
func Pipe(t testing.TB, from, to *exec.Cmd) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	output := initdtest.NewStream()
	from.Stdout, from.Stderr = w, output
	to.Stdin, to.Stdout, to.Stderr = r, output, output
	err = errors.Join(from.Start(), to.Start())
	w.Close()
	r.Close()
	if err == nil {
		err = errors.Join(from.Wait(), to.Wait())
	}
	if err != nil {
		t.Fatalf("%s | %s: %v\n%s", from.Args[0], strings.Join(to.Args, " "), err, output.Tail())
	}
}
