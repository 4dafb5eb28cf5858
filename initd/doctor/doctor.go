// Package doctor examines a program: whether it is fit for hot swaps under
// initd, as its settings are, and if not which others to try.
//
// It runs the program as it would be run, by this very binary as a child, with
// the user's settings but in places of its own: in a network namespace that
// has the same addresses and nothing else, or where that cannot be had on
// sockets elsewhere. It reads what the child logs, looks at the processes in
// /proc, and is a client of theirs. What it concludes is all in [judge].
//
// Nothing of it is in the way of an initd that serves.
package doctor

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"server-starter/initd/settings"
	"server-starter/initd/socket"
	"server-starter/reaper"
)

// The exit statuses, beside 128 and the number of the signal that interrupted.
const (
	fit    = 0
	notFit = 1
	failed = 125 // the doctor could do nothing
)

// examination is of one program.
type examination struct {
	settings *settings.Settings
	specs    []socket.Spec
	place    place
}

// Examine runs the command of s for some seconds with the listeners of specs,
// and says on standard output what was seen of it. The status is 0 for a program
// that is fit for hot swaps and 1 for one that is not. The caller is locked to
// its thread, on which the child's life depends (prctl(2), PR_SET_PDEATHSIG).
func Examine(s *settings.Settings, specs []socket.Spec) (status int) {
	x := &examination{settings: s, specs: specs}
	status, err := x.examine()
	var signal interrupted
	switch {
	case errors.As(err, &signal):
		if !isApart() { // who made this network says it
			fmt.Fprintln(os.Stderr, "initd:", err)
		}
		return 128 + int(signal)
	case err != nil:
		fmt.Fprintln(os.Stderr, "initd: check:", err)
		return failed
	}
	return status
}

func (x *examination) examine() (status int, err error) {
	if err := reaper.Subreaper(); err != nil {
		return 0, err
	}
	if isApart() {
		return x.apart()
	}
	status, refusal, err := x.beApart()
	if err != nil || refusal == "" {
		return status, err
	}
	x.place = here(refusal)
	status, _, err = x.conduct()
	return status, err
}

// apart is the examination in namespaces that are fresh. Who made them waits
// for a refusal at file descriptor 3, and examines the program himself then.
func (x *examination) apart() (status int, err error) {
	refuse := func(why string) (int, error) {
		syscall.Write(3, []byte(why))
		return notFit, nil
	}
	if x.place, err = settle(x.specs); err != nil {
		return refuse(err.Error())
	}
	status, refusal, err := x.conduct()
	if err == nil && refusal != "" {
		return refuse(refusal)
	}
	return status, err
}

// conduct tries the program as it is set, and where it is not fit so, otherwise.
// A refusal says that it may need what is not in this place.
func (x *examination) conduct() (status int, refusal string, err error) {
	r, err := x.trial(plan{})
	if err == nil && x.place.own {
		refusal, err = x.doubt(r)
	}
	if err != nil || refusal != "" {
		return 0, refusal, err
	}
	text := begin(x)
	text.section("", r)
	for _, cure := range []func(*record) (*record, error){x.otherTongue, x.otherSignal} {
		better, err := cure(r)
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

// doubt finds out whether it may be for want of a network that a program did
// not live.
func (x *examination) doubt(r *record) (refusal string, err error) {
	const elsewhere = "in a network of its own, which leads nowhere, it did not come up"
	switch {
	case r.lived, r.first.unstarted != "":
		return "", nil
	case r.first.started == 0:
		return elsewhere, nil // initd did not, because of a name that it could not look up
	case !r.up && r.first.killed != "":
		if r.answers() {
			return "", nil // it did, but does not say so
		}
		return elsewhere, nil
	}
	// Or is it that it binds the address itself, which initd has?
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

// otherTongue looks for a tongue in which the program understands that it is
// handed a socket.
func (x *examination) otherTongue(r *record) (*record, error) {
	if r.lived && r.accepts || r.first.unstarted != "" || r.first.started == 0 || len(x.specs) == 0 {
		return nil, nil
	}
	var others []string
	for _, tongue := range []string{socket.Nginx, socket.PHPFPM, socket.Unicorn, socket.Puma, socket.Systemd, socket.ServerStarter} {
		if !slices.Contains(r.settings.Export, tongue) {
			others = append(others, tongue)
		}
	}
	// All at once tells at once where it is no use to try each.
	tries := [][]string{others}
	for _, tongue := range others {
		tries = append(tries, []string{tongue})
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

// otherSignal looks for a signal at which the program ends as it should.
func (x *examination) otherSignal(r *record) (*record, error) {
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
