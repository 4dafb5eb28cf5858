package launch

import (
	"fmt"
	"math/bits"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel sends the death signal when the thread that forked ends; here the whole mother is killed. Her child becomes
// ours, as we are a subreaper, and so tells us of its end.
func TestDeathSignal(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	for _, how := range []string{"direct", "staged", "user"} {
		t.Run(how, func(t *testing.T) {
			if how == "user" {
				needRoot(t)
			}
			read, write := pipe(t)
			c := role("mother")
			c.Environ = append(c.Environ, "HOW="+how)
			c.Files[1] = uintptr(write)
			mother, _, err := Start(c)
			unix.Close(write)
			if err != nil {
				t.Fatal(err)
			}
			var child int
			if _, err := fmt.Fscan(read, &child); err != nil {
				t.Fatal(err)
			}
			syscall.Kill(mother, syscall.SIGKILL)
			wait(t, mother)
			if status := wait(t, child); status.Signal() != syscall.SIGUSR2 {
				t.Errorf("the child ended with %#x, want USR2", status)
			}
		})
	}
}

func playMother() {
	runtime.LockOSThread()
	c := command("sleep", "600")
	c.DeathSignal = syscall.SIGUSR2
	switch os.Getenv("HOW") {
	case "direct":
		c.Direct = true
	case "user":
		c.Credential = &Credential{UID: 12345, GID: 12345}
	}
	pid, outcome, err := Start(c)
	if err != nil || outcome.Wait() != nil {
		os.Exit(1)
	}
	fmt.Println(pid)
	syscall.Pause()
}

// A parent that is gone before the stage asks for the death signal is as good as one that dies after.
func TestDeathSignalOfGoneParent(t *testing.T) {
	for _, parent := range []int{os.Getpid(), 1 << 30} {
		argv := []string{stage, "2", fmt.Sprintf("pdeathsig=%d %d", syscall.SIGUSR2, parent), "--", "true"}
		pid, err := command().fork(self, argv, &everySignal, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
		if err != nil {
			t.Fatal(err)
		}
		status := wait(t, pid)
		if gone := parent != os.Getpid(); gone != (status.Signal() == syscall.SIGUSR2) || !gone && status != 0 {
			t.Errorf("parent gone: %v, status: %#x", gone, status)
		}
	}
}

// dirt is what a process may have inherited; CHLD ignored would only make children unwaitable.
func dirt() (ignored []int) {
	for n := 1; n <= signals; n++ {
		switch syscall.Signal(n) {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD:
		default:
			ignored = append(ignored, n)
		}
	}
	return ignored
}

func playDirty() {
	runtime.LockOSThread()
	c := command("cat", "/proc/self/status")
	c.Direct = os.Getenv("DIRECT") != ""
	if os.Getenv("DIRT") == "ignored" {
		for _, n := range dirt() {
			rtSigaction(n, &sigaction{1}, nil)
		}
		if !ignored(40) || !ignoring() {
			os.Exit(2)
		}
	} else {
		signal.Notify(make(chan os.Signal, 1))
	}
	var before, after unix.Sigset_t
	set := unix.Sigset_t{}
	for _, n := range []int{10, 13, 14, 40, 64} {
		set.Val[(n-1)/bits.UintSize] |= 1 << ((n - 1) % bits.UintSize)
	}
	unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
	unix.PthreadSigmask(unix.SIG_BLOCK, nil, &before)
	pid, outcome, err := Start(c)
	if err != nil || outcome.Wait() != nil {
		os.Exit(3)
	}
	if unix.PthreadSigmask(unix.SIG_BLOCK, nil, &after); before != after {
		os.Exit(4)
	}
	syscall.Wait4(pid, nil, 0, nil)
}

func TestSignalsAreClean(t *testing.T) {
	for way, direct := range ways {
		for _, dirt := range []string{"ignored", "caught"} {
			t.Run(dirt+"/"+way, func(t *testing.T) {
				c := role("dirty")
				c.Environ = append(c.Environ, "DIRT="+dirt)
				if direct {
					c.Environ = append(c.Environ, "DIRECT=1")
				}
				status := procStatus(runs(t, c))
				for _, set := range []string{"SigIgn", "SigBlk", "SigCgt", "SigPnd", "ShdPnd"} {
					if status[set] != "0000000000000000" {
						t.Errorf("%s is %q", set, status[set])
					}
				}
			})
		}
	}
}

// Whenever a signal comes after Start has returned, it does to the child what it does to any program.
func TestEarlySignal(t *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	tests := map[syscall.Signal]int{
		syscall.SIGTERM: 200, syscall.SIGHUP: 50, syscall.SIGUSR1: 50, syscall.Signal(40): 50, syscall.SIGKILL: 20,
	}
	for sent, times := range tests {
		t.Run(sent.String(), func(t *testing.T) {
			before, took := 0, time.Hour
			for i := range times {
				c := command("sleep", "600")
				c.Files = []uintptr{uintptr(null), uintptr(null), 2}
				start := time.Now()
				pid, outcome, err := Start(c)
				if err != nil {
					t.Fatal(err)
				}
				known := make(chan error, 1)
				go func() { known <- outcome.Wait() }()
				if i < 3 { // the first come after the program was executed, and show how long that takes
					known <- <-known
					took = min(took, time.Since(start))
				}
				for until := took * time.Duration(i) / time.Duration(times); time.Since(start) < until; {
				}
				if i >= 3 && len(known) == 0 {
					before++
				}
				syscall.Kill(pid, sent)
				if status := wait(t, pid); !status.Signaled() || status.Signal() != sent {
					t.Fatalf("no. %d ended with %#x", i, status)
				}
				if err := <-known; err != nil {
					t.Errorf("outcome of the killed child: %v", err)
				}
			}
			if before < times/10 {
				t.Errorf("only %d of %d signals came before the program was executed", before, times)
			}
		})
	}
}
