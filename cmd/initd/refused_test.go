package main_test

import (
	"fmt"
	"server-starter/cmd/initd/internal/initdtest"
	"slices"
	"strings"
	"testing"
)

// TestRefused: initd does without what the kernel refuses, and logs a note, unless a setting asks for it. PID 1 needs
// no prctl(2) to adopt orphans, nor for its workers to end with it.
func TestRefused(t *testing.T) {
	t.Parallel()
	const cannotNotify, orphansGo, workersStay = "workers cannot send READY=1", "initd cannot adopt the orphans of its workers", "workers keep running if initd is killed"
	for _, test := range []struct {
		refused  string
		as       []mode
		settings []string
		status   int
		says     string // empty: nothing that is a warning
	}{
		{"AF_UNIX", []mode{subreaper, pid1}, []string{"respawn=on-failure"}, 0, cannotNotify},
		{"AF_UNIX", []mode{subreaper, pid1}, []string{"respawn=on-failure", "ready=alive"}, 0, cannotNotify},
		{"AF_UNIX", []mode{subreaper, pid1}, []string{"respawn=never"}, 0, ""},
		{"AF_UNIX", []mode{subreaper}, []string{"respawn=on-failure", "ready=notify"}, 125, "SERVER_STARTER_READY (--ready): "},
		{"AF_UNIX", []mode{subreaper}, []string{"respawn=on-failure", "watchdog=60"}, 125, "SERVER_STARTER_WATCHDOG (--watchdog): "},
		{"PR_SET_CHILD_SUBREAPER", []mode{subreaper}, []string{"respawn=on-failure"}, 0, orphansGo},
		{"PR_SET_CHILD_SUBREAPER", []mode{pid1}, []string{"respawn=on-failure"}, 0, ""},
		{"PR_SET_CHILD_SUBREAPER", []mode{subreaper, pid1}, []string{"respawn=never"}, 0, ""},
		{"PR_SET_PDEATHSIG", []mode{subreaper}, []string{"respawn=on-failure"}, 0, workersStay},
		{"PR_SET_PDEATHSIG", []mode{pid1}, []string{"respawn=on-failure"}, 0, ""},
		{"PR_SET_PDEATHSIG", []mode{pid1}, []string{"respawn=on-failure", "death-signal=KILL"}, 0, ""},
		{"PR_SET_PDEATHSIG", []mode{subreaper, pid1}, []string{"respawn=never"}, 0, ""},
		{"PR_SET_PDEATHSIG", []mode{subreaper}, []string{"respawn=on-failure", "death-signal=KILL"}, 125, "SERVER_STARTER_DEATH_SIGNAL (--death-signal): "},
	} {
		for _, as := range test.as {
			t.Run(fmt.Sprint(test.refused, "/", as, test.settings), func(t *testing.T) {
				t.Parallel()
				writer, text := textPipe(t)
				notify := "NOTIFY_SOCKET=@initd-test-nobody" // of initd's own supervisor
				d := run{mode: as, given: []string{"refused=" + test.refused}, environ: []string{notify}, stdout: writer,
					args: flags([]string{"/bin/sh", "-c", `echo "worker $NOTIFY_SOCKET"; exit 0`}, test.settings...)}.start(t)
				d.exits(test.status)
				output := d.output()
				if !strings.Contains(output, test.says) {
					t.Errorf("it does not say %q", test.says)
				}
				notes := slices.DeleteFunc(d.entries(), func(e initdtest.Entry) bool { return e.Event != "note" })
				if test.says == "" && len(notes) > 0 {
					t.Errorf("it notes %v", notes)
				}
				if got := text(); test.status == 0 && test.says == cannotNotify && got != "worker \n" {
					t.Errorf("the worker says %q", got)
				}
			})
		}
	}
}
