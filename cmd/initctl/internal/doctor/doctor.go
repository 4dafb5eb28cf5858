// Package doctor examines a program: whether it is ready for hot swaps under
// initd with the settings it is given, and if not, which settings to try.
//
// It runs the program as it would be run, under an initd that it starts as a
// child, with the user's settings but isolated: in a network namespace that has
// the same addresses and nothing else or, where that is not possible, on sockets
// elsewhere. It reads what that initd logs, looks at the processes in /proc, and
// is a client of the program. The conclusions are all drawn in [judge].
//
// An initd that serves meanwhile is not affected.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"server-starter/initd/settings"
	"server-starter/initd/socket"
	"server-starter/reaper"
)

// The exit statuses, beside 128 and the number of the signal that interrupted.
const (
	Fit    = 0
	NotFit = 1
	Failed = 125 // nothing could be found out
)

// An Examination is of one program.
type Examination struct {
	Settings  *settings.Settings // with the command
	Listeners []socket.Spec      // of port and path
	Initd     string             // path of the initd that is to run it

	place   place
	signals *signals
}

// Run runs the command for some seconds and writes to standard output what it
// has found out. The status is Fit or NotFit; with an error it is Failed, or 128
// and the number of the signal that interrupted. If ctx is done before anything was
// started the error is that of ctx. The calling goroutine is locked
// to its thread for good: the death signal of the processes that it starts is
// sent when that thread ends, prctl(2).
func (x *Examination) Run(ctx context.Context) (status int, err error) {
	runtime.LockOSThread()
	x.signals = catch()
	if err := ctx.Err(); err != nil { // interrupted before the signals were caught
		return 0, err
	}
	closeOnExec()
	status, err = x.examine()
	var signal interrupted
	switch {
	case errors.As(err, &signal) && isIsolated(): // the process outside reports it
		return 128 + int(signal), nil
	case errors.As(err, &signal):
		return 128 + int(signal), err
	case err != nil:
		return Failed, fmt.Errorf("check: %w", err)
	}
	return status, nil
}

// closeOnExec keeps the files that this process was started with from the
// program, as initd does.
func closeOnExec() {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	// Before Linux 5.11, or under a seccomp filter of that age.
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

func (x *Examination) examine() (status int, err error) {
	if err := reaper.Subreaper(); err != nil {
		return 0, err
	}
	if isIsolated() {
		return x.examineIsolated()
	}
	status, refusal, err := x.isolate()
	if err != nil || refusal == "" {
		return status, err
	}
	x.place = here(refusal)
	status, _, err = x.conduct()
	return status, err
}

// conduct tries the program as it is set and, where it is not fit like that, with
// other settings. A refusal is the reason why the program may need what is not
// there in this place.
func (x *Examination) conduct() (status int, refusal string, err error) {
	r, err := x.trial(plan{})
	if err == nil && x.place.isolated {
		refusal, err = x.missesNetwork(r)
	}
	if err != nil || refusal != "" {
		return 0, refusal, err
	}
	text := newReport(os.Stdout, x)
	text.section("", r)
	for _, alternative := range []func(*record) (*record, error){x.otherProtocol, x.otherSignal} {
		better, err := alternative(r)
		if err != nil {
			return 0, "", err
		}
		if better != nil {
			r = better
			text.section("with "+strings.Join(r.plan.suggestions(), " "), r)
		}
	}
	return text.end(), "", nil
}

// missesNetwork finds out whether a program may have failed because it has no
// network here, and returns that as a refusal.
func (x *Examination) missesNetwork(r *record) (refusal string, err error) {
	const elsewhere = "it did not start in an isolated network, which may be because nothing can be reached from there"
	switch {
	case r.lived, r.first.notExecuted != "":
		return "", nil
	case r.first.started == 0:
		return elsewhere, nil // initd did not start, because of a name that it could not look up
	case !r.up && r.first.killed != "":
		if r.answered() {
			return "", nil // it serves, but does not send READY=1
		}
		return elsewhere, nil
	}
	// Or does it bind the address itself, on which initd listens?
	moved, err := x.trial(plan{moved: true})
	if err != nil {
		return "", err
	}
	r.own = moved.own
	if len(r.own) == 0 && !moved.lived {
		return elsewhere, nil
	}
	return "", nil
}

// otherProtocol looks for a protocol in which the program understands that it is
// passed a socket; nil is none.
func (x *Examination) otherProtocol(r *record) (*record, error) {
	if r.lived && r.accepts || r.first.notExecuted != "" || r.first.started == 0 || len(x.Listeners) == 0 {
		return nil, nil
	}
	var others []string
	for _, protocol := range []string{socket.Nginx, socket.PHPFPM, socket.Unicorn, socket.Puma, socket.Systemd, socket.ServerStarter, socket.Bind} {
		if !slices.Contains(r.settings.Export, protocol) {
			others = append(others, protocol)
		}
	}
	// All at once show at once where it is no use to try each.
	tries := [][]string{others}
	for _, protocol := range others {
		tries = append(tries, []string{protocol})
	}
	for i, export := range tries {
		better, err := x.trial(plan{export: export})
		if err != nil {
			return nil, err
		}
		takes := better.lived && better.accepts
		switch {
		case i == 0 && !takes:
			return nil, nil
		case i > 0 && takes:
			return better, nil
		}
	}
	return nil, nil
}

// otherSignal looks for a signal at which the program ends as it should; nil is
// none.
func (x *Examination) otherSignal(r *record) (*record, error) {
	if !r.swapped || r.drains() {
		return nil, nil
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT, syscall.SIGUSR1} {
		if signal == syscall.Signal(r.settings.SignalOnHUP) {
			continue
		}
		better, err := x.trial(plan{export: r.plan.export, signal: signal})
		if err != nil {
			return nil, err
		}
		if better.swapped && better.drains() {
			return better, nil
		}
	}
	return nil, nil
}
