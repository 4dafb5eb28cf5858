// Package machine decides the life of generations and workers. It is pure: an
// [Event] says what happened, [Machine.Step] returns the [Action]s that follow
// from it, and [Machine.Deadline] says when to call again if nothing happens.
// It reads no clock, starts nothing and waits for nothing, so that the same
// events always give the same actions.
//
// # A generation
//
// At most one generation is a candidate, at most one is serving; any number is
// retiring. A candidate that fails in its trial retires too, without ever
// having served.
//
//		preparing ──▶ starting ──▶ probing ──▶ trial ──▶ serving ──▶ retiring ──▶ (gone)
//		    │            │            │          │          │           ▲
//		 refused         └─────┬──────┘          └──────────┼───────────┘
//		                       ▼                            ▼
//		                    failed ──▶ (gone)             (lost)
//
//	  - preparing: its environment is being read.
//	  - starting: its workers are started and not all of them are ready.
//	  - probing: they are, and the probe has not succeeded yet.
//	  - trial: it is ready, and the older one still stands by for kill-old-delay.
//	  - serving: it is the one. What it loses is replaced.
//	  - retiring: its workers are asked to stop, each once. They may finish what
//	    they hold.
//	  - failed: it never was ready. Its workers are killed.
//
// # A worker
//
//	forking ──▶ executing ──▶ running ──▶ ready ──▶ stopping ──▶ ending ──▶ killed ──▶ (reaped)
//
// A worker may be reaped from any state, and any state may be followed by any
// later one. Stopping means asked by a swap, ending asked because initd stops:
// each of the two is said to a worker at most once.
//
// # initd
//
//	operating ──▶ lingering (stop-delay) ──▶ terminating ──▶ orphaned ──▶ exited
//
// No worker is started from lingering on.
package machine
