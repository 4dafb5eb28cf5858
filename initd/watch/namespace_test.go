package watch

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

const insideVariable = "INITD_WATCH_TEST_INSIDE"

// inNamespace plays a test in namespaces of its own, in which it may mount and
// has limits of its own: user_namespaces(7), namespaces(7).
func inNamespace(t *testing.T, play func()) {
	t.Helper()
	uid, gid := os.Getuid(), os.Getgid()
	elsewhere(t, play, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}},
	})
}

// asNobody plays a test without root's power to read everything.
func asNobody(t *testing.T, play func()) {
	t.Helper()
	if os.Getuid() != 0 {
		play()
		return
	}
	elsewhere(t, play, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
}

func elsewhere(t *testing.T, play func(), attributes *syscall.SysProcAttr) {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		play()
		return
	}
	t.Parallel()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), insideVariable+"="+t.Name())
	cmd.SysProcAttr = attributes
	out, err := cmd.CombinedOutput()
	if len(out) == 0 && err != nil {
		t.Skipf("needs user namespaces: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

// limit sets how many inotify instances or watches a user of this namespace may
// have: namespaces(7).
func limit(t *testing.T, what string, n int) {
	t.Helper()
	must(t, os.WriteFile("/proc/sys/user/max_inotify_"+what, fmt.Append(nil, n), 0))
}
