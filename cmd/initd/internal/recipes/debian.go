package recipes

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

// provider is what debootstrap has to be told to install, as it does not look for a package that
// provides another one: libnet-ssleay-perl depends on perl-openssl-abi-3.
const provider = "perl-openssl-defaults"

// unneeded is what the root file system is relieved of.
var unneeded = []string{"./var/cache/apt", "./var/lib/apt/lists", "./usr/share/doc", "./usr/share/man", "./usr/share/locale"}

// Images are made of Debian, with what the recipes install and copy, and some more files in the same place. A package
// of tests asks for the same files each time.
func Images(t testing.TB, more map[string]string) dockertest.Images {
	t.Helper()
	return dockertest.Make(t, func(t testing.TB) (string, map[string]string) {
		files := map[string]string{}
		for _, some := range []map[string]string{Read(t).Files, more} {
			for name, content := range some {
				files[filepath.Join("srv", name)] = content
			}
		}
		return debian(t), files
	})
}

// debian returns an image of Debian with what the recipes install and build, in two layers, as the programs change
// more often than the packages. Each is kept under a tag that tells what went into it.
func debian(t testing.TB) string {
	// Another package of tests may be at it.
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "initd-test-debian.lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	base := debootstrapped(t)
	all := Read(t)
	content := fmt.Sprint(base, all.Programs)
	for _, source := range all.Sources {
		content += all.Files[source]
	}
	tag := fmt.Sprintf("initd-test-debian:%.6x", sha256.Sum256([]byte(content)))
	if dockertest.Exists(tag) {
		return tag
	}
	dir := t.TempDir()
	for _, pkg := range all.Programs {
		t.Logf("building %s", pkg)
		if err := initdtest.Install(pkg, filepath.Join(dir, "srv"), dockertest.Release...); err != nil {
			t.Fatal(err)
		}
	}
	for _, source := range all.Sources {
		t.Logf("building %s", source)
		if err := os.WriteFile(filepath.Join(dir, source), []byte(all.Files[source]), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := initdtest.Build(dir, source, filepath.Join(dir, "srv", Program(source)), dockertest.Release...); err != nil {
			t.Fatal(err)
		}
	}
	dockertest.BuildAs(t, tag, dir, "FROM "+base+"\nCOPY srv /srv\n")
	return tag
}

// debootstrapped returns an image of Debian with the packages, from the mirror that apt is configured for.
func debootstrapped(t testing.TB) string {
	mirror, suite := aptSource(t)
	packages := append(Read(t).packages(), provider)
	content := fmt.Sprint(mirror, suite, packages, unneeded)
	tag := fmt.Sprintf("initd-test-debian:%.6x", sha256.Sum256([]byte(content)))
	if dockertest.Exists(tag) {
		return tag
	}
	if os.Geteuid() != 0 {
		initdtest.Impossible(t, "debootstrap makes a Debian root file system for root only")
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		for _, args := range [][]string{{"update"}, {"install", "--yes", "--no-install-recommends", "debootstrap"}} {
			if _, err := initdtest.Try("apt-get", args...); err != nil {
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
	if _, err := initdtest.Try("debootstrap", "--variant=minbase", "--include="+strings.Join(packages, ","), suite, dir, mirror); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "debootstrap/debootstrap.log"))
		t.Fatalf("%v\n%s: %s", err, dir, initdtest.Tail(string(log)))
	}
	args := []string{"--directory", dir, "--create"}
	for _, path := range unneeded {
		args = append(args, "--exclude", path)
	}
	dockertest.Pipe(t, exec.Command("tar", append(args, ".")...), exec.Command("docker", "import", "-", tag))
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
	return tag
}

// aptSource returns the mirror and the suite that apt has for this machine's own release.
func aptSource(t testing.TB) (mirror, suite string) {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		initdtest.Impossible(t, "a Debian root file system is made on Debian only: %v", err)
	}
	for line := range strings.Lines(string(release)) {
		if codename, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			suite = strings.Trim(codename, `"`)
		}
	}
	targets, err := initdtest.Try("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
	if err != nil {
		initdtest.Impossible(t, "a Debian root file system is made on Debian only: %v", err)
	}
	for line := range strings.Lines(targets) {
		f := strings.Fields(line)
		if len(f) == 3 && f[1] == suite && f[2] == "main" {
			return f[0], suite
		}
	}
	initdtest.Impossible(t, "apt has no source of %q main to make a root file system from:\n%s", suite, targets)
	return
}
