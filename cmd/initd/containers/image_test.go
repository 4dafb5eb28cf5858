package containers_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

// builder returns an image that has what the Dockerfile needs of golang:1.26, for an engine that
// cannot pull that: the Go tree in use here and the modules that go.mod names. It has built initd
// once, as that compiles the standard library. It is kept under a tag that tells what went into it.
func builder(t *testing.T, sources string) string {
	version, err := initdtest.Try("go", "version")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(sources, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	tag := fmt.Sprintf("initd-test-golang:%.6x", sha256.Sum256([]byte(version+string(sums))))
	if dockertest.Exists(tag) {
		return tag
	}
	t.Logf("making %s from %s", tag, version)
	goroot, err := initdtest.Try("go", "env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	cold := initdtest.Unique()
	initdtest.Undo(t, "docker", "rmi", "--force", cold)
	dockertest.Pipe(t, exec.Command("tar", "--create", "--directory", goroot, "--transform", "s,^\\.,usr/local/go,",
		"--exclude", "./api", "--exclude", "./doc", "--exclude", "./test", "--exclude", "./src/cmd",
		"--exclude", "testdata", "--exclude", "*_test.go", "."),
		exec.Command("docker", "import",
			"--change", "ENV PATH=/usr/local/go/bin HOME=/root GOPATH=/go GOTOOLCHAIN=local",
			"--change", "CMD [\"go\"]", "-", cold))

	warm := initdtest.Unique()
	dockertest.Docker(t, append([]string{"create", "--name", warm, "--network", "none", "--mount", "type=volume,destination=/warm",
		"--workdir", "/warm", cold, "go", "build", "-o", "/dev/null"}, append(dockertest.Release, "./cmd/initd", "./cmd/initctl")...)...)
	initdtest.Undo(t, "docker", "rm", "--force", "--volumes", warm)
	dockertest.Docker(t, "cp", modules(t, sources)+"/.", warm+":/")
	dockertest.Docker(t, "cp", sources+"/.", warm+":/warm")
	dockertest.Docker(t, "start", "--attach", warm)
	dockertest.Docker(t, "commit", "--change", "CMD [\"go\"]", "--change", "WORKDIR /", warm, tag)
	return tag
}

// modules returns a directory with go/pkg/mod, a cache of just the modules that go.mod names, and
// with the tmp that a build needs.
func modules(t *testing.T, sources string) string {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o777); err != nil {
		t.Fatal(err)
	}
	cache, err := initdtest.Try("go", "env", "GOMODCACHE", "GOPROXY")
	if err != nil {
		t.Fatal(err)
	}
	have, proxy, _ := strings.Cut(cache, "\n")
	cmd := exec.Command("go", "mod", "download")
	cmd.Dir = sources
	cmd.Env = append(os.Environ(), "GOMODCACHE="+dir+"/go/pkg/mod", "GOFLAGS=-modcacherw",
		"GOPROXY=file://"+have+"/cache/download,"+proxy)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go mod download: %v\n%s", err, out)
	}
	return dir
}

