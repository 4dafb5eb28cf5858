// Package initdtest is what the tests of initd have in common: commands, what they write, and terminals.
package initdtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Patience is how long any one event may take before a test gives up on it.
const Patience = 2 * time.Minute

// Impossible skips a test that this machine is not made for, and fails it where it has to be run.
func Impossible(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("INITD_REQUIRE_DOCKER") != "" {
		t.Fatalf("INITD_REQUIRE_DOCKER is set: "+format, args...)
	}
	t.Skipf(format, args...)
}

// NeedIPv6 skips the test where the loopback has no IPv6 address.
func NeedIPv6(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("needs IPv6: %v", err)
	}
	l.Close()
}

// Try runs a command and returns its trimmed standard output; the error holds its standard error.
func Try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*Patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, Tail(stdout.String()), Tail(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// Tail is the end of a long text.
func Tail(s string) string {
	const limit = 4000
	if len(s) > limit {
		return "…" + s[len(s)-limit:]
	}
	return s
}

var serial atomic.Int64

// Unique returns a name for a container, an image, a volume or a socket that nothing else has.
func Unique() string {
	return fmt.Sprintf("initd-test-%d-%d-%d", os.Getpid(), time.Now().UnixMicro(), serial.Add(1))
}

// Read returns what a file has.
func Read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Build builds a program, static as a release is, for a package of the module that the directory belongs to.
func Build(dir, pkg, output string, options ...string) error {
	cmd := exec.Command("go", slices.Concat([]string{"build", "-o", output}, options, []string{pkg})...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// Install builds a program of another module, pkg@version, in a directory, static.
func Install(pkg, dir string, options ...string) error {
	cmd := exec.Command("go", slices.Concat([]string{"install"}, options, []string{pkg})...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go install %s: %w\n%s", pkg, err, out)
	}
	return nil
}
