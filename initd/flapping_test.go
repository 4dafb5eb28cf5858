package initd

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"server-starter/initd/control"
	"server-starter/initd/settings"
	"server-starter/reaper"
)

// TestFlapping: workers that end again and again soon after they were ready show in the log,
// in health and in what became of the swaps, until one is stable.
func TestFlapping(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memory.events")
	os.WriteFile(file, []byte("oom_kill 0\n"), 0o600)
	synctest.Test(t, func(t *testing.T) {
		p := plan()
		p.StableAfter = 20 * time.Second
		w := newWorld(t, p)
		w.loop.settings.StableAfter = settings.Duration(p.StableAfter)
		w.loop.oom = openOOMKills(filepath.Dir(file), []byte("0::/\n"), func(int) bool { return true })
		w.run()
		health := func() *control.Health { return w.asks(control.Request{Request: control.AskHealth}, false).Health }
		w.passes(time.Second)
		w.passes(3 * time.Second)
		w.ends(3, 101)
		if h := health(); h.Flapping != nil || h.Reason != "generation 1 was lost: worker ended after 4s: exit status 3" {
			t.Errorf("after the first loss: %+v", *h)
		}
		w.passes(4 * time.Second)
		os.WriteFile(file, []byte("oom_kill 1\n"), 0o600)
		w.exits = append(w.exits, reaper.Exit{PID: 102, Status: syscall.WaitStatus(syscall.SIGKILL)})
		w.signal(w.child, syscall.SIGCHLD)
		const losses = "2 in a row ended sooner than 20s after they were ready, the last with signal KILL (out of memory)"
		if h := health(); h.Flapping == nil || h.Flapping.Losses != 2 || h.Flapping.Last != "signal KILL (out of memory)" || !strings.HasSuffix(h.Reason, ": "+losses) ||
			!h.Flapping.Since.Equal(w.now()) || h.Ready || !h.Live {
			t.Errorf("after the second loss: %+v", *h)
		}
		w.passes(time.Second) // the back-off
		w.passes(2 * time.Second)
		s := w.asks(control.Request{Request: control.AskStatus}, false).Status
		if h := s.Health; !h.Ready || h.Flapping == nil || !strings.Contains(h.Reason, losses) {
			t.Errorf("while it serves: %+v", h)
		}
		if c := s.Counters; c.Swaps["lost"] != 2 || c.Swaps["ready"] != 3 || c.OOMKilled != 1 {
			t.Errorf("counters: %+v", c)
		}
		if lost := s.Swaps[1]; lost.Outcome != "lost" || lost.Lost == nil || lost.Ended == nil || !lost.Ended.Before(*lost.Lost) || lost.Signal != "KILL" || lost.Slot == nil {
			t.Errorf("the second swap: %+v", lost)
		}
		if lost := s.Swaps[2]; lost.Outcome != "lost" || lost.ExitStatus == nil || *lost.ExitStatus != 3 {
			t.Errorf("the first swap: %+v", lost)
		}
		w.passes(20 * time.Second)
		if h := health(); h.Flapping != nil || h.Reason != "" || !h.Ready {
			t.Errorf("after it was stable: %+v", *h)
		}
		log := w.log.String()
		for _, line := range []string{`event=flapping`, "the workers are flapping: " + losses, `event=stable`, "killed by the kernel, out of memory"} {
			if strings.Count(log, line) != 1 {
				t.Errorf("%q is in the log %d times:\n%s", line, strings.Count(log, line), log)
			}
		}
		w.shutdown(103)
	})
}