// TestDockerfile builds the image that users build, offline and with the classic builder.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	images := images(t)
	text, err := os.ReadFile(filepath.Join(images.Sources, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	dockerfile, standIn := string(text), []string{"--build-arg", "BUILDER=" + builder(t, images.Sources)}
	// The first stage for its own sake has a name, and so goes when the test does.
	dockertest.Build(t, images.Sources, dockerfile, append(standIn, "--target", "build")...)
	product := dockertest.Build(t, images.Sources, dockerfile, standIn...)

	examine(t, product)

	// A build elsewhere, of the same sources by the same Go, makes the same bytes.
	t.Run("reproducible", func(t *testing.T) {
		again := dockertest.Build(t, images.Sources, dockerfile, append(standIn, "--target", "build", "--no-cache")...)
		for _, name := range []string{"initd", "initctl"} {
			want, err := os.ReadFile(filepath.Join(images.Context, "root", name))
			if err != nil {
				t.Fatal(err)
			}
			for image, path := range map[string]string{product: "/" + name, again: "/out/" + name} {
				if got := extract(t, image, path); !bytes.Equal(got, want) {
					t.Errorf("%s of %s has the checksum %x, a local build has %x", path, image, sha256.Sum256(got), sha256.Sum256(want))
				}
			}
		}
	})

	for name, dockerfile := range map[string]string{
		"from":      "FROM " + product + "\nCOPY root/hello /hello\nCMD [\"/hello\"]\n",
		"copy from": "FROM scratch\nCOPY --from=" + product + " /initd /initd\nCOPY root/hello /hello\nUSER 65532\nENTRYPOINT [\"/initd\", \"/hello\"]\n",
	} {
		t.Run(name, func(t *testing.T) {
			options := append(dockertest.Environment("SERVER_STARTER_PORT="+dockertest.Address), "--read-only", "--cap-drop", "ALL")
			c := dockertest.Start(t, options, dockertest.Build(t, images.Context, dockerfile))
			c.Serving(1)
			if answer := c.Ask(); !strings.HasPrefix(answer, "generation 1,") {
				t.Errorf("it answers %q", answer)
			}
			c.Stop()
		})
	}
}

// examine looks at what an image of initd says and holds.
func examine(t *testing.T, image string) {
	t.Run("config", func(t *testing.T) {
		var config struct {
			User, StopSignal string
			Entrypoint       []string
			Labels           map[string]string
		}
		if err := json.Unmarshal([]byte(dockertest.Docker(t, "inspect", "--format", "{{json .Config}}", image)), &config); err != nil {
			t.Fatal(err)
		}
		if config.User != "65532:65532" || config.StopSignal != "SIGTERM" || !slices.Equal(config.Entrypoint, []string{"/initd"}) {
			t.Errorf("USER %q, STOPSIGNAL %q, ENTRYPOINT %q", config.User, config.StopSignal, config.Entrypoint)
		}
		for _, key := range []string{"title", "description", "licenses"} {
			if config.Labels["org.opencontainers.image."+key] == "" {
				t.Errorf("no label %s in %q", key, config.Labels)
			}
		}
	})

	t.Run("content", func(t *testing.T) {
		// Those that the engine makes for each container are of no interest.
		theirs := []string{".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"}
		names := slices.DeleteFunc(files(t, image), func(name string) bool { return slices.Contains(theirs, name) })
		if !slices.Equal(names, []string{"initctl", "initd"}) {
			t.Errorf("the image holds %q", names)
		}
	})
}

// TestDockerfileWithoutRegistry: the failure says what to do, and the way without any image that the Dockerfile then tells of
// leads to the same image.
func TestDockerfileWithoutRegistry(t *testing.T) {
	t.Parallel()
	images := images(t)
	dockerfile := initdtest.Read(t, filepath.Join(images.Sources, "Dockerfile"))

	t.Run("hint", func(t *testing.T) {
		const hint = "docker build --build-arg BUILDER=IMAGE-WITH-GO-1.26 ."
		// Nobody listens there, so it is as if there were no network.
		out, err := initdtest.Try("docker", "build", "--network", "none", "--build-arg", "BUILDER=127.0.0.1:1/golang", images.Sources)
		if err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("no %q in the failure: %v\n%s", hint, err, out)
		}
		// BuildKit prints the two lines before the one that fails.
		before, _, found := strings.Cut(dockerfile, "\nFROM ${BUILDER}")
		lines := strings.Split(before, "\n")
		if !found || !strings.Contains(strings.Join(lines[max(0, len(lines)-2):], "\n"), hint) {
			t.Errorf("no %q in the two lines before FROM", hint)
		}
	})

	t.Run("no image", func(t *testing.T) {
		tag, dir := initdtest.Unique(), t.TempDir()
		initdtest.Undo(t, "docker", "rmi", "--force", tag)
		for _, begin := range []string{"CGO_ENABLED=0 go build ", "sed "} {
			_, line, found := strings.Cut(dockerfile, "\n#\t"+begin)
			if !found {
				t.Fatalf("the Dockerfile has no line that begins with %q", begin)
			}
			line, _, _ = strings.Cut(begin+line, "\n")
			line = strings.NewReplacer("/tmp/initd", dir, "-t initd ", "-t "+tag+" ").Replace(line)
			if out, err := initdtest.Try("sh", "-c", "cd \"$1\" && "+line, "sh", images.Sources); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		examine(t, tag)
		for _, name := range []string{"initd", "initctl"} {
			if !bytes.Equal(extract(t, tag, "/"+name), []byte(initdtest.Read(t, filepath.Join(images.Context, "root", name)))) {
				t.Errorf("%s is not what go builds with the flags of a release", name)
			}
		}
	})
}

// files returns the names of the regular files in a container of an image.
func files(t *testing.T, image string) (names []string) {
	t.Helper()
	name := initdtest.Unique()
	dockertest.Docker(t, "create", "--name", name, image)
	initdtest.Undo(t, "docker", "rm", name)
	output(t, func(r *tar.Reader, header *tar.Header) error {
		if header.Typeflag == tar.TypeReg {
			names = append(names, header.Name)
		}
		return nil
	}, "export", name)
	return names
}

// extract returns the content of a file in an image.
func extract(t *testing.T, image, path string) (content []byte) {
	t.Helper()
	name := initdtest.Unique()
	dockertest.Docker(t, "create", "--name", name, image)
	initdtest.Undo(t, "docker", "rm", name)
	output(t, func(r *tar.Reader, _ *tar.Header) (err error) {
		content, err = io.ReadAll(r)
		return err
	}, "cp", name+":"+path, "-")
	return content
}

// output runs a docker command that writes an archive, and visits each file in it.
func output(t *testing.T, visit func(*tar.Reader, *tar.Header) error, args ...string) {
	t.Helper()
	cmd := exec.Command("docker", args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(stdout)
	header, err := r.Next()
	for ; err == nil; header, err = r.Next() {
		if err = visit(r, header); err != nil {
			break
		}
	}
	if err != io.EOF {
		t.Error(err)
	}
	io.Copy(io.Discard, stdout) // the blocks that pad an archive
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}
