package metrics

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"server-starter/initd/control"
)

// The values of labels. All of them are exported, the ones that count nothing as 0:
// a series that appears with its first event is one whose rate misses it.
var (
	states           = []string{"not-ready", "ready", "reloading", "stopping"}
	outcomes         = []string{"ready", "failed", "refused", "stopped", "lost"}
	workerStates     = []string{"forking", "executing", "running", "ready", "suspended", "stopping", "ending", "killed"}
	generationStates = []string{"preparing", "checking", "starting", "probing", "trial", "serving", "partial", "retiring", "failed"}
)

var families = []family{
	{"initd_info", gauge, "version", "Always 1; the label has the version of initd.",
		func(s *control.Status) []sample { return []sample{{label: clean(s.Version), value: 1}} }},
	{"initd_start_time_seconds", gauge, "", "Time at which initd started, in seconds since 1970.",
		func(s *control.Status) []sample { return moment(&s.Started) }},
	{"initd_live", gauge, "", "1 if initd responds, 0 if not.",
		func(s *control.Status) []sample { return truth(s.Health.Live) }},
	{"initd_ready", gauge, "", "1 if a generation is serving and initd is not stopping, 0 if not.",
		func(s *control.Status) []sample { return truth(s.Health.Ready) }},
	{"initd_started", gauge, "", "1 if a generation has been ready since initd started, 0 if not.",
		func(s *control.Status) []sample { return truth(s.Health.Started) }},
	{"initd_state", gauge, "state", "1 for the current state of initd, 0 for the others: " + list(states) + ".",
		func(s *control.Status) []sample { return count(states, map[string]int64{s.Health.State: 1}) }},
	{"initd_flapping", gauge, "", "1 while workers end again and again sooner than stable-after after they were ready, in at least half of the slots; 0 otherwise.",
		func(s *control.Status) []sample { return truth(s.Health.Flapping != nil) }},
	{"initd_flapping_since_timestamp_seconds", gauge, "", "Time at which the workers began to flap, in seconds since 1970; present only while they do.",
		func(s *control.Status) []sample {
			if f := s.Health.Flapping; f != nil {
				return moment(&f.Since)
			}
			return nil
		}},
	{"initd_flapping_losses", gauge, "", "Workers that a slot has lost in a row, in the slot that has lost the most; 0 while they are not flapping.",
		func(s *control.Status) []sample {
			if f := s.Health.Flapping; f != nil {
				return one(f.Losses)
			}
			return one(0)
		}},
	{"initd_resident_memory_bytes", gauge, "", "Resident memory of initd itself; absent if unknown.",
		func(s *control.Status) []sample { return known(s.Memory) }},

	{"initd_generation", gauge, "", "Number of the serving generation, 0 if there is none.",
		func(s *control.Status) []sample { return one(s.Health.Generation) }},
	{"initd_generation_age_seconds", gauge, "", "Time since the serving generation became ready; absent if there is none.",
		func(s *control.Status) []sample {
			for _, g := range s.Generations {
				if g.Number == s.Health.Generation && g.Ready != nil {
					return one(max(0, s.Time.Sub(*g.Ready).Seconds()))
				}
			}
			return nil
		}},
	{"initd_generations", gauge, "state", "Current generations by state: " + list(generationStates) + ".",
		func(s *control.Status) []sample {
			n := map[string]int64{}
			for _, g := range s.Generations {
				n[g.State]++
			}
			return count(generationStates, n)
		}},
	{"initd_old_generation_age_seconds", gauge, "", "Time since the oldest generation that still has workers was replaced, 0 if there is none.",
		func(s *control.Status) []sample { return one(oldAge(s)) }},

	{"initd_attempts_total", counter, "", "Attempts to start a generation; equals the number of the latest one.",
		func(s *control.Status) []sample { return one(s.Attempt) }},
	{"initd_swaps_total", counter, "outcome", "Completed attempts to start a generation, by outcome: " + list(outcomes) + ". Those that were lost soon after they were ready are counted as both.",
		func(s *control.Status) []sample { return count(outcomes, s.Counters.Swaps) }},
	{"initd_swap_duration_seconds", summary, "", "Time from the start of an attempt until its generation was ready; failed attempts are not counted.",
		func(s *control.Status) []sample {
			return []sample{{value: s.Counters.SwapSeconds, count: uint64(max(0, s.Counters.Swaps["ready"]))}}
		}},
	{"initd_swap_in_progress", gauge, "", "1 while an attempt to start a generation is in progress, 0 otherwise.",
		func(s *control.Status) []sample {
			return truth(slices.ContainsFunc(s.Swaps, func(w control.Swap) bool { return w.Ended == nil }))
		}},
	{"initd_last_swap_duration_seconds", gauge, "", "Duration of the last completed attempt; absent until there is one.",
		func(s *control.Status) []sample {
			return last(s, func(w control.Swap) []sample { return one(w.Seconds) })
		}},
	{"initd_last_swap_success", gauge, "", "1 if the last completed attempt succeeded, 0 if not, or if its generation was lost before stable-after, or the workers are flapping; absent until there is one.",
		func(s *control.Status) []sample {
			return last(s, func(w control.Swap) []sample { return truth(w.Outcome == "ready" && s.Health.Flapping == nil) })
		}},
	{"initd_last_swap_timestamp_seconds", gauge, "", "Time at which the last attempt completed, in seconds since 1970; absent until there is one.",
		func(s *control.Status) []sample {
			return last(s, func(w control.Swap) []sample { return moment(w.Ended) })
		}},
	{"initd_consecutive_failures", gauge, "", "Consecutive failed attempts, and generations that were lost before stable-after; 0 once workers have been ready for that long.",
		func(s *control.Status) []sample { return one(s.Failures) }},
	{"initd_next_attempt_timestamp_seconds", gauge, "", "Time at which the next attempt starts, in seconds since 1970; present only during a back-off.",
		func(s *control.Status) []sample { return moment(s.NextAttempt) }},

	{"initd_workers", gauge, "state", "Workers of all generations by state: " + list(workerStates) + ".",
		func(s *control.Status) []sample {
			n := map[string]int64{}
			for w := range workers(s) {
				n[w.State]++
			}
			return count(workerStates, n)
		}},
	{"initd_old_workers", gauge, "", "Workers of generations that were replaced or failed.",
		func(s *control.Status) []sample {
			n := 0
			for _, g := range s.Generations {
				if isOld(g) {
					n += len(g.Workers)
				}
			}
			return one(n)
		}},
	{"initd_pool_wanted_workers", gauge, "", "Workers that the pool should have now.",
		func(s *control.Status) []sample { return one(s.Pool.Workers) }},
	{"initd_pool_rest_workers", gauge, "", "Workers that the pool should have when idle.",
		func(s *control.Status) []sample { return one(s.Pool.Rest) }},
	{"initd_pool_max_workers", gauge, "", "Maximum number of workers in the pool; 0 if it does not grow by itself.",
		func(s *control.Status) []sample { return one(s.Pool.Max) }},
	{"initd_pool_ready_workers", gauge, "", "Ready workers that hold a slot, of all generations.",
		func(s *control.Status) []sample { return one(s.Pool.Ready) }},
	{"initd_pool_busy_workers", gauge, "", "Ready workers that are known to be busy.",
		func(s *control.Status) []sample { return one(s.Pool.Busy) }},
	{"initd_pool_idle_workers", gauge, "", "Ready workers that are known to be idle.",
		func(s *control.Status) []sample { return one(s.Pool.Idle) }},
	{"initd_workers_resident_memory_bytes", gauge, "", "Resident memory of all workers; shared pages are counted for each worker. Absent if unknown.",
		func(s *control.Status) []sample {
			var sum int64
			for w := range workers(s) {
				sum += w.Memory
			}
			return known(sum)
		}},
	{"initd_worker_resident_memory_max_bytes", gauge, "", "Resident memory of the largest worker; absent if unknown.",
		func(s *control.Status) []sample {
			var most int64
			for w := range workers(s) {
				most = max(most, w.Memory)
			}
			return known(most)
		}},
	{"initd_worker_starts_total", counter, "", "Workers started.",
		func(s *control.Status) []sample { return one(s.Counters.Started) }},
	{"initd_worker_exits_total", counter, "reason", "Workers that ended: stopped by initd (asked), or by themselves (died).",
		func(s *control.Status) []sample {
			return count([]string{"asked", "died"}, map[string]int64{"asked": s.Counters.Exited, "died": s.Counters.Died})
		}},
	{"initd_worker_oom_kills_total", counter, "", "Workers that the kernel killed because memory ran out, as far as the cgroup of initd shows it; they are counted as died, too.",
		func(s *control.Status) []sample { return one(s.Counters.OOMKilled) }},
	{"initd_worker_kills_total", counter, "", "Workers killed by initd, for example because they exceeded a timeout.",
		func(s *control.Status) []sample { return one(s.Counters.Killed) }},
	{"initd_worker_recycles_total", counter, "", "Workers replaced because they reached max-requests, max-memory or max-lifetime.",
		func(s *control.Status) []sample { return one(s.Counters.Recycled) }},
	{"initd_requests_total", counter, "", "Requests completed by workers that count them on the scoreboard.",
		func(s *control.Status) []sample { return one(s.Counters.Requests) }},

	{"initd_listener_queue_connections", gauge, "listener", "Connections waiting to be accepted.",
		func(s *control.Status) []sample {
			return queues(s, func(l control.Listener) (int, bool) { return l.Queue, !isDatagram(l) })
		}},
	{"initd_listener_backlog_connections", gauge, "listener", "Maximum number of connections waiting to be accepted; absent if unknown.",
		func(s *control.Status) []sample {
			return queues(s, func(l control.Listener) (int, bool) { return l.Backlog, !isDatagram(l) && l.Backlog > 0 })
		}},
	{"initd_listener_queue_bytes", gauge, "listener", "Memory used by datagrams waiting to be received (UDP).",
		func(s *control.Status) []sample {
			return queues(s, func(l control.Listener) (int, bool) { return l.Queue, isDatagram(l) })
		}},
	{"initd_listener_relistens_total", counter, "", "Listeners that initd restored after a worker called shutdown(2) on them.",
		func(s *control.Status) []sample { return one(s.Counters.Relistened) }},

	{"initd_orphans_reaped_total", counter, "", "Orphans reaped: child processes that initd did not start.",
		func(s *control.Status) []sample { return one(s.Counters.Orphans) }},
	{"initd_hook_failures_total", counter, "", "Hooks that failed or were cancelled.",
		func(s *control.Status) []sample { return one(s.Counters.HooksFailed) }},
	{"initd_control_requests_total", counter, "", "Requests answered on the control socket, including those for this endpoint.",
		func(s *control.Status) []sample { return one(s.Counters.Control) }},
	{"initd_log_lines_dropped_total", counter, "", "Log lines dropped because they were not read fast enough.",
		func(s *control.Status) []sample { return one(s.Counters.LinesDropped) }},
}

