package doctor

import (
	"strings"
	"testing"

	"server-starter/initd/machine"
	"server-starter/initd/settings"
	"server-starter/initd/socket"
)

func TestReport(t *testing.T) {
	set := func(change func(*settings.Settings)) *settings.Settings {
		s := &settings.Settings{Command: []string{"/app/server", "-v"}, MaxWorkers: 1, Respawn: respawn(machine.Always)}
		if change != nil {
			change(s)
		}
		return s
	}
	head := "initctl " + settings.Version + " checks /app/server -v\n  somewhere\n"
	for _, test := range []struct {
		name        string
		settings    *settings.Settings
		isElsewhere func(socket.Spec) bool
		records     []*record
		status      int
		begins      string
		ends        string
	}{
		{"fit", set(nil), nowhere, []*record{newRecord(nil)}, Fit, head + "  ok       start     ready after 5ms: READY=1\n", "exit status 0\nready for hot swaps\n"},
		{"settings", set(nil), nowhere, []*record{newRecord(func(r *record) { r.settings.Ready = ready(machine.Auto) })}, Fit, head,
			"\nrecommended settings:\n  SERVER_STARTER_READY=notify\nready for hot swaps\n"},
		{"warnings", set(nil), nowhere, []*record{newRecord(func(r *record) { r.relistened = true })}, Fit, head, "\nready for hot swaps, with warnings\n"},
		{"problems", set(nil), nowhere, []*record{newRecord(func(r *record) {
			r.stopped = false
			r.during.lost = map[string]int{"x": 1}
		})}, NotFit, head, "\nnot ready for hot swaps: see requests, stop\n"},
		{"fit otherwise", set(nil), nowhere, []*record{
			newRecord(ended),
			newRecord(func(r *record) { r.plan.export = []string{"nginx"} }),
		}, NotFit, head + "  problem  start     exited 250ms after its start, before it was ready: exit status 3\nwith x:\n  ok ",
			"\nrecommended settings:\n  SERVER_STARTER_EXPORT=nginx\nnot ready for hot swaps as configured, but ready with these settings\n"},
		{"last words", set(nil), nowhere, []*record{newRecord(func(r *record) {
			ended(r)
			r.output.add("no configuration\n")
		})}, NotFit, head, "exit status 3\n  last lines of its output:\n    no configuration\nnot ready for hot swaps: see start\n"},
		{"left out", set(func(s *settings.Settings) {
			s.Respawn, s.MaxWorkers, s.Probe = respawn(machine.Never), 4, []string{"true"}
		}), everywhere,
			[]*record{newRecord(nil)}, Fit, head + `  respawn=never is ignored: it rules out swaps
  one worker is checked, not the whole pool
  the probe is skipped: it would reach the real server
  ok `, "\nready for hot swaps\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var text strings.Builder
			report := newReport(&text, &Examination{Settings: test.settings, Listeners: []socket.Spec{{Network: "tcp", Port: 8080, FD: -1}},
				place: place{about: []string{"somewhere"}, isElsewhere: test.isElsewhere}})
			title := ""
			for _, r := range test.records {
				report.section(title, r)
				title = "with x"
			}
			if status := report.end(); status != test.status {
				t.Errorf("status %d, not %d", status, test.status)
			}
			if !strings.HasPrefix(text.String(), test.begins) || !strings.HasSuffix(text.String(), test.ends) {
				t.Errorf("the report is\n%s\nand does not begin with\n%s\nor end with\n%s", &text, test.begins, test.ends)
			}
		})
	}
}
