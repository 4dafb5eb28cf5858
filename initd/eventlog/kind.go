package eventlog

// Kind is what an event is. Only this package makes kinds, so that nothing is
// logged that [Kinds] does not explain.
type Kind struct{ word string }

// String is the value of the key event.
func (k Kind) String() string { return k.word }

// The kinds of events, in the order in which they are explained to users.
var (
	Listen   = define("listen", "A listener was bound or adopted, or one for a new slot could not be made.")
	Adopted  = define("adopted", "A worker has bound the address of a listener itself and got the listener (export=bind), or could not get it.")
	Foreign  = define("foreign", "A worker binds an address itself that is no listener of initd (export=bind).")
	Relisten = define("relisten", "A listener that a worker had shut down for all workers listens again, the path of a Unix socket that was removed is restored, or that failed.")
	Steer    = define("steer", "New connections cannot be directed to the slots that have a worker (reuse-port).")

	Checking = define("checking", "The generation waits for hook-before-swap.")
	Starting = define("starting", "The generation is started, or the next batch of its slots.")
	Probing  = define("probing", "Its workers are ready, and the probe runs.")
	Trial    = define("trial", "Its workers are ready; kill-old-delay passes before the old generation is stopped.")
	Serving  = define("serving", "The generation has all slots; ready_by says by what it counted as ready: READY=1, accepting, or interval.")
	Partial  = define("partial", "A batch has failed; the generation keeps the slots it had taken over.")
	Retiring = define("retiring", "The generation is replaced, and its workers were asked to stop.")
	Failed   = define("failed", "An attempt failed, with the reason, and in hint and next_attempt the likely cause and the time until the next attempt.")
	Refused  = define("refused", "A swap was refused: its environment could not be read, or hook-before-swap failed.")
	Lost     = define("lost", "A generation that had served has no worker left.")
	Flapping = define("flapping", "Half of the slots or more lose one worker after the other, each sooner than stable-after after it was ready: how many in a row, and how the last ended.")
	Stable   = define("stable", "The workers have been ready for stable-after again, and are no longer flapping.")
	Gone     = define("gone", "The last process of an old or failed generation has ended.")

	Start      = define("start", "A worker was started.")
	Stop       = define("stop", "A worker was asked to stop, or a process that a worker has left behind.")
	Kill       = define("kill", "A worker is killed, or a process that a worker has left behind, with the reason.")
	Stuck      = define("stuck", "A worker did not end within a second after it was killed; PID 1 does not wait for it when it stops. Without pid: orphans did not end.")
	Exit       = define("exit", "A worker has ended; without generation: initd itself exits.")
	Orphans    = define("orphans", "All workers have ended, and initd asks the processes that they have left to end.")
	ForkFailed = define("fork-failed", "A worker could not be started.")
	Suspended  = define("suspended", "A worker was suspended by a signal, such as STOP, or TTIN if it reads from the terminal in the background. It is not ready until it is continued.")
	Continued  = define("continued", "A suspended worker was continued.")
	KillFailed = define("kill-failed", "A signal could not be sent to a process.")
	Resize     = define("resize", "The pool has grown or shrunk.")
	Recycle    = define("recycle", "A worker is replaced: max-requests, max-memory or max-lifetime.")
	Status     = define("status", "A worker has sent STATUS=. Of one worker at most ten lines about this, extend, suspended, continued, handed-over and notify-dropped are logged in ten seconds; dropped is how many were not.")
	Extend     = define("extend", "A worker has sent EXTEND_TIMEOUT_USEC=.")
	HandedOver = define("handed-over", "A worker has ended, and the process that it had named with MAINPID= has taken its place.")
	Scoreboard = define("scoreboard", "A worker runs without a row of the scoreboard, or its file could not be removed.")
	Unverified = define("unverified", "A worker counts as ready by interval alone, because it cannot be told whether it accepts connections; logged once.")
	Survey     = define("survey", "initd cannot see what the workers are doing.")

	Probe   = define("probe", "A probe has ended, or could not be started.")
	Hook    = define("hook", "A hook has ended, was cancelled, or could not be started.")
	Changed = define("changed", "A watched file or directory has changed.")
	Watch   = define("watch", "A watched file or directory cannot be read.")

	Signal      = define("signal", "initd received a signal.")
	Control     = define("control", "The control socket is open, or failed; a client has asked for something, or was refused.")
	HTTP        = define("http", "Where health and metrics are served.")
	HTTPProcess = define("http-process", "The HTTP process was started, has ended, or could not be started.")

	Reopen     = define("reopen", "The log files are reopened.")
	LogCommand = define("log-command", "A log command has ended, or could not be started.")
	File       = define("file", "A log file or the status file cannot be written, or can be written again.")
	LogDropped = define("log-dropped", "Lines of the log were dropped: too many were waiting to be written.")
	Missed     = define("missed", "Only for subscribers (initctl events): events are missing, because they came too fast for this client or were too long.")

	Note   = define("note", "Something to look at that is not an error, such as a setting without effect.")
	Defect = define("defect", "A defect in initd.")

	Step          = define("step", "Debug: a decision, in the words of the machine's transcripts.")
	Orphan        = define("orphan", "Debug: an orphan was reaped; a warning if initd cannot look for orphans.")
	NotifyDropped = define("notify-dropped", "Debug: a notification from a process that belongs to no worker, or to another user, was ignored; a warning if MAINPID= names a process that does not descend from the worker.")
	ReportFailed  = define("report-failed", "Debug: the supervisor could not be notified.")
)

// Row is a kind of event and what it means.
type Row struct {
	Kind
	Meaning string
}

// Kinds are all kinds of events.
var Kinds []Row

func define(word, meaning string) Kind {
	k := Kind{word}
	Kinds = append(Kinds, Row{k, meaning})
	return k
}
