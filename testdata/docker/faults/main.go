// Faults is what the container tests run where a well-behaved worker would teach them nothing.
//
//	faults greedy     takes memory without end once it gets USR1
//	faults stubborn   ignores TERM, INT and QUIT
//	faults storm N    leaves N orphans behind, all of which end together
//	faults stray      leaves one orphan behind, which lives on
//	faults serve PACE answers one client after the other, each after PACE
//	faults greet TEXT answers with TEXT, its generation and its host
//	faults forsaken   leaves its clients waiting, and reports when it gets USR1; forsaken UID becomes that user first
//
// And what they run beside a worker, in images that have no kill and no ps:
//
//	faults kill PID   sends KILL to PID
//	faults strike PID... sends KILL to each, and prints which clients each had: pid, time, ports
//	faults ps         lists the other processes there are: pid, parent, state, command
//	faults usage PID  prints how many files it has open, and its resident memory in KiB
//	faults flip DIR NAME CONTENT  replaces what a volume has, as a kubelet does
//	faults visit ADDRESS  connects, asks, and goes away at the end of a line of standard input
//
// A worker reports on standard output when it is under way. Without arguments, as which it takes the
// place of a worker's program, it fails at once.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("faults: ")
	if len(os.Args) < 2 {
		log.Print("broken on purpose")
		os.Exit(3)
	}
	var err error
	switch os.Args[1] {
	case "greedy":
		greedy()
	case "stubborn":
		stubborn()
	case "storm":
		err = storm(os.Args[2:])
	case "stray":
		err = stray()
	case "parent": // what storm and stray start
		err = parent(os.Args[2:])
	case "orphan": // what that starts
		wait(syscall.SIGTERM)
	case "serve":
		err = serve(os.Args[2:])
	case "greet":
		err = greet(os.Args[2:])
	case "forsaken":
		err = forsaken(os.Args[2:])
	case "kill":
		err = kill(os.Args[2:])
	case "strike":
		err = strike(os.Args[2:])
	case "usage":
		err = usage(os.Args[2:])
	case "flip":
		err = flip(os.Args[2:])
	case "visit":
		err = visit(os.Args[2:])
	case "ps":
		err = ps()
	default:
		err = fmt.Errorf("unknown fault %q", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}

// report prints how far this worker has got, for the test that reads its output.
func report(what string) {
	fmt.Printf("generation %s, pid %d: %s\n", os.Getenv("SERVER_STARTER_GENERATION"), os.Getpid(), what)
}

// wait returns when this process is sent the signal.
func wait(s os.Signal) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, s)
	<-c
}

func greedy() {
	report("greedy")
	wait(syscall.SIGUSR1)
	report("taking memory")
	const step = 1 << 20
	for kept := [][]byte{}; ; {
		page := make([]byte, step)
		for i := 0; i < step; i += os.Getpagesize() {
			page[i] = 1 // only memory that was written to is taken
		}
		kept = append(kept, page)
	}
}

func stubborn() {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	report("stubborn")
	wait(syscall.SIGUSR1)
}

func storm(args []string) error {
	if len(args) != 1 {
		return errors.New("storm wants a number")
	}
	group, err := abandon(args[0])
	if err != nil {
		return err
	}
	report("storm breaks")
	if err := syscall.Kill(-group, syscall.SIGKILL); err != nil {
		return err
	}
	wait(syscall.SIGTERM)
	return nil
}

func stray() error {
	group, err := abandon("1")
	if err != nil {
		return err
	}
	report("stray left")
	wait(syscall.SIGTERM)
	return syscall.Kill(-group, syscall.SIGKILL)
}

// abandon has a parent start n orphans and end, so that they belong to PID 1 or to the nearest
// subreaper, and returns their process group.
func abandon(n string) (group int, err error) {
	cmd := exec.Command("/proc/self/exe", "parent", n)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Run(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, nil
}

func parent(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for range n {
		if err := exec.Command("/proc/self/exe", "orphan").Start(); err != nil {
			return err
		}
	}
	return nil
}

func kill(args []string) error {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// ps reads proc_pid_stat(5).
func ps() error {
	processes, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	for _, path := range processes {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		var pid, parent int
		var state string
		if _, err := fmt.Sscanf(string(stat), "%d (", &pid); err != nil {
			return err
		}
		if pid == os.Getpid() {
			continue
		}
		// A program's name stands in parentheses, and may hold any itself.
		end := bytes.LastIndexByte(stat, ')')
		if _, err := fmt.Sscanf(string(stat[end+1:]), "%s %d", &state, &parent); err != nil {
			return err
		}
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		fmt.Println(pid, parent, state, string(bytes.ReplaceAll(command, []byte{0}, []byte{' '})))
	}
	return nil
}