// list puts the values of a label into words.
func list(values []string) string { return strings.Join(values, ", ") }

// clean makes a text fit for the value of a label, which has to be UTF-8.
func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// count is a sample for each value of a label, and for each that an initd of
// another version may have besides.
func count(values []string, n map[string]int64) (samples []sample) {
	for _, v := range values {
		samples = append(samples, sample{label: v, value: float64(n[v])})
	}
	for _, v := range slices.Sorted(maps.Keys(n)) {
		if v != "" && !slices.Contains(values, v) {
			samples = append(samples, sample{label: clean(v), value: float64(n[v])})
		}
	}
	return samples
}

// last has the samples of the last attempt that has ended.
func last(s *control.Status, samples func(control.Swap) []sample) []sample {
	for _, w := range s.Swaps {
		if w.Ended != nil {
			return samples(w)
		}
	}
	return nil
}

func workers(s *control.Status) iter.Seq[control.Worker] {
	return func(yield func(control.Worker) bool) {
		for _, g := range s.Generations {
			for _, w := range g.Workers {
				if !yield(w) {
					return
				}
			}
		}
	}
}

// isOld reports whether a generation's workers have no more to do than to end.
func isOld(g control.Generation) bool { return g.State == "retiring" || g.State == "failed" }

// oldAge is for how long the oldest generation that retires has done so, in
// seconds: since the next one became ready, or the next that is remembered.
func oldAge(s *control.Status) (seconds float64) {
	for _, g := range s.Generations {
		if g.State != "retiring" || len(g.Workers) == 0 {
			continue
		}
		var replaced time.Time
		since := func(number int, ready *time.Time) {
			if number > g.Number && ready != nil && (replaced.IsZero() || ready.Before(replaced)) {
				replaced = *ready
			}
		}
		for _, w := range s.Swaps {
			if w.Outcome == "ready" || w.Outcome == "lost" {
				since(w.Generation, w.Ended)
			}
		}
		for _, next := range s.Generations {
			since(next.Number, next.Ready)
		}
		if !replaced.IsZero() {
			seconds = max(seconds, s.Time.Sub(replaced).Seconds())
		}
	}
	return seconds
}

// queues has a sample for each name that a listener goes by. Several may share
// one, and are added up: LISTEN_FDNAMES need not differ, sd_listen_fds(3).
func queues(s *control.Status, length func(control.Listener) (int, bool)) []sample {
	n := map[string]int64{}
	var keys []string
	for _, l := range s.Listeners {
		v, ok := length(l)
		if !ok {
			continue
		}
		key := clean(l.Key)
		if _, seen := n[key]; !seen {
			keys = append(keys, key)
		}
		n[key] += int64(v)
	}
	return count(keys, n)
}

func isDatagram(l control.Listener) bool { return l.Network == "udp" || l.Network == "unixgram" }
