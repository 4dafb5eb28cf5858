package main_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// images are what the container tests run.
type images struct {
	sources string // a copy of the source tree, which all of it is made from
	context string // the load generator, and in root what the other images hold
	scratch string // nothing but initd, initctl, hello, the same as app/worker, and faults
	load    string // the load generator
}

// release is how the Dockerfile builds initd.
var release = []string{"-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid="}

// buildImages makes the images from the sources as they are now.
func buildImages(t *testing.T) images {
	images := images{sources: snapshot(t), context: t.TempDir()}
	for path, pkg := range map[string]string{
		"load":            "./testdata/load",
		"root/initd":      "./cmd/initd",
		"root/initctl":    "./cmd/initctl",
		"root/hello":      "./cmd/hello",
		"root/app/worker": "./cmd/hello",
		"root/faults":     "./testdata/docker/faults",
	} {
		compile(t, images.sources, pkg, filepath.Join(images.context, path))
	}
	files := readRecipes(t).files
	maps.Copy(files, slow)
	for name, content := range files {
		path := filepath.Join(images.context, "root/srv", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	images.scratch = build(t, images.context, "FROM scratch"+programs)
	images.load = build(t, images.context, "FROM scratch\nCOPY load /\nENTRYPOINT [\"/load\"]\n")
	return images
}

// programs ends a Dockerfile with all but the load generator, in one step: each is slow.
const programs = "\nCOPY root /\nENTRYPOINT [\"/initd\"]\n"

// snapshot copies the source tree, so that an edit meanwhile does not make two builds differ.
func snapshot(t *testing.T) string {
	const root = "../.."
	dir := t.TempDir()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
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
	return dir
}

// compile builds a static program.
func compile(t *testing.T, sources, pkg, output string) {
	t.Helper()
	args := append([]string{"build", "-o", output}, release...)
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir = sources
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
}

// build makes an image that lives as long as the test. The classic builder is offline here, too.
func build(t *testing.T, context, dockerfile string, options ...string) string {
	t.Helper()
	tag := unique()
	file := filepath.Join(t.TempDir(), "Dockerfile")
	if err := os.WriteFile(file, []byte(dockerfile), 0o666); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"build", "--network", "none", "--tag", tag, "--file", file}, options...)
	docker(t, append(args, context)...)
	t.Cleanup(func() { docker(t, "rmi", "--force", tag) })
	return tag
}

// provider is what debootstrap has to be told to install, as it does not look for a package that
// provides another one: libnet-ssleay-perl depends on perl-openssl-abi-3.
const provider = "perl-openssl-defaults"

// unneeded is what the root file system is relieved of.
var unneeded = []string{"./var/cache/apt", "./var/lib/apt/lists", "./usr/share/doc", "./usr/share/man", "./usr/share/locale"}

// debian returns an image of Debian with what the recipes install. It is made with debootstrap from the mirror
// that apt is configured for, and kept under a tag that tells what went into it.
func debian(t *testing.T) string {
	mirror, suite := aptSource(t)
	packages := append(readRecipes(t).packages(), provider)
	content := fmt.Sprint(mirror, suite, packages, unneeded)
	tag := fmt.Sprintf("initd-test-debian:%.6x", sha256.Sum256([]byte(content)))
	if exists(tag) {
		return tag
	}
	if os.Geteuid() != 0 {
		impossible(t, "debootstrap makes a Debian root file system for root only")
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		for _, args := range [][]string{{"update"}, {"install", "--yes", "--no-install-recommends", "debootstrap"}} {
			if _, err := try("apt-get", args...); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("making %s from %s %s", tag, mirror, suite)
	// Not a temporary directory of the test's: where those lie devices and set-uid files may be
	// forbidden, and a failure should leave debootstrap's log to be read.
	dir, err := os.MkdirTemp("/var/tmp", "initd-test-debian-")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := try("debootstrap", "--variant=minbase", "--include="+strings.Join(packages, ","), suite, dir, mirror); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "debootstrap/debootstrap.log"))
		t.Fatalf("%v\n%s: %s", err, dir, tail(string(log)))
	}
	args := []string{"--directory", dir, "--create"}
	for _, path := range unneeded {
		args = append(args, "--exclude", path)
	}
	pipe(t, exec.Command("tar", append(args, ".")...), exec.Command("docker", "import", "-", tag))
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
	return tag
}

// aptSource returns the mirror and the suite that apt has for this machine's own release.
func aptSource(t *testing.T) (mirror, suite string) {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		impossible(t, "a Debian root file system is made on Debian only: %v", err)
	}
	for line := range strings.Lines(string(release)) {
		if codename, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			suite = strings.Trim(codename, `"`)
		}
	}
	targets, err := try("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
	if err != nil {
		impossible(t, "a Debian root file system is made on Debian only: %v", err)
	}
	for line := range strings.Lines(targets) {
		f := strings.Fields(line)
		if len(f) == 3 && f[1] == suite && f[2] == "main" {
			return f[0], suite
		}
	}
	impossible(t, "apt has no source of %q main to make a root file system from:\n%s", suite, targets)
	return
}

