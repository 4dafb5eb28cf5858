package main_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestHTTPNotTraceable: a worker of the same user cannot look into the HTTP process, nor take its place: ptrace(2).
func TestHTTPNotTraceable(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	initctlBinary(t)
	d := run{mode: subreaper, args: flags([]string{"sleep", "1000"}, "http=127.0.0.1:0", "user=65534")}.start(t)
	server := d.httpProcess(0)
	eventually(t, "its files in /proc belong to root, as those of a process that is not dumpable do", func() bool {
		var st unix.Stat_t
		return d.answersHTTP() && unix.Stat(fmt.Sprintf("/proc/%d/environ", server), &st) == nil && st.Uid == 0
	})
	d.stop()
}

// TestHTTPNotTraceableAtFirst: nor can it before that process has made itself not dumpable, which this program never does.
func TestHTTPNotTraceableAtFirst(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	alone := copyOfInitd(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(alone), "initctl"), []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(alone); dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) { // for that user, too
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := run{mode: subreaper, program: alone, args: flags([]string{"sleep", "1000"}, "http=127.0.0.1:0", "user=65534")}.start(t)
	server := d.httpProcess(0)
	reads := func(uid, gid uint32) error {
		look := exec.Command("cat", fmt.Sprintf("/proc/%d/environ", server)) // which takes the right to trace
		look.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
		return look.Run()
	}
	eventually(t, "it runs as the workers' user", func() bool {
		var st unix.Stat_t
		return unix.Stat(fmt.Sprintf("/proc/%d/environ", server), &st) == nil && st.Uid == 65534
	})
	if err := reads(0, 0); err != nil {
		t.Error(err)
	}
	if reads(65534, 65534) == nil {
		t.Error("a process with the rights of a worker can trace it")
	}
	d.stop()
}

// TestHTTPAttacked: what a process of the same user can do to the HTTP process costs it a moment.
func TestHTTPAttacked(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to take a descriptor of another process")
	}
	initctlBinary(t)
	for name, attack := range map[string]func(t *testing.T, pid int){
		"Stopped": func(t *testing.T, pid int) {
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		},
		"ListenerShutDown": func(t *testing.T, pid int) {
			pidfd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				t.Skip("needs pidfd_open(2): ", err)
			}
			defer unix.Close(pidfd)
			for number := range 20 {
				fd, err := unix.PidfdGetfd(pidfd, number, 0)
				if errors.Is(err, unix.EBADF) {
					continue
				} else if err != nil {
					t.Skip("needs pidfd_getfd(2): ", err)
				}
				defer unix.Close(fd)
				if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && listens == 1 {
					if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := run{mode: subreaper, args: flags([]string{"sleep", "1000"}, "http=127.0.0.1:0", "interval=0", "max-backoff=0.2")}.start(t)
			first := d.httpProcess(0)
			eventually(t, "HTTP is served", d.answersHTTP)
			attack(t, first)
			d.httpProcess(first)
			eventually(t, "HTTP is served again", d.answersHTTP)
			d.stop()
		})
	}
}

// answersHTTP reports whether HTTP is served.
func (d *daemon) answersHTTP() bool {
	d.Helper()
	address := d.event("it serves HTTP", func(e initdtest.Entry) bool { return e.Event == "http" }).Address
	client := &http.Client{Timeout: initdtest.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + address + "/livez")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// TestHTTPHost: the names of the setting reach the process that serves them.
func TestHTTPHost(t *testing.T) {
	t.Parallel()
	initctlBinary(t)
	d := run{mode: subreaper, args: flags([]string{"sleep", "1000"}, "http=127.0.0.1:0", "http-host=app", "http-host=metrics.example.com")}.start(t)
	eventually(t, "HTTP is served", d.answersHTTP)
	address := d.event("it serves HTTP", func(e initdtest.Entry) bool { return e.Event == "http" }).Address
	for host, want := range map[string]int{"app": 200, "metrics.example.com:9100": 200, "other": 421} {
		request, err := http.NewRequest(http.MethodGet, "http://"+address+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		r, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if r.Body.Close(); r.StatusCode != want {
			t.Errorf("%s: %s", host, r.Status)
		}
	}
	d.stop()
}
