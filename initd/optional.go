package initd

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"server-starter/initd/machine"
	"server-starter/initd/notify"
	"server-starter/initd/settings"
	"server-starter/reaper"
)

// What the kernel may refuse, for example under a seccomp filter (seccomp(2)), and
// initd can do without unless a setting asks for it.

// adoptOrphans has initd adopt orphans, as PID 1 does by itself.
func (up *setup) adoptOrphans() error {
	if os.Getpid() == 1 {
		return nil
	}
	if err := reaper.Subreaper(); err != nil {
		up.notes = append(up.notes, fmt.Sprintf("%v; initd cannot adopt the orphans of its workers", err))
	}
	return nil
}

// chooseDeathSignal finds out whether the kernel allows the death signal.
func (up *setup) chooseDeathSignal() (err error) {
	up.programs.deathSignal, err = deathSignal(up.settings)
	switch {
	case err == nil:
		return nil
	case up.settings.Given("death-signal"):
		return settingError("death-signal", err)
	}
	up.notes = append(up.notes, fmt.Sprintf("death-signal: %v; workers keep running if initd is killed", err))
	return nil
}

// deathSignal is the death signal of the processes that initd starts, or 0 and an
// error if the kernel refuses it. PID 1 needs none: when it ends, the kernel kills all
// other processes of its namespace, pid_namespaces(7).
func deathSignal(s *settings.Settings) (syscall.Signal, error) {
	if s.DeathSignal == 0 || os.Getpid() == 1 {
		return 0, nil
	}
	// Setting initd's own to the value that it has changes nothing.
	var own int32
	_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&own)), 0)
	if errno == 0 {
		_, _, errno = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(own), 0)
	}
	if errno != 0 {
		return 0, fmt.Errorf("prctl PR_SET_PDEATHSIG: %w", errno)
	}
	return syscall.Signal(s.DeathSignal), nil
}

// openNotify prepares the notification sockets, or does without them if the kernel
// refuses them and no setting needs them.
func (up *setup) openNotify() error {
	if up.programs.plain() {
		return nil
	}
	probe, err := notify.Listen()
	if err == nil {
		probe.Close()
		up.notify = notify.NewSockets(func(n notify.Note) { up.inbox.post(notification{n}) }, up.inbox.start)
		return nil
	}
	switch s := up.settings; {
	case s.Ready.Value == machine.Notify:
		return settingError("ready", err)
	case s.Watchdog > 0:
		return settingError("watchdog", err)
	}
	up.notes = append(up.notes, fmt.Sprintf("%v; workers cannot send READY=1, so each is ready after the interval", err))
	return nil
}
