package launch

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A program that runs as another user has none of the capabilities that initd was given, by whatever set they would pass
// through execve(2), and cannot read initd's keys: capabilities(7), session-keyring(7). What it may regain from a file
// is not changed.
func TestOtherUserHasNoRights(t *testing.T) {
	needRoot(t)
	out := runs(t, role("entitled"))
	var before, after map[string]string
	if parts := strings.Split(out, "---\n"); len(parts) == 2 {
		before, after = procStatus(parts[0]), procStatus(parts[1])
	}
	if strings.Trim(before["CapAmb"], "0") == "" || strings.Trim(before["CapInh"], "0") == "" {
		t.Fatalf("the test gives initd no capability:\n%s", out)
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		if strings.Trim(after[set], "0") != "" {
			t.Errorf("%s of the program is %s", set, after[set])
		}
	}
	if before["CapBnd"] != after["CapBnd"] {
		t.Errorf("the bounding set was %s, and is %s", before["CapBnd"], after["CapBnd"])
	}
	if before["keyring"] == after["keyring"] && !strings.Contains(before["keyring"], "not permitted") {
		t.Errorf("the program has initd's session keyring %s", after["keyring"])
	}
	if out := after["setuid"]; out != syscall.EPERM.Error() {
		t.Errorf("setuid(0): %s", out)
	}
}

// playEntitled is an initd with another user's id, whose ambient capabilities allow it to change users, as in a
// container that does not run as root.
func playEntitled() {
	runtime.LockOSThread()
	unix.KeyctlJoinSessionKeyring("initd")
	check := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	check(unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0))
	check(setres(sysSetresuid, 23456)) // the threads that Start does not start from stay root's
	wanted := uint32(1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID)
	sets := [2]unix.CapUserData{{Effective: wanted, Permitted: wanted, Inheritable: wanted}}
	check(unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &sets[0]))
	for _, c := range []uintptr{unix.CAP_SETUID, unix.CAP_SETGID} {
		check(unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, c, 0, 0))
	}
	printRights()
	fmt.Println("---")
	c := role("rights")
	c.Credential = &Credential{UID: 12345, GID: 12345}
	pid, outcome, err := Start(c)
	check(err)
	check(outcome.Wait())
	syscall.Wait4(pid, nil, 0, nil)
}

func printRights() {
	runtime.LockOSThread()
	text, _ := os.ReadFile("/proc/thread-self/status")
	os.Stdout.Write(text)
	ring, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	fmt.Println("keyring:", ring, err)
}

func playRights() {
	printRights()
	fmt.Println("setuid:", setres(sysSetresuid, 0))
}

func TestKeyQuota(t *testing.T) {
	if got := refused("session_keyring", syscall.EDQUOT); !strings.Contains(got, "kernel.keys.maxkeys") {
		t.Errorf("it is explained by %q", got)
	}
}
