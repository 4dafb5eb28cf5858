package web

import (
	"fmt"
	"time"

	"server-starter/initd/control"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time {
	t := noon.Add(-d)
	return &t
}

func ptr[T any](v T) *T { return &v }

// crew is a generation's workers.
func crew(n, pid int, state string, began time.Duration, busy int) (workers []control.Worker) {
	for slot := range n {
		w := control.Worker{Slot: slot, PID: pid + slot, State: state, Started: *ago(began - time.Duration(slot)*7*time.Millisecond),
			Memory: int64(38_200_000 + 1_700_000*((slot*5)%7))}
		if state == "ready" || state == "stopping" {
			w.Ready, w.Requests, w.Activity = ago(began-time.Second), ptr(int64(41_207+slot*1_311)), "idle"
			if slot < busy {
				w.Activity = "busy"
			}
		}
		workers = append(workers, w)
	}
	return workers
}

// swapping is a pool of 8 in the middle of a swap, the last generation not yet gone.
func swapping() control.Status {
	next := crew(8, 512, "running", 1500*time.Millisecond, 0)
	for i := range 3 {
		next[i].State, next[i].Activity, next[i].Ready, next[i].Requests = "ready", "idle", ago(200*time.Millisecond), ptr(int64(i))
	}
	next[7].State = "executing"
	serving := crew(8, 440, "ready", 47*time.Minute, 5)
	serving[2].Message = "warming the cache: 71 %"
	swap := func(generation, ticket int, trigger string, began time.Duration, took float64, outcome string) control.Swap {
		s := control.Swap{Generation: generation, Ticket: ticket, Trigger: trigger, Began: *ago(began), Seconds: took, Outcome: outcome}
		if outcome != "pending" {
			s.Ended = ptr(s.Began.Add(time.Duration(took * float64(time.Second))))
		}
		return s
	}
	failed := swap(39, 17, "control", 52*time.Minute, 0.214, "failed")
	failed.Reason, failed.Slot, failed.ExitStatus = "the worker in slot 3 ended with status 1 after 0.19 s, before it was ready", ptr(3), ptr(1)
	failed.Stderr = []string{"config: /etc/app/config.yaml:14: unknown key \"lissten\"", "exit status 1"}
	failed.Variables = &control.Variables{Added: []string{"FEATURE_CHECKOUT"}, Removed: []string{"LEGACY_MODE"}, Changed: []string{"DATABASE_URL", "POOL_SIZE"}}
	refused := swap(38, 16, "watch", 3*time.Hour, 0.003, "refused")
	refused.Reason = "open /etc/app/env: permission denied"
	changed := swap(41, 18, "watch", 1500*time.Millisecond, 1.5, "pending")
	changed.Variables = &control.Variables{Changed: []string{"TLS_CERTIFICATE"}}
	return control.Status{
		Version: "0.1.0", PID: 1, Command: []string{"/app", "--token=hunter2"}, Time: noon, Started: *ago(76*time.Hour + 20*time.Minute), Memory: 4_380_000,
		Health:  control.Health{Live: true, Ready: true, Started: true, State: "reloading", Generation: 40},
		Attempt: 41, Pool: control.Pool{Workers: 8, Rest: 8, Max: 32, Ready: 8, Busy: 5, Idle: 3},
		Generations: []control.Generation{
			{Number: 37, State: "retiring", Began: *ago(26 * time.Hour), Ready: ago(26*time.Hour - 1800*time.Millisecond), Workers: crew(2, 390, "stopping", 26*time.Hour, 2)},
			{Number: 40, State: "serving", Began: *ago(47 * time.Minute), Ready: ago(47*time.Minute - 1420*time.Millisecond), Workers: serving},
			{Number: 41, State: "starting", Began: *ago(1500 * time.Millisecond), Workers: next},
		},
		Listeners: []control.Listener{
			{Key: "0.0.0.0:80", Network: "tcp", Address: "0.0.0.0:80", FD: 3, Queue: 3, Backlog: 4096},
			{Key: "[::]:443", Network: "tcp", Address: "[::]:443", FD: 4, Queue: 1731, Backlog: 4096},
			{Key: "/run/app/admin.sock", Network: "unix", Address: "/run/app/admin.sock", FD: 5, Backlog: 128},
			{Key: "0.0.0.0:53", Network: "udp", Address: "0.0.0.0:53", FD: 6, Queue: 2304, Backlog: 212992},
		},
		Swaps: []control.Swap{
			changed,
			swap(40, 17, "control", 47*time.Minute, 1.42, "ready"),
			failed, refused,
			swap(37, 15, "signal", 26*time.Hour, 1.8, "ready"),
			swap(36, 14, "clock", 74*time.Hour, 2.1, "ready"),
			swap(35, 13, "start", 76*time.Hour+20*time.Minute, 1.1, "ready"),
		},
		Counters: control.Counters{Swaps: map[string]int64{"ready": 31, "failed": 9, "refused": 1}, SwapSeconds: 44.2, Started: 271, Exited: 238, Died: 7,
			Killed: 4, Recycled: 61, Orphans: 1204, Requests: 48_201_337, Relistened: 0, HooksFailed: 2, Control: 18_233},
	}
}

// steady is a pool of many that has nothing to do but to serve.
func steady() control.Status {
	s := swapping()
	s.Health.State = "ready"
	s.Generations = s.Generations[1:2]
	s.Generations[0].Workers = crew(150, 440, "ready", 47*time.Minute, 61)
	s.Pool = control.Pool{Workers: 150, Rest: 64, Max: 256, Ready: 150, Busy: 61, Idle: 89}
	s.Attempt, s.Swaps = 40, s.Swaps[1:]
	for i := range s.Listeners {
		s.Listeners[i].Queue = 0
	}
	return s
}

// failing has a generation that serves and attempts that fail.
func failing() control.Status {
	s := swapping()
	s.Health.State, s.Failures, s.NextAttempt, s.Attempt = "reloading", 4, ptr(noon.Add(6400*time.Millisecond)), 44
	s.Health.Reason = "the worker in slot 0 ended with status 1 after 0.21 s; it seems to bind the port itself (EADDRINUSE)"
	s.Generations = s.Generations[1:2]
	s.Swaps = nil
	for i, began := range []time.Duration{1600 * time.Millisecond, 10 * time.Second, 14500 * time.Millisecond, 17 * time.Second} {
		swap := control.Swap{Generation: 44 - i, Ticket: 18, Trigger: "signal", Began: *ago(began), Seconds: 0.23, Outcome: "failed", Ended: ago(began - 230*time.Millisecond),
			Reason: s.Health.Reason, Slot: ptr(0), ExitStatus: ptr(1), Variables: &control.Variables{Changed: []string{"PORT"}}}
		if i == 0 {
			swap.Stderr = []string{"2026/03/01 11:59:58 listen tcp :80: bind: address already in use", "goroutine 1 [running]:", "main.main()", "\t/src/app/main.go:31 +0x1d8"}
		}
		s.Swaps = append(s.Swaps, swap)
	}
	s.Swaps = append(s.Swaps, control.Swap{Generation: 40, Ticket: 17, Trigger: "control", Began: *ago(47 * time.Minute), Seconds: 1.42, Outcome: "ready", Ended: ago(47*time.Minute - 1420*time.Millisecond)})
	return s
}

// flapping has workers that end again and again, and one that serves just now.
func flapping() control.Status {
	s := single()
	s.Failures = 3
	s.Health.Flapping = &control.Flapping{Since: *ago(40 * time.Second), Losses: 3, Last: "exit status 1", LastAt: *ago(2 * time.Second)}
	s.Health.Reason = "the workers have been flapping since 2026-03-01T11:59:20Z: 3 in a row ended sooner than 1m0s after they were ready, the last with exit status 1"
	s.Swaps = append(s.Swaps, control.Swap{Generation: 0, Ticket: 1, Trigger: "loss", Began: *ago(60 * time.Second), Ended: ago(59 * time.Second), Lost: ago(50 * time.Second), Seconds: 1, Outcome: "lost", ExitStatus: ptr(1)})
	return s
}

// single is one worker just started, of which nothing is known.
func single() control.Status {
	return control.Status{
		Version: "0.1.0", PID: 1, Command: []string{"/app"}, Time: noon, Started: *ago(38 * time.Second), Memory: 3_900_000,
		Health:  control.Health{Live: true, Ready: true, Started: true, State: "ready", Generation: 1},
		Attempt: 1, Pool: control.Pool{Workers: 1, Rest: 1, Ready: 1},
		Generations: []control.Generation{{Number: 1, State: "serving", Began: *ago(38 * time.Second), Ready: ago(37 * time.Second),
			Workers: []control.Worker{{Slot: 0, PID: 7, State: "ready", Started: *ago(38 * time.Second), Ready: ago(37 * time.Second)}}}},
		Listeners: []control.Listener{{Key: "8080", Network: "tcp", Address: "0.0.0.0:8080", FD: 3, Backlog: 4096}},
		Swaps:     []control.Swap{{Generation: 1, Ticket: 1, Trigger: "start", Began: *ago(38 * time.Second), Ended: ago(37 * time.Second), Seconds: 1, Outcome: "ready"}},
		Counters:  control.Counters{Swaps: map[string]int64{"ready": 1}, SwapSeconds: 1, Started: 1},
	}
}

// stopping is a pool that is asked to end.
func stopping() control.Status {
	s := swapping()
	s.Health = control.Health{Live: true, Started: true, State: "stopping", Generation: 40, Reason: "TERM was received"}
	s.Generations = s.Generations[:2]
	for i := range s.Generations[1].Workers {
		s.Generations[1].Workers[i].State = "stopping"
	}
	s.Generations[1].Workers = s.Generations[1].Workers[:5]
	s.Generations[1].State = "retiring"
	s.Swaps[0].Outcome, s.Swaps[0].Ended = "stopped", ago(time.Second)
	s.Pool.Ready, s.Pool.Busy, s.Pool.Idle = 0, 0, 0
	return s
}

// broken has never been ready.
func broken() control.Status {
	s := single()
	s.Health = control.Health{Live: true, State: "not-ready", Reason: "no worker has become ready within 60 s"}
	s.Failures, s.Attempt, s.NextAttempt = 1, 2, nil
	s.Pool.Ready = 0
	s.Generations = []control.Generation{{Number: 2, State: "starting", Began: *ago(800 * time.Millisecond),
		Workers: []control.Worker{{Slot: 0, PID: 9, State: "running", Started: *ago(790 * time.Millisecond)}}}}
	s.Swaps = []control.Swap{{Generation: 2, Ticket: 1, Trigger: "start", Began: *ago(800 * time.Millisecond), Seconds: 0.8, Outcome: "pending"},
		{Generation: 1, Ticket: 1, Trigger: "start", Began: *ago(62 * time.Second), Ended: ago(2 * time.Second), Seconds: 60, Outcome: "failed", Reason: s.Health.Reason, Signal: "KILL", Slot: ptr(0)}}
	s.Counters.Swaps = map[string]int64{"failed": 1}
	return s
}

// attack is what a script in a page looks like, in all places that are not initd's own words.
const attack = `<script>owned=1</script><img src=x onerror="owned=1">"'>&amp;` + "\u202e\x1b[31m"

// hostile is a status in which everything that may come from a worker, a file's
// name or an environment is an attack, and long.
func hostile() control.Status {
	s := failing()
	long := attack + fmt.Sprintf("%0200d", 7)
	s.Version, s.Health.Reason = attack, long
	s.Listeners[0].Key, s.Listeners[0].Address, s.Listeners[0].Network = long, long, attack
	s.Swaps[0].Reason, s.Swaps[0].Trigger, s.Swaps[0].Signal, s.Swaps[0].Stderr = long, attack, attack, []string{long, attack}
	s.Swaps[0].Variables = &control.Variables{Added: []string{long}, Removed: []string{attack}, Changed: []string{attack}}
	s.Swaps[1].Outcome = attack
	s.Generations[0].Workers[0].Message = long
	s.Generations[0].Workers[1].State, s.Generations[0].Workers[1].Activity = attack, attack
	s.Generations[0].State = attack
	return s
}
