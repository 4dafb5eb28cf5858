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
	outcomes         = []string{"ready", "failed", "refused", "stopped"}
	workerStates     = []string{"forking", "executing", "running", "ready", "stopping", "ending", "killed"}
	generationStates = []string{"preparing", "checking", "starting", "probing", "trial", "serving", "partial", "retiring", "failed"}
)

var families = []family{
	{"initd_info", gauge, "version", "Always 1; the version of initd.",
		func(s *control.Status) []sample { return []sample{{label: clean(s.Version), value: 1}} }},
	{"initd_start_time_seconds", gauge, "", "When initd was started, in seconds since 1970.",
		func(s *control.Status) []sample { return moment(&s.Started) }},
	{"initd_live", gauge, "", "Whether initd's loop turns: 1 or 0.",
		func(s *control.Status) []sample { return truth(s.Health.Live) }},
	{"initd_ready", gauge, "", "Whether a generation serves and initd is not being stopped: 1 or 0.",
		func(s *control.Status) []sample { return truth(s.Health.Ready) }},
	{"initd_started", gauge, "", "Whether a generation has been ready since initd was started: 1 or 0.",
		func(s *control.Status) []sample { return truth(s.Health.Started) }},
	{"initd_state", gauge, "state", "1 for the state that initd is in, 0 for the others: " + list(states) + ".",
		func(s *control.Status) []sample { return count(states, map[string]int64{s.Health.State: 1}) }},
	{"initd_resident_memory_bytes", gauge, "", "Memory of initd itself; absent where it is not known.",
		func(s *control.Status) []sample { return known(s.Memory) }},

	{"initd_generation", gauge, "", "Number of the generation that serves, 0 if none does.",
		func(s *control.Status) []sample { return one(s.Health.Generation) }},
	{"initd_generation_age_seconds", gauge, "", "For how long the generation that serves has done so; absent if none does.",
		func(s *control.Status) []sample {
			for _, g := range s.Generations {
				if g.Number == s.Health.Generation && g.Ready != nil {
					return one(max(0, s.Time.Sub(*g.Ready).Seconds()))
				}
			}
			return nil
		}},
	{"initd_generations", gauge, "state", "Generations that have workers or are on their way to some, by state: " + list(generationStates) + ".",
		func(s *control.Status) []sample {
			n := map[string]int64{}
			for _, g := range s.Generations {
				n[g.State]++
			}
			return count(generationStates, n)
		}},
	{"initd_old_generation_age_seconds", gauge, "", "How long ago the oldest generation that still has workers was replaced, 0 if there is none.",
		func(s *control.Status) []sample { return one(oldAge(s)) }},

	{"initd_attempts_total", counter, "", "Attempts at a generation, which is the number of the last.",
		func(s *control.Status) []sample { return one(s.Attempt) }},
	{"initd_swaps_total", counter, "outcome", "Attempts at a generation that have ended, by outcome: " + list(outcomes) + ".",
		func(s *control.Status) []sample { return count(outcomes, s.Counters.Swaps) }},
	{"initd_swap_duration_seconds", summary, "", "How long attempts took from their begin until they were ready; only those that were.",
		func(s *control.Status) []sample {
			return []sample{{value: s.Counters.SwapSeconds, count: uint64(max(0, s.Counters.Swaps["ready"]))}}
		}},
	{"initd_swap_in_progress", gauge, "", "Whether an attempt is under way: 1 or 0.",
		func(s *control.Status) []sample {
			return truth(slices.ContainsFunc(s.Swaps, func(w control.Swap) bool { return w.Ended == nil }))
		}},
	{"initd_last_swap_duration_seconds", gauge, "", "How long the last attempt took that has ended; absent before.",
		func(s *control.Status) []sample {
			return last(s, func(w control.Swap) []sample { return one(w.Seconds) })
		}},
	{"initd_last_swap_success", gauge, "", "Whether the last attempt that has ended became ready: 1 or 0; absent before.",
		func(s *control.Status) []sample {
			return last(s, func(w control.Swap) []sample { return truth(w.Outcome == "ready") })
		}},
	{"initd_last_swap_timestamp_seconds", gauge, "", "When the last attempt ended, in seconds since 1970; absent before.",
		func(s *control.Status) []sample {
			return last(s, func(w control.Swap) []sample { return moment(w.Ended) })
		}},
	{"initd_consecutive_failures", gauge, "", "Attempts that have failed in a row; having been ready resets it.",
		func(s *control.Status) []sample { return one(s.Failures) }},
	{"initd_next_attempt_timestamp_seconds", gauge, "", "When the next attempt begins, in seconds since 1970; present while a back-off lasts.",
		func(s *control.Status) []sample { return moment(s.NextAttempt) }},

	{"initd_workers", gauge, "state", "Workers of all generations by state: " + list(workerStates) + ".",
		func(s *control.Status) []sample {
			n := map[string]int64{}
			for w := range workers(s) {
				n[w.State]++
			}
			return count(workerStates, n)
		}},
	{"initd_old_workers", gauge, "", "Workers of generations that have been replaced or have failed.",
		func(s *control.Status) []sample {
			n := 0
			for _, g := range s.Generations {
				if isOld(g) {
					n += len(g.Workers)
				}
			}
			return one(n)
		}},
	{"initd_pool_wanted_workers", gauge, "", "Workers that the pool is to have now.",
		func(s *control.Status) []sample { return one(s.Pool.Workers) }},
	{"initd_pool_rest_workers", gauge, "", "Workers that the pool is to have when idle.",
		func(s *control.Status) []sample { return one(s.Pool.Rest) }},
	{"initd_pool_max_workers", gauge, "", "Workers that the pool may grow to; 0 if it does not grow by itself.",
		func(s *control.Status) []sample { return one(s.Pool.Max) }},
	{"initd_pool_ready_workers", gauge, "", "Workers that are ready, of all generations that hold a slot.",
		func(s *control.Status) []sample { return one(s.Pool.Ready) }},
	{"initd_pool_busy_workers", gauge, "", "Ready workers that are known to be busy.",
		func(s *control.Status) []sample { return one(s.Pool.Busy) }},
	{"initd_pool_idle_workers", gauge, "", "Ready workers that are known to be idle.",
		func(s *control.Status) []sample { return one(s.Pool.Idle) }},
	{"initd_workers_resident_memory_bytes", gauge, "", "Memory of all workers together; pages that they share count for each. Absent where it is not known.",
		func(s *control.Status) []sample {
			var sum int64
			for w := range workers(s) {
				sum += w.Memory
			}
			return known(sum)
		}},
	{"initd_worker_resident_memory_max_bytes", gauge, "", "Memory of the largest worker; absent where it is not known.",
		func(s *control.Status) []sample {
			var most int64
			for w := range workers(s) {
				most = max(most, w.Memory)
			}
			return known(most)
		}},
	{"initd_worker_starts_total", counter, "", "Workers that were started.",
		func(s *control.Status) []sample { return one(s.Counters.Started) }},
	{"initd_worker_exits_total", counter, "reason", "Workers that have ended: asked to (asked), or by themselves (died).",
		func(s *control.Status) []sample {
			return count([]string{"asked", "died"}, map[string]int64{"asked": s.Counters.Exited, "died": s.Counters.Died})
		}},
	{"initd_worker_kills_total", counter, "", "Workers that were killed: they took too long, were silent or too many.",
		func(s *control.Status) []sample { return one(s.Counters.Killed) }},
	{"initd_worker_recycles_total", counter, "", "Workers that were replaced as they had used up their requests, memory or lifetime.",
		func(s *control.Status) []sample { return one(s.Counters.Recycled) }},
	{"initd_requests_total", counter, "", "Requests that workers have finished, as far as they count them on the scoreboard.",
		func(s *control.Status) []sample { return one(s.Counters.Requests) }},

	{"initd_listener_queue_connections", gauge, "listener", "Connections that wait to be accepted.",
		func(s *control.Status) []sample {
			return queues(s, func(l control.Listener) (int, bool) { return l.Queue, !isDatagram(l) })
		}},
	{"initd_listener_backlog_connections", gauge, "listener", "Connections that may wait to be accepted; absent where it is not known.",
		func(s *control.Status) []sample {
			return queues(s, func(l control.Listener) (int, bool) { return l.Backlog, !isDatagram(l) && l.Backlog > 0 })
		}},
	{"initd_listener_queue_bytes", gauge, "listener", "Memory of datagrams that wait to be received (UDP).",
		func(s *control.Status) []sample {
			return queues(s, func(l control.Listener) (int, bool) { return l.Queue, isDatagram(l) })
		}},
	{"initd_listener_relistens_total", counter, "", "Listeners that a worker had shut down for everyone and that were made to listen again.",
		func(s *control.Status) []sample { return one(s.Counters.Relistened) }},

	{"initd_orphans_reaped_total", counter, "", "Processes that initd reaped and had not started.",
		func(s *control.Status) []sample { return one(s.Counters.Orphans) }},
	{"initd_hook_failures_total", counter, "", "Hooks that have failed or were cancelled.",
		func(s *control.Status) []sample { return one(s.Counters.HooksFailed) }},
	{"initd_control_requests_total", counter, "", "Requests that were answered on the control socket and to this endpoint.",
		func(s *control.Status) []sample { return one(s.Counters.Control) }},
	{"initd_log_lines_dropped_total", counter, "", "Lines of the log that nobody read in time.",
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
			if w.Outcome == "ready" {
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
