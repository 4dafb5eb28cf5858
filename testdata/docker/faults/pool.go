package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"server-starter/initd/worker"
)

// serve answers one client after the other, and takes its time.
func serve(args []string) error {
	pace, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	listeners, err := worker.Listeners()
	if err != nil || len(listeners) == 0 {
		return errors.Join(err, errors.New("no listener"))
	}
	return worker.Loop(context.Background(), listeners[0], 0, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		time.Sleep(pace)
		answer := fmt.Sprintf("generation %d, pid %d\n", worker.Generation(), os.Getpid())
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
	})
}

// strike kills workers, all at once. It has them stop first, so that it knows which clients
// each had at that moment, and prints of each: its pid, the moment in nanoseconds since 1970, and the
// clients' ports. One that has ended before is left out.
func strike(args []string) error {
	var victims []int
	for _, arg := range args {
		pid, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		switch err := syscall.Kill(pid, syscall.SIGSTOP); err {
		case nil:
			victims = append(victims, pid)
		case syscall.ESRCH:
		default:
			return err
		}
	}
	for _, pid := range victims {
		if err := finish(pid); err != nil {
			return err
		}
	}
	return nil
}

// finish kills a process that was stopped, and prints which clients it had. initd continues a stopped worker when it asks
// it to end; it is stopped again then, because it may have other clients.
func finish(pid int) error {
	for {
		for !stopped(pid) {
			syscall.Kill(pid, syscall.SIGSTOP)
			time.Sleep(time.Millisecond)
		}
		ports, err := clients(pid)
		if err != nil {
			return err
		}
		line := fmt.Sprintln(append([]any{pid, time.Now().UnixNano()}, ports...)...)
		if stopped(pid) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
				fmt.Print(line)
			}
			return nil
		}
	}
}

// stopped reports whether no thread of a process runs any more: it is stopped, or there is none.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); !strings.Contains("TtZX", fields[0]) {
			return false
		}
	}
	return true
}

// clients are the remote ports of the TCP connections that a process has open; proc_pid_net(5).
func clients(pid int) (ports []any, err error) {
	inodes := map[string]bool{}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return nil, nil // it has ended
	}
	for _, file := range files {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, file.Name()))
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 10 || !inodes[f[9]] {
			continue
		}
		_, remote, _ := strings.Cut(f[2], ":")
		if port, err := strconv.ParseUint(remote, 16, 16); err == nil && port > 0 {
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// usage prints how many files a process has open, and how much memory is resident: KiB.
func usage(args []string) error {
	files, err := os.ReadDir("/proc/" + args[0] + "/fd")
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/" + args[0] + "/status")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	fmt.Println(len(files), strings.Fields(rest)[0])
	return nil
}

// flip replaces what a volume has, as a kubelet does: a file of that name and content in a new
// directory, to which the link ..data points from one moment to the next.
func flip(args []string) error {
	dir, name, content := args[0], args[1], args[2]
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	next := fmt.Sprintf("..%d", time.Now().UnixNano())
	if err := errors.Join(
		os.Mkdir(filepath.Join(dir, next), 0o755),
		os.WriteFile(filepath.Join(dir, next, name), []byte(content), 0o644),
		os.Symlink(next, filepath.Join(dir, "..data_tmp")),
		os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")),
	); err != nil {
		return err
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(dir, old))
	}
	return os.Symlink("..data/"+name, filepath.Join(dir, name))
}

// forsaken answers nobody, and reports the USR1 by which initd shows that its client has gone. It may become
// another user first.
func forsaken(args []string) error {
	if len(args) > 0 {
		uid, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		if err := errors.Join(syscall.Setgid(uid), syscall.Setuid(uid)); err != nil {
			return err
		}
	}
	listeners, err := worker.Listeners()
	if err != nil || len(listeners) == 0 {
		return errors.Join(err, errors.New("no listener"))
	}
	return worker.Loop(context.Background(), listeners[0], 0, func(conn net.Conn) {
		conn.Read(make([]byte, 4096))
		report("busy")
		wait(syscall.SIGUSR1)
		report("its client has gone")
	})
}

// visit is a client that goes away at once when it has been accepted and a line has been written to
// standard input.
func visit(args []string) error {
	conn, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	log.Print("visiting")
	bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}
