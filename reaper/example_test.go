package reaper_test

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"server-starter/reaper"
)

// This is a complete PID 1: it runs one command, reaps what the command leaves
// behind, and returns with its status. Its main is
//
//	os.Exit(run(os.Args[1], os.Args[1:]...))
func run(path string, argv ...string) int {
	wake := make(chan os.Signal, 1)      // one is enough: each wake takes all that ended
	signal.Notify(wake, syscall.SIGCHLD) // before the first start, so that none is missed
	defer signal.Stop(wake)
	if err := reaper.Subreaper(); err != nil { // for when it is not PID 1
		fmt.Fprintln(os.Stderr, err)
		return 125
	}
	command, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "exec %s: %v\n", path, err)
		return 127
	}
	status := -1
	for status < 0 {
		<-wake
		reaper.Drain(0, func(exit reaper.Exit) {
			switch {
			case exit.PID != command: // an orphan
			case exit.Status.Signaled():
				status = 128 + int(exit.Status.Signal())
			default:
				status = exit.Status.ExitStatus()
			}
		})
	}
	return status
}

func Example() {
	fmt.Println(run("/bin/sh", "sh", "-c", "exit 7"))
	fmt.Println(run("/bin/sh", "sh", "-c", "kill -TERM $$"))
	// Output:
	// 7
	// 143
}
