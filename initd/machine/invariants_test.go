package machine

import (
	"fmt"
	"time"
)

// What is true of the machine whatever happens. A judge that sees nothing but
// events, actions and deadlines checks all but I9, I14 and I15 after each step;
// the world that the simulation makes up checks these.
//
//	I1   At most one generation is a candidate, and an attempt has a cause.
//	I2   Numbers only grow: every attempt takes the next.
//	I3   A worker is started only in a vacant slot that its generation holds, not
//	     before its back-off is over; or in one of the batch that is due; or as
//	     the replacement of a worn worker.
//	I4   A slot changes hands once each of its batch, and each that the candidate
//	     has already, has a live ready worker, its probe has succeeded and its
//	     trial is over; with the last of them the candidate serves. Only a worker
//	     that has lost its slot by that is stopped, one whose replacement is ready, a
//	     replacement that a swap makes needless, and one whose slot is closed; unless
//	     initd stops.
//	I5   A failed or refused attempt changes nothing of the generation that serves,
//	     nor of the slots that have been swapped.
//	I6   Stop, kill and forward name only live workers, and name them rightly. A
//	     worker gets at most one stop from a swap, one because initd stops, and
//	     one kill, which is the last; each with the signal of the policy. One whose
//	     signal was refused is believed to be what it was before, and gets no other,
//	     but one more when initd stops.
//	I7   A kill has a cause, and a cause kills at once: its attempt has failed, and
//	     it was not ready or the attempt has taken too long; drain-timeout or
//	     stop-timeout is over; it is silent or reports that it hangs; it has to fill
//	     a slot and is not ready in time; there are too many old ones; or a second
//	     signal, which is no echo of the first, has forced the stop, which is then
//	     the reason that is given. Orphans are killed when stop-timeout is over,
//	     which is one limit for workers and orphans, or when a signal asks for it.
//	I8   Nothing is prepared, started or probed once initd stops.
//	I9   What is alive is bounded: a slot has one worker, and a replacement at most;
//	     max-old-generations holds, and the machine remembers no generation that
//	     has no worker and is to have none. (Where drain-timeout and
//	     max-old-generations are both 0, the contract allows workers that ignore
//	     their stop to become more and more.)
//	I10  Exit comes once, last, with no worker alive and the status of the contract;
//	     as PID 1 without those that cannot be ended, which the kernel ends.
//	I11  The deadline is later than now, and exactly the earliest limit there is:
//	     nothing is done too late, and without a limit it is zero. (How long the
//	     life of a worker is to be is known to a tenth.)
//	I12  No state waits for ever without a reason: a limit, a result that is
//	     outstanding, a worker that was asked to end or has yet to become ready
//	     and has no limit, or that nothing is under way.
//	I13  Failures back off: each in a row doubles the wait, up to the bound, from the
//	     start of the attempt or the worker that has failed. A worker that has been
//	     ready for the interval, and ends before stable-after, is an early loss: its
//	     slot is filled at once after the first in a row, and then waits from its
//	     end. A loss of the last worker is a failure as well, and waits for the more
//	     of both. Only half of the slots ready for stable-after since, or giving up,
//	     resets failures, and only a stable worker the losses of its slot.
//	I14  Stale, repeated, unknown and early input changes nothing.
//	I15  The same events give the same actions and deadlines.
//	I16  No request is lost or doubled: it becomes an attempt in the very step in
//	     which none is under way and the back-off is over.
//	I17  A signal that is not initd's own goes once to each worker that runs the
//	     program, in order and as signal-map says; a plain init's early ones too.
//	I18  The readiness in a view is true: initd stops; or a generation serves, which
//	     the view names, alone or beside a candidate; or none does.
//	I19  A view is idle exactly while nothing is under way and one generation serves,
//	     alone, with all workers ready, in as many slots as are wanted.
//	I20  What is published is true: the live workers of generations that are or were
//	     ready, or of such a batch, by generation and slot; the last number of an
//	     attempt; the last that was refused or given up.
//	I21  There is one of each log command, from first to last; it is started again
//	     in the very step in which its back-off is over, or initd exits.
//	I22  There are never more slots than max-workers, workers counted that have
//	     lost theirs and are still there: the next is opened when they are gone.
//	     What a swap starts, and a replacement, is not counted.
//	I23  Fewer than the pool is to have are ready only where workers have ended by
//	     themselves, or were killed: never by a swap, a recycling or a shrinking.
//	I24  A swap by batches starts surge workers at a time, and no more before those
//	     that they replace are gone. Where one fails, the batches before stay in
//	     their slots, until a later swap, or until they end: then the generation
//	     that serves fills the slot.
//	I25  A worker is recycled when it has used up its limits, or lacks at most a
//	     tenth of that; one at a time, and only while nothing else is under way and
//	     all are ready. A replacement that fails changes nothing, and backs off.
//	I26  The pool grows in the very survey that sees fewer idle workers than
//	     min-idle, or for the second time in a row connections that wait: by what
//	     is missing, those counted that are started already, and by 1, 2, 4, … 32
//	     at most; not while workers fail. A closed slot with a queue is opened.
//	I27  It shrinks by one worker a second, the longest idle first, when more than
//	     max-idle have been idle, none starting and no queue, for a while: 15 s, and
//	     twice as long, up to 10 min, each time that it has had to grow within
//	     10 min after it has shrunk. Never while a swap is under way. So a load that
//	     comes and goes moves it a few times at most.
//	I28  TTIN and TTOU change the base size by one each, within 1 and max-workers.
//	     Each makes a Resize, also where it changes nothing.
//	I29  One survey is outstanding at most, and the next is due the time of the
//	     policy after the last was answered, sooner where a queue is to run empty.
//	I30  New connections are steered to the slots with a ready worker that are not
//	     being closed, and to all others where there is none; once per change. A
//	     slot is closed when its queue was seen empty after the grace.
//	I31  A worker is sent disconnect-signal once when all its clients have gone while
//	     it is busy, and two surveys of it in a row have seen that.
//	I32  Of each hook one runs at a time, and each ends, or is cancelled at its limit
//	     or when its result does not matter any more. after-init comes before any
//	     attempt and before-swap before any start, and each can refuse; after-swap
//	     runs for each outcome while something serves, or at last for the latest;
//	     on-disconnect runs for each worker that is sent the signal (I31).
//	I33  What has changed is swapped once it has been left alone for the debounce,
//	     or ten times that after the first change; once, and not when an attempt
//	     has begun since.
//	I34  A request has a ticket: that of the one which waits, if no attempt for it
//	     has failed, and else the next number. An attempt has the ticket that waits,
//	     and the trigger of the request that was first; if it fails and is made again
//	     the ticket waits once more, unless a newer one does.
//	I35  A ticket has one final outcome, in the very step that decides it: its
//	     attempt is ready, refused or given up; a newer ticket has taken its place,
//	     which is named; or initd stops. Each attempt is begun, and has one outcome.
//	     Ready alone can be taken back, once, by lost: in the very step in which an
//	     early loss takes the last worker of its generation, that has not served for
//	     stable-after. after-swap runs again then, if it has run for the success.
//	I36  A command is answered once, in its step, and before any outcome of its
//	     ticket. One that is refused changes nothing; the others do what a signal
//	     would, a base size as so many TTIN or TTOU.
//	I37  There is one HTTP process, from the first until orphans are asked to end; it
//	     is started again in the very step in which its back-off is over, and stopped
//	     before an exit that leaves orphans alone.
//	I38  A view is what the events and actions so far say, and taking it changes
//	     nothing.
//	I39  What belongs to a worker ends with it: an orphan is asked to end or killed,
//	     as its worker was or would have been, in the very step in which it is known,
//	     and killed when its worker's time is over; its generation is gone when its
//	     last process is. An orphan has no slot and is sent no other signal.
//	I40  initd closes its own copies of the listeners once, when workers are asked to
//	     end and before they are; a plain init does when its command runs.
//	I41  A worker that extends its time moves the limit of its start, or of its end, to
//	     then, if that is later, and no other limit. One that hands over to another
//	     process keeps its slot and its state, and has another pid.
//	I42  A worker that is suspended is not ready, whatever it was, until it goes on.
//	     If it is asked to end it is continued, once; also where it is suspended
//	     when it has been asked.
//	I43  A worker that has not ended a second after it was killed is reported, once.
//	I44  The pool is flapping, by its view, while at least half of its slots have lost
//	     two workers in a row or more, each before it was stable, and have none that
//	     is. The end of a worker that an operator has sent a signal to end by is no
//	     loss, nor is an exit with 0 after the interval while another is ready.
//	I45  Workers are looked at, whether they wait for connections, while that may make
//	     them ready or have connections steered to them, and are not seen to: one look is
//	     outstanding at most, and the next is due after a pause that grows with the age
//	     of the youngest, and with what the last one took; of a second at most while
//	     it may make one ready.
//	I46  Where it counts what is seen, a worker becomes ready when it has lived for the
//	     interval and was seen to wait for connections, in the very step in which both is
//	     so; or, unless that is asked for, where it cannot be told, or could not for
//	     half of start-timeout: then that is logged. One that certainly does not wait is
//	     not ready, and nothing is steered to it whatever it says. A view and the log
//	     say by what a generation counted as ready.
//
// And, once faults cease:
//
//	L1   A request leads to a newer generation that serves.
//	L2   Without events exactly the newest generation is left, ready, of the size
//	     wanted.
//	L3   A stop leads to exit within the limits for it.
//	L4   A pool that has too much to do has enough workers, or all it may have,
//	     after a bounded number of surveys; one with nothing to do has its base size.
type judge struct {
	policy Policy
	timing Timing
	mark   func(situation string) // counts the situations that come up

	phase       phase
	generations []*seenGeneration // generations that are held, by number
	number      int
	notBefore   time.Time
	failures    int
	failedAt    time.Time
	swappedAt   time.Time

	asked       bool
	forced      bool   // by a second TERM or INT
	stopBy      Signal // that asked initd to stop, the last time that was no echo
	stopByAt    time.Time
	stopSignal  Signal
	stopAt      time.Time
	stopLimit   time.Time // of workers and orphans together
	killAt      time.Time
	status      int // of the exit
	early       []Signal
	idle        bool // nothing is under way
	gaveUp      int
	logCommands []seenService
	unlistened  bool // initd has closed its listeners
	lastStart   bool // one was started although its back-off is not over

	seenFlapping // workers that end early

	seenPool      // the slots, as they are seen from outside
	seenSurveys   // the surveys
	seenLooks     // the looks
	seenRecycling // the recycling
	seenHooks     // the hooks, and what is watched
	seenRequests  // the tickets, the commands and the HTTP process

	// Of the step that is being judged.
	now         time.Time
	event       Event
	forwards    []Forward    // that are due
	transitions []Transition // that are due, without their reasons
	hung        *seenWorker
	ended       bool // the phase has become terminating
	orphansGone bool // they have ended, or were killed
	serves      int  // the generation that serves, before
	readied     int  // slots with a ready worker, before
	missing     int  // of these, those that have lost it by its end
	attempted   bool // an attempt has failed or was refused
	reopens     int  // that are due
}

