package doctor

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/initd/socket"
)

// TestFamily: a process has its descendants, until they end.
func TestFamily(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 1000 & echo; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	started, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started.Read(make([]byte, 1)) // the child is there
	all := family(cmd.Process.Pid)
	if len(all) != 2 || all[0].pid != cmd.Process.Pid || all[0].name != "sh" || !all[0].lives() || !all[1].lives() {
		t.Errorf("the family is %v", all)
	}
	if own := family(os.Getpid()); len(own) < 3 || own[0].pid != os.Getpid() {
		t.Errorf("this test's family is %v", own)
	}
	if memory(all) < 1000 || memory(all) <= memory(all[:1]) {
		t.Errorf("two processes have %d bytes, one has %d", memory(all), memory(all[:1]))
	}
	if want := fmt.Sprintf("sh (%d)", cmd.Process.Pid); all[0].String() != want {
		t.Errorf("it is called %s, not %s", all[0], want)
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	cmd.Wait()
	if all[0].lives() {
		t.Error("it lives after its end")
	}
	if (process{pid: os.Getpid(), birth: 1}).lives() {
		t.Error("another process of the same pid is taken for it")
	}
	if left := family(cmd.Process.Pid); len(left) != 0 {
		t.Errorf("after its end the family is %v", left)
	}
}

// TestOpenSockets: those of this process are found, with the connections that wait.
func TestOpenSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	set, err := socket.Open([]socket.Spec{
		{Network: "tcp", Host: "127.0.0.1", FD: -1}, {Network: "udp", Host: "127.0.0.1", FD: -1}, {Network: "unix", Path: path, FD: -1},
	}, socket.Options{Mode: 0o600, UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	for waiting := range 2 {
		for _, l := range set.All() {
			want := openSocket{network: l.Network, address: l.Address, queue: waiting}
			if l.Network == "udp" {
				want.queue = 0
			}
			awaitSocket(t, want)
			if l.Network != "udp" {
				conn, err := net.Dial(l.Network, l.Address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
		}
	}
}

// awaitSocket waits until this process has such a socket: a connection may get
// into the queue a moment after connect(2) has returned.
func awaitSocket(t *testing.T, want openSocket) {
	t.Helper()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for late := time.After(patience); ; {
		ours, found := inodes([]process{{pid: os.Getpid()}}), openSockets()
		for _, s := range found {
			if s.network == want.network && s.address == want.address && s.queue == want.queue && ours[s.inode] {
				return
			}
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("%v with %d waiting is not among %v", want, want.queue, found)
		}
	}
}

func TestAddress(t *testing.T) {
	for hex, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"00000000:0035":                         "0.0.0.0:53",
		"00000000000000000000000001000000:1F90": "[::1]:8080",
		"B80D0120000000000000000007000000:0050": "[2001:db8::7]:80",
	} {
		if got := address(hex); got != want && isLittleEndian() {
			t.Errorf("%s is %s, not %s", hex, got, want)
		}
	}
}

// isLittleEndian reports whether the samples are of this architecture.
func isLittleEndian() bool { return strings.HasPrefix(address("0100007F:0000"), "127.0.0.1:") }

func TestIsAt(t *testing.T) {
	for _, test := range []struct {
		socket openSocket
		target target
		want   bool
	}{
		{openSocket{network: "tcp", address: "[::]:8080"}, target{network: "tcp", key: "127.0.0.1:8080"}, true},
		{openSocket{network: "tcp", address: "[::]:8080"}, target{network: "tcp", key: "8080"}, true},
		{openSocket{network: "tcp", address: "[::]:8081"}, target{network: "tcp", key: "8080"}, false},
		{openSocket{network: "udp", address: "[::]:8080"}, target{network: "tcp", key: "8080"}, false},
		{openSocket{network: "unix", address: "/run/x"}, target{network: "unix", key: "/run/x"}, true},
		{openSocket{network: "unix", address: "/run/x"}, target{network: "unix", key: "/run/y"}, false},
	} {
		if got := test.socket.isAt(&test.target); got != test.want {
			t.Errorf("%v is at %s: %v", test.socket, test.target.key, got)
		}
	}
}