// builder returns an image that has what the Dockerfile needs of golang:1.26, for an engine that
// cannot pull that: the Go tree in use here and the modules that go.mod names. It has built initd
// once, as that compiles the standard library. It is kept under a tag that tells what went into it.
func builder(t *testing.T, sources string) string {
	version, err := try("go", "version")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(sources, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	tag := fmt.Sprintf("initd-test-golang:%.6x", sha256.Sum256([]byte(version+string(sums))))
	if exists(tag) {
		return tag
	}
	t.Logf("making %s from %s", tag, version)
	goroot, err := try("go", "env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	cold := unique()
	pipe(t, exec.Command("tar", "--create", "--directory", goroot, "--transform", "s,^\\.,usr/local/go,",
		"--exclude", "./api", "--exclude", "./doc", "--exclude", "./test", "--exclude", "./src/cmd",
		"--exclude", "testdata", "--exclude", "*_test.go", "."),
		exec.Command("docker", "import",
			"--change", "ENV PATH=/usr/local/go/bin HOME=/root GOPATH=/go GOTOOLCHAIN=local",
			"--change", "CMD [\"go\"]", "-", cold))
	defer docker(t, "rmi", cold)

	warm := unique()
	docker(t, append([]string{"create", "--name", warm, "--network", "none", "--mount", "type=volume,destination=/warm",
		"--workdir", "/warm", cold, "go", "build", "-o", "/dev/null"}, append(release, "./cmd/initd", "./cmd/initctl")...)...)
	defer docker(t, "rm", "--volumes", warm)
	docker(t, "cp", modules(t, sources)+"/.", warm+":/")
	docker(t, "cp", sources+"/.", warm+":/warm")
	docker(t, "start", "--attach", warm)
	docker(t, "commit", "--change", "CMD [\"go\"]", "--change", "WORKDIR /", warm, tag)
	return tag
}

// modules returns a directory with go/pkg/mod, a cache of just the modules that go.mod names, and
// with the tmp that a build needs.
func modules(t *testing.T, sources string) string {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o777); err != nil {
		t.Fatal(err)
	}
	cache, err := try("go", "env", "GOMODCACHE", "GOPROXY")
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

func exists(image string) bool {
	_, err := try("docker", "image", "inspect", image)
	return err == nil
}

// pipe runs two commands, the output of the first being the input of the second.
func pipe(t *testing.T, from, to *exec.Cmd) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	output := newStream()
	from.Stdout, from.Stderr = w, output
	to.Stdin, to.Stdout, to.Stderr = r, output, output
	err = errors.Join(from.Start(), to.Start())
	w.Close()
	r.Close()
	if err == nil {
		err = errors.Join(from.Wait(), to.Wait())
	}
	if err != nil {
		t.Fatalf("%s | %s: %v\n%s", from.Args[0], strings.Join(to.Args, " "), err, output.tail())
	}
}

// testDockerfile builds the image that users build, offline and with the classic builder.
func testDockerfile(t *testing.T, images images) {
	text, err := os.ReadFile(filepath.Join(images.sources, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	dockerfile, standIn := string(text), []string{"--build-arg", "BUILDER=" + builder(t, images.sources)}
	// The first stage for its own sake has a name, and so goes when the test does.
	build(t, images.sources, dockerfile, append(standIn, "--target", "build")...)
	product := build(t, images.sources, dockerfile, standIn...)

	t.Run("config", func(t *testing.T) {
		var config struct {
			User, StopSignal string
			Entrypoint       []string
			Labels           map[string]string
		}
		if err := json.Unmarshal([]byte(docker(t, "inspect", "--format", "{{json .Config}}", product)), &config); err != nil {
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
		names := slices.DeleteFunc(files(t, product), func(name string) bool { return slices.Contains(theirs, name) })
		if !slices.Equal(names, []string{"initctl", "initd"}) {
			t.Errorf("the image holds %q", names)
		}
	})

	// A build elsewhere, of the same sources by the same Go, makes the same bytes.
	t.Run("reproducible", func(t *testing.T) {
		again := build(t, images.sources, dockerfile, append(standIn, "--target", "build", "--no-cache")...)
		for _, name := range []string{"initd", "initctl"} {
			local := filepath.Join(t.TempDir(), name)
			compile(t, images.sources, "./cmd/"+name, local)
			want, err := os.ReadFile(local)
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
			options := append(environment("SERVER_STARTER_PORT="+address), "--read-only", "--cap-drop", "ALL")
			c := start(t, options, build(t, images.context, dockerfile))
			c.serving(1)
			if answer := ask(c, images); !strings.HasPrefix(answer, "generation 1,") {
				t.Errorf("it answers %q", answer)
			}
			c.stop()
		})
	}
}

// files returns the names of the regular files in a container of an image.
func files(t *testing.T, image string) (names []string) {
	t.Helper()
	name := unique()
	docker(t, "create", "--name", name, image)
	defer docker(t, "rm", name)
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
	name := unique()
	docker(t, "create", "--name", name, image)
	defer docker(t, "rm", name)
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
