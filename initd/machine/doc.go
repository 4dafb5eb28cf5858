// Package machine decides the life of generations and workers. It is pure: an
// [Event] is what has happened, [Machine.Step] returns the [Action]s that follow
// from it, and [Machine.Deadline] is when to call again if nothing happens.
// It reads no clock, starts nothing and waits for nothing, so that the same
// events always give the same actions.
//
// # A generation
//
// At most one generation is a candidate, at most one is serving; any number is
// partial or retiring. A candidate that fails in its trial retires too, without
// ever having served.
//
//		                           ┌───────── next batch ────────┐
//		                           ▼                             │
//		preparing ──▶ checking ──▶ starting ──▶ probing ──▶ trial ──▶ serving ──▶ retiring ──▶ (gone)
//		    │            │            │            │          │          │           ▲
//		    └─────┬──────┘            └─────┬──────┴──────────┤          ▼           │
//		          ▼                         ▼                 ▼        (lost)        │
//		       refused                   failed            partial ──────────────────┘
//		                                    │                 │
//		                                    ▼                 ▼
//		                                 (gone)            (gone)
//
//	  - preparing: its environment is being read.
//	  - checking: it has been, and a hook is asked whether it may go on.
//	  - starting: the workers of a batch are started and not all of them are ready,
//	    or those that the last batch has replaced have not ended.
//	  - probing: they are ready, and the probe has not succeeded yet.
//	  - trial: the batch is ready, and the older workers are not stopped before
//	    kill-old-delay is over.
//	  - serving: it has all slots. A worker that ends is replaced.
//	  - partial: a batch of it has failed, and it keeps the slots of those before.
//	    The slot of a worker that ends goes back to the generation that serves. It
//	    retires when a later one serves.
//	  - retiring: its workers are asked to stop, each once. They may finish the
//	    requests in hand.
//	  - failed: no batch of it was ever ready. Its workers are killed.
//
// # A ticket
//
// Every request for a swap has a ticket, a number that only grows: the first
// start, HUP, a command, what is watched, auto-restart, and the loss of all that
// served ([Trigger]). [Outcome] is what becomes of it, and of each attempt for it,
// in the step in which that is decided.
//
//	           ┌───────── failed ◀────────┐
//	           ▼                          │
//	request ─▶ waits ───── begun ───▶ under way ──▶ ready (─▶ lost), refused, given-up
//	           │                          │
//	           └────────────┬─────────────┘
//	                        ▼
//	               superseded, stopped
//
// The rules are:
//
//   - A request that comes while one waits for its first attempt shares its ticket.
//     Any other takes a new one.
//   - An attempt takes the ticket that waits. If it fails and is to be made again,
//     its ticket waits for the next.
//   - One ticket waits at most. The newer takes the place of one that has failed,
//     which is superseded: whether the request comes while the other waits, or has
//     come before its attempt failed. What is left of a back-off has to pass all
//     the same.
//   - An attempt that is not made again ends its ticket, and no other: it is ready,
//     refused or given up. A stop of initd ends all there are.
//   - One that is ready is lost, once, if its generation has its last worker end
//     early before it has served for as long as a worker takes to be stable.
//
// # A slot
//
// The pool has slots, as many of them open as workers are wanted. An open slot
// belongs to the generation that serves, or to the newer one that a batch has
// given it to: that one keeps a worker in it. A slot that is not needed is
// closed; where connections can be steered, they are steered away first and
// what its queue holds is served.
//
// In a slot a generation has a worker, and a replacement while the worker is being
// recycled. What becomes of workers that have lost their slot is of no consequence
// for it. Workers that end early, before they are stable, are counted by slot: each in
// a row has the next wait longer. Where half of the slots lose worker after worker
// the pool is flapping ([Flapping]).
//
// # A worker
//
//	forking ──▶ executing ──▶ running ──▶ ready ──▶ stopping ──▶ ending ──▶ killed ──▶ (reaped)
//
// A worker may be reaped from any state, and any state may be followed by any
// later one. Stopping means asked by a swap, or because its slot is not needed or
// its replacement is ready, ending asked because initd stops: each of the two
// happens to a worker at most once.
//
// An orphan that belonged to a worker is in the list of those that have lost their
// slot. It begins as running, in the step in which its worker ends, and goes the same
// way from there; so its generation is gone when its last process is.
//
// # initd
//
//	operating ──▶ lingering (stop-delay, before-shutdown) ──▶ terminating ──▶ orphaned ──▶ exited
//
// No worker is started from lingering on.
package machine
