package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"server-starter/initd/socket"
)

// isolated is what there is in namespaces that were set up.
type isolated struct {
	Place     []string // what the report has about it
	Elsewhere bool     // unix sockets are
	Addresses []string // of the loopback interface
	Listing   []string // of the directory of the unix socket
	Ambient   bool     // it has capabilities that a program would inherit
}

// runIsolated sets up the namespaces that it was started in, for a TCP listener
// and a unix one, and prints what there is then.
func runIsolated(args []string) int {
	found, err := findIsolated(args[0], args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func findIsolated(port, path string) (found isolated, err error) {
	tcp, err := socket.ParsePort(port)
	if err != nil {
		return found, err
	}
	local, err := socket.ParsePath(path)
	if err != nil {
		return found, err
	}
	p, err := setUp([]socket.Spec{tcp, local})
	if err != nil {
		return found, err
	}
	found.Place, found.Elsewhere = p.about, p.isElsewhere(local)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return found, err
	}
	addresses, err := lo.Addrs()
	for _, a := range addresses {
		found.Addresses = append(found.Addresses, a.String())
	}
	if err != nil {
		return found, err
	}
	ambient, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, unix.CAP_SYS_ADMIN, 0, 0)
	if err != nil || found.Elsewhere {
		return found, err
	}
	found.Ambient = ambient == 1
	entries, err := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		text, _ := os.ReadFile(filepath.Join(filepath.Dir(path), e.Name()))
		found.Listing = append(found.Listing, e.Name()+" "+e.Type().String()+" "+string(text))
	}
	return found, errors.Join(err, os.WriteFile(filepath.Join(filepath.Dir(path), "new"), nil, 0o600))
}

// isolateTest starts this test in namespaces of its own, in a directory.
func isolateTest(t *testing.T, dir, port, path string) (found isolated) {
	t.Helper()
	needNamespaces(t)
	cmd := exec.Command("/proc/self/exe", "isolated", port, path)
	cmd.Dir, cmd.SysProcAttr = dir, namespaces()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("%v: %s", err, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestSetUp: the addresses are there, and the directory of a unix socket is there
// without the socket, both for those in the namespaces alone.
func TestSetUp(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "app.sock"), nil, 0o600))
	must(os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	must(os.Symlink("file", filepath.Join(dir, "link")))
	before := listing(t, dir)

	found := isolateTest(t, dir, "192.0.2.7:80", "app.sock")
	if want := []string{"in an isolated network, at the configured addresses"}; !slices.Equal(found.Place, want) {
		t.Errorf("the report would have %q, not %q", found.Place, want)
	}
	if !slices.ContainsFunc(found.Addresses, func(a string) bool { return strings.HasPrefix(a, "192.0.2.7/") }) {
		t.Errorf("the loopback interface has %q, and not 192.0.2.7", found.Addresses)
	}
	if want := []string{"file ---------- text", "link L--------- text", "sub d--------- "}; !slices.Equal(found.Listing, want) {
		t.Errorf("the directory has %q, not %q", found.Listing, want)
	}
	if found.Elsewhere {
		t.Error("the unix socket would be elsewhere")
	}
	if found.Ambient {
		t.Error("the program would inherit capabilities")
	}
	if now := listing(t, dir); !slices.Equal(now, before) {
		t.Errorf("outside the directory had %q and has %q", before, now)
	}

	if !hasIPv6() {
		return
	}
	found = isolateTest(t, outside, "[2001:db8::7]:80", "/nonexistent/app.sock")
	if len(found.Place) != 2 || !strings.HasPrefix(found.Place[1], "unix sockets are at other paths: open /nonexistent: ") || !found.Elsewhere {
		t.Errorf("without the directory: %+v", found)
	}
	if !slices.Contains(found.Addresses, "2001:db8::7/128") {
		t.Errorf("the loopback interface has %q, and not 2001:db8::7", found.Addresses)
	}
}

// hasIPv6 reports whether this kernel does.
func hasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	unix.Close(fd)
	return err == nil
}
