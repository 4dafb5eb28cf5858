package servers_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/dockertest"
	"server-starter/cmd/initd/internal/initdtest"
)

// provider is what debootstrap has to be told to install, as it does not look for a package that
// provides another one: libnet-ssleay-perl depends on perl-openssl-abi-3.
const provider = "perl-openssl-defaults"

// unneeded is what the root file system is relieved of.
var unneeded = []string{"./var/cache/apt", "./var/lib/apt/lists", "./usr/share/doc", "./usr/share/man", "./usr/share/locale"}

// debian returns an image of Debian with what the recipes install. It is made with debootstrap from the mirror
// that apt is configured for, and kept under a tag that tells what went into it.
func debian(t testing.TB) string {
	mirror, suite := aptSource(t)
	packages := append(readRecipes(t).packages(), provider)
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