// seenService is a log command, or the HTTP process, as it is seen from outside.
type seenService struct {
	runs        bool
	at, started time.Time // when it is due, when it was started last
	failures    int
}

// seenGeneration is a generation as it is seen from outside.
type seenGeneration struct {
	number int
	state  State
	began  time.Time
	trial  time.Time // when it began

	attempted, served time.Time   // when its attempt began, and it to serve
	ticket            int         // that it serves for
	swapped           bool        // it has replaced another
	places            []seenPlace // by slot
	leaving           []*seenWorker
	broken            bool // a candidate that has lost a worker
	refused           bool

	probeRuns bool
	probedAt  time.Time // when the last probe was started
	probed    bool      // with success
}

// seenPlace is a slot in a generation.
type seenPlace struct {
	worker, replacement *seenWorker
	inBatch             bool // it is of the batch that is being started
	due                 bool // its start is
	refill              time.Time
}

// seenWorker is a worker as it is seen from outside.
type seenWorker struct {
	generation      *seenGeneration
	slot, pid       int
	started         time.Time // asked for, then forked
	executed        bool
	ready, lastPing time.Time
	stopped, ended  time.Time
	killed          bool
	leaving         bool // it has lost its slot
	doomed          bool // by the failure of its batch
	suspended       bool
	mustGoOn        bool // it is to be continued in this step
	continued       bool // it was, since it was asked to end
	killedAt        time.Time
	stuck           bool // it has not ended within a second of that
	immune          bool // the kernel refuses its signals
	refused         bool // it has done so once, at least
	vague           bool // whether it was ready before it was asked to stop is the machine's to say

	seen        time.Time // by the last survey
	idle        time.Time // since when, as surveys saw it; zero: it is not
	cpu         time.Duration
	requests    int64
	clientsGone int
	orphan      bool // of a worker
	drainUntil  time.Time
	extended    time.Time // its limit
	worn        bool      // it may be recycled
	wornOut     bool      // it has to be
	signalled   bool      // an operator has sent it a signal to end by

	sight   Sight
	news    time.Time // when a look may first have seen something else of it
	unsure  time.Time // since when nothing certain is seen of it; zero: it does not accept
	readyBy ReadyBy
}

