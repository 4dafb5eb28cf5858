package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"server-starter/initd/eventlog"
	"server-starter/initd/machine"
	"server-starter/initd/settings"
)

// A report is written a line at a time.
type report struct {
	to        io.Writer
	sections  int
	problems  []string // the topics of those in the last section
	warnings  bool     // in the last section
	suggested []string
}

// newReport writes what is examined, where, and what is left out.
func newReport(to io.Writer, x *Examination) *report {
	t := &report{to: to}
	t.line("initctl %s checks %s", settings.Version, strings.Join(x.Settings.Command, " "))
	for _, line := range x.place.about {
		t.line("  %s", line)
	}
	if x.Settings.Respawn.Value == machine.Never {
		t.line("  respawn=never is ignored: it rules out swaps")
	}
	if x.Settings.MaxWorkers > 1 {
		t.line("  one worker is checked, not the whole pool")
	}
	if len(x.Settings.Probe) > 0 && slices.ContainsFunc(x.Listeners, x.place.isElsewhere) {
		t.line("  the probe is skipped: it would reach the real server")
	}
	return t
}

// line writes a line, or several, of which nothing controls a terminal.
func (t *report) line(format string, values ...any) {
	fmt.Fprintln(t.to, eventlog.PrintableLines(fmt.Sprintf(format, values...)))
}

// section writes the findings of a record.
func (t *report) section(title string, r *record) {
	if title != "" {
		t.line("%s:", title)
	}
	f := judge(r)
	t.sections++
	t.problems, t.warnings, t.suggested = nil, false, f.suggested
	for _, finding := range f.all {
		t.line("  %-8s %-9s %s", finding.mark, finding.topic, finding.text)
		t.warnings = t.warnings || finding.mark == warning
		if finding.mark == problem && !slices.Contains(t.problems, finding.topic) {
			t.problems = append(t.problems, finding.topic)
		}
	}
	if lines := r.output.last(); !r.lived && len(lines) > 0 && r.first.started > 0 {
		t.line("  last lines of its output:")
		for _, line := range lines {
			t.line("    %s", line)
		}
	}
}

// end writes the verdict.
func (t *report) end() (status int) {
	if len(t.suggested) > 0 {
		t.line("recommended settings:")
		for _, s := range t.suggested {
			t.line("  %s", s)
		}
	}
	switch {
	case len(t.problems) > 0:
		t.line("not ready for hot swaps: see %s", strings.Join(t.problems, ", "))
	case t.sections > 1:
		t.line("not ready for hot swaps as configured, but ready with these settings")
	case t.warnings:
		t.line("ready for hot swaps, with warnings")
		return Fit
	default:
		t.line("ready for hot swaps")
		return Fit
	}
	return NotFit
}
