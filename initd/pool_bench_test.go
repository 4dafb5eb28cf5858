package initd

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"

	"server-starter/initd/eventlog"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
	"server-starter/initd/statusfile"
	"server-starter/reaper"
)

// quickKernel starts workers that are executed at once, and that end when they are asked to.
type quickKernel struct {
	pid   int
	exits []reaper.Exit
	child chan os.Signal
}

func (k *quickKernel) start(*launch.Command) (int, outcome, error) {
	k.pid++
	return k.pid, outcome{}, nil
}

func (k *quickKernel) kill(pid int, s syscall.Signal) error {
	k.exits = append(k.exits, reaper.Exit{PID: pid})
	select {
	case k.child <- syscall.SIGCHLD:
	default:
	}
	return nil
}

func (k *quickKernel) reap(each func(reaper.Exit)) bool {
	for len(k.exits) > 0 {
		e := k.exits[0]
		k.exits = k.exits[1:]
		each(e)
	}
	return true
}

// BenchmarkPool is what the loop itself does for a pool: its start, a swap and its stop.
func BenchmarkPool(b *testing.B) {
	for _, workers := range []int{256, 1024, 4096} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			for b.Loop() {
				policy := plan()
				policy.Workers, policy.Interval = workers, 0
				w := newWorld(new(testing.T), policy)
				k := &quickKernel{pid: 100, child: w.child}
				l := w.loop
				l.log = eventlog.New(io.Discard, true, slog.LevelInfo)
				l.transcript = false
				l.published.notify = nil
				path := b.TempDir() + "/status"
				l.published.statusFile, _ = statusfile.Open(path, func(f func()) { go f() }, func(error) {})
				l.kernel = kernel{now: time.Now, start: k.start, kill: k.kill, reap: k.reap, children: func() ([]int, error) { return nil, nil }}
				began := time.Now()
				l.then(machine.Begin{})
				l.turn()
				l.published.updateWorkers(l.machine)
				started := time.Now()
				l.then(machine.Signaled{Signal: machine.HUP})
				l.turn()
				l.reapAll()
				l.turn()
				l.published.updateWorkers(l.machine)
				swapped := time.Now()
				l.then(machine.Signaled{Signal: machine.TERM})
				l.turn()
				l.reapAll()
				l.turn()
				l.published.updateWorkers(l.machine)
				if l.machine.Outline().Serving != 0 || len(l.children) > 0 {
					b.Fatal("not all have ended")
				}
				l.published.remove()
				b.ReportMetric(float64(started.Sub(began).Milliseconds()), "ms/start")
				b.ReportMetric(float64(swapped.Sub(started).Milliseconds()), "ms/swap")
				b.ReportMetric(float64(time.Since(swapped).Milliseconds()), "ms/stop")
			}
		})
	}
}
