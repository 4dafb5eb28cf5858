package doctor

import (
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/socket"
	"server-starter/reaper"
)

// isolatedName is the argv[0] of an initctl that examines in namespaces of its own.
const isolatedName = "initctl: examines in namespaces of its own"

func isIsolated() bool { return os.Args[0] == isolatedName }

// refusalFD is where the isolated process writes why it cannot examine the
// program. It writes nothing if it has made the report.
const refusalFD = 3

// isolate runs this very program once more in namespaces of its own, where the
// program that is examined gets the very addresses that it will have, and nothing
// real is touched. An empty refusal means that the report was made there, and that
// it ended with that status.
//
// It has to be executed anew: a program with threads can neither enter a user
// namespace, unshare(2), nor have clients in two networks.
func (x *Examination) isolate() (status int, refusal string, err error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, err.Error(), nil
	}
	argv := slices.Concat([]string{isolatedName, "check", "--initd=" + x.Initd}, x.Settings.Arguments(carried...), []string{"--"}, x.Settings.Command)
	pid, err := syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{
		Env: environment(), Files: []uintptr{0, 1, 2, uintptr(pipe[1])}, Sys: namespaces(),
	})
	unix.Close(pipe[1])
	unix.SetNonblock(pipe[0], true)
	file := os.NewFile(uintptr(pipe[0]), "refusal")
	defer file.Close()
	if err != nil {
		return 0, "no permission to create an isolated network (" + err.Error() + "); docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN allows it", nil
	}
	refused := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(file)
		refused <- string(text)
	}()
	ended, err := x.waitFor(pid)
	switch {
	case err != nil:
		return 0, "", err
	case ended.Signaled():
		return 0, "", fmt.Errorf("the isolated process was killed by signal %v", ended.Signal())
	}
	return ended.ExitStatus(), <-refused, nil
}

// waitFor waits for the end of the isolated process. A signal ends that, too, and
// is the error.
func (x *Examination) waitFor(pid int) (ended syscall.WaitStatus, err error) {
	var late <-chan time.Time
	for {
		done := false
		reaper.Drain(0, func(e reaper.Exit) {
			if e.PID == pid {
				ended, done = e.Status, true
			}
		})
		if done {
			return ended, err
		}
		select {
		case <-x.signals.child:
		case s := <-x.signals.stop:
			err = interruption(s)
		case <-late:
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil && late == nil {
			syscall.Kill(pid, syscall.SIGTERM)
			late = time.After(grace)
		}
	}
}

// namespaces are those of the isolated process. Where it has no right to make them
// it gets it by a user namespace in which all else is as it was;
// user_namespaces(7). The capabilities are ambient because execve(2) would take
// others away.
func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN}
	}
	return attr
}

// examineIsolated is the examination in the new namespaces. The process that made
// them waits for a refusal, and examines the program itself then.
func (x *Examination) examineIsolated() (status int, err error) {
	refuse := func(why string) (int, error) {
		syscall.Write(refusalFD, []byte(why))
		return NotFit, nil
	}
	if x.place, err = setUp(x.Listeners); err != nil {
		return refuse(err.Error())
	}
	status, refusal, err := x.conduct()
	if err == nil && refusal != "" {
		return refuse(refusal)
	}
	return status, err
}

// setUp prepares the new namespaces. What the program inherits is to have no more
// rights than it will have.
func setUp(specs []socket.Spec) (place, error) {
	p := place{isolated: true, isElsewhere: nowhere, about: []string{"in an isolated network, at the configured addresses"}}
	if err := network(specs); err != nil {
		return place{}, fmt.Errorf("cannot set up an isolated network: %w", err)
	}
	if err := coverDirectories(specs); err != nil {
		p.isElsewhere = onDisk
		p.about = append(p.about, "unix sockets are at other paths: "+err.Error())
	}
	if os.Geteuid() != 0 {
		return p, unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	}
	return p, nil
}
