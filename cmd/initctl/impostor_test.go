package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// playImpostor answers at a socket as if it were a healthy initd.
func playImpostor(path string) {
	l, err := net.Listen("unix", path)
	fmt.Println(err)
	for err == nil {
		var conn net.Conn
		if conn, err = l.Accept(); err == nil {
			io.WriteString(conn, `{"version":1,"id":1,"answer":"health","health":{"live":true,"ready":true,"state":"ready","generation":1}}`+"\n")
		}
	}
}

// TestImpostor: a socket that another user has made where everybody may is not initd's. By one in a directory of that
// user's, whoever named it meant that user.
func TestImpostor(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	const other = 12345
	dir, err := os.MkdirTemp("", "initctl")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	for _, test := range []struct {
		name         string
		owner, group int
		mode         os.FileMode
		listens      uint32
		healthy      bool
	}{
		{"everybody's", 0, 0, os.ModeSticky | 0o777, other, false},
		{"a group's", 0, other, 0o775, other, false},
		{"its own", other, 0, 0o755, other, true},
		{"its own and everybody's", other, 0, 0o777, other, false},
		{"everybody's, but root listens", 0, 0, os.ModeSticky | 0o777, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			place := filepath.Join(dir, strings.ReplaceAll(test.name, " ", "-"))
			if err := errors.Join(os.Mkdir(place, 0o755), os.Chown(place, test.owner, test.group), os.Chmod(place, test.mode)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(place, "s")
			impostor := exec.Command("/proc/self/exe")
			impostor.Env = []string{"TEST_PLAYS_IMPOSTOR=" + path}
			impostor.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: test.listens, Gid: test.listens}}
			out, err := impostor.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := impostor.Start(); err != nil {
				t.Fatal(err)
			}
			defer impostor.Wait()
			defer impostor.Process.Kill()
			if said, _ := bufio.NewReader(out).ReadString('\n'); said != "<nil>\n" {
				t.Fatal(said)
			}
			r := invoke(t, path, "health")
			if healthy := r.status == 0; healthy != test.healthy || !healthy && !strings.Contains(r.stdout, "uid 12345 listens there") {
				t.Errorf("%+v", r)
			}
		})
	}
}