// A violation is a rule and how it was broken.
type violation struct{ rule, text string }

func (v violation) Error() string { return v.rule + ": " + v.text }

func broken(rule, format string, args ...any) {
	panic(violation{rule, fmt.Sprintf(format, args...)})
}

func newJudge(p Policy) *judge {
	p.Workers = max(p.Workers, 1)
	j := &judge{policy: p, timing: p.Timing, mark: func(string) {}, logCommands: make([]seenService, p.LogCommands)}
	j.base, j.size, j.step, j.shrinkAfter = p.Workers, p.Workers, 1, 15*time.Second
	for range p.Workers {
		j.slots = append(j.slots, seenSlot{open: true})
	}
	return j
}

// observe judges a step.
func (j *judge) observe(now time.Time, event Event, actions []Action, deadline time.Time) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case violation:
			err = v
		default:
			panic(v)
		}
	}()
	if j.phase == exited {
		if len(actions) > 0 || !deadline.IsZero() {
			broken("I10", "there is something after the exit")
		}
		return nil
	}
	j.now, j.event = now, event
	j.forwards, j.transitions, j.hung, j.ended, j.attempted = nil, nil, nil, false, false
	j.serves, j.readied, j.missing = 0, j.readySlots(), 0
	if g := j.serving(); g != nil {
		j.serves = g.number
	}
	j.forgives()
	j.note(event)
	j.noteAlive()
	j.linger()
	for i, a := range actions {
		if j.phase == exited {
			broken("I10", "%v comes after the exit", a)
		}
		j.judge(a)
		if _, ok := a.(Exit); ok && i < len(actions)-1 {
			broken("I10", "the exit is not the last action")
		}
	}
	j.conclude(deadline)
	return nil
}
