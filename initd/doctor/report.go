package doctor

import (
	"fmt"
	"slices"
	"strings"

	"server-starter/initd/machine"
	"server-starter/initd/settings"
)

// A report goes to standard output, a line at a time.
type report struct {
	sections  int
	problems  []string // the topics of those in the last section
	warnings  bool
	suggested []string
}

func begin(x *examination) *report {
	fmt.Printf("initd %s examines %s\n", settings.Version, strings.Join(x.settings.Command, " "))
	for _, line := range x.place.about {
		fmt.Printf("  %s\n", line)
	}
	if x.settings.Respawn.Value == machine.Never {
		fmt.Printf("  respawn=never is left aside: with it there are no swaps\n")
	}
	if x.settings.MaxWorkers > 1 {
		fmt.Printf("  one worker is examined, not a pool: each is as good as the other\n")
	}
	if len(x.settings.Probe) > 0 && slices.ContainsFunc(x.specs, x.place.elsewhere) {
		fmt.Printf("  the probe is left out: it would ask the real one\n")
	}
	return &report{}
}

// section is about one record.
func (t *report) section(title string, r *record) {
	if title != "" {
		fmt.Printf("%s:\n", title)
	}
	f := judge(r)
	t.sections++
	t.problems, t.warnings, t.suggested = nil, false, f.suggested
	for _, finding := range f.all {
		fmt.Printf("  %-8s %-9s %s\n", finding.mark, finding.topic, finding.text)
		t.warnings = t.warnings || finding.mark == warning
		if finding.mark == problem && !slices.Contains(t.problems, finding.topic) {
			t.problems = append(t.problems, finding.topic)
		}
	}
	if said := r.said(); !r.lived && len(said) > 0 && r.first.started > 0 {
		fmt.Printf("  its last words:\n")
		for _, line := range said {
			fmt.Printf("    %s\n", line)
		}
	}
}

// end is the verdict.
func (t *report) end() (status int) {
	if len(t.suggested) > 0 {
		fmt.Printf("to set:\n")
		for _, s := range t.suggested {
			fmt.Printf("  %s\n", s)
		}
	}
	switch {
	case len(t.problems) > 0:
		fmt.Printf("not fit for hot swaps: see %s\n", strings.Join(t.problems, ", "))
	case t.sections > 1:
		fmt.Printf("not fit for hot swaps as it is set, but fit with these settings\n")
	case t.warnings:
		fmt.Printf("fit for hot swaps, but mind the warnings\n")
		return fit
	default:
		fmt.Printf("fit for hot swaps\n")
		return fit
	}
	return notFit
}
