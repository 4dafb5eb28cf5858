package doctor

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// An entry is a line of the examined initd's log.
type entry struct {
	Time       time.Time
	Msg, Event string
	Generation int
	PID        int
	Signal     string
	Status     int `json:"exit_status"`
	Network    string
	Address    string
	ReadyBy    string `json:"ready_by"`
}

// A worker is what the log has about the worker of a generation.
type worker struct {
	pid                                   int
	started, notified, ready, stop, ended moment // stop is when it was asked to end
	signal                                string // it was asked to end with
	status                                string // it ended with
	readyBy                               string // what it counted as ready by
	unverified                            string // why it could not be seen to accept connections
	notExecuted                           string // why it was not executed
	failed                                string // why it did not come to serve
	killed                                string // why
	orphans                               []int  // that it has left, and initd has ended
}

// read takes apart what the examined initd writes: its log, and the output of its
// workers.
func (e *examined) read(file *os.File, entries chan<- entry) {
	defer close(entries)
	defer file.Close()
	for lines := bufio.NewReaderSize(file, 64<<10); ; {
		line, err := lines.ReadSlice('\n')
		// A worker may have left its line unfinished.
		text, log, found := strings.Cut(string(line), `{"time":"`)
		var logged entry
		if found && json.Unmarshal([]byte(`{"time":"`+log), &logged) == nil && logged.Event != "" {
			entries <- logged
		} else {
			text = string(line)
		}
		e.output.add(text)
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// worker is that of a generation.
func (e *examined) worker(generation int) *worker {
	w := e.workers[generation]
	if w == nil {
		w = &worker{}
		e.workers[generation] = w
	}
	return w
}

// note takes note of a line of the log.
func (e *examined) note(line entry) {
	at := line.Time.Sub(e.began)
	w := &worker{} // of no generation
	if line.Generation > 0 {
		w = e.worker(line.Generation)
	}
	switch line.Event {
	case "listen":
		e.noteListener(line)
	case "start":
		w.pid, w.started = line.PID, at
		if line.Generation == 1 {
			for _, t := range e.targets {
				t.connectEarly(e.now)
			}
		}
	case "trial", "serving":
		if w.ready == 0 {
			w.ready = at
		}
		w.readyBy = line.ReadyBy
	case "unverified":
		w.unverified = line.Msg
	case "failed", "refused":
		w.failed = line.Msg
	case "stop", "kill":
		switch {
		case line.PID != w.pid:
			w.orphans = append(w.orphans, line.PID)
		case line.Event == "stop":
			w.stop, w.signal = at, line.Signal
		default:
			w.killed = line.Msg
		}
	case "exit":
		w.ended, w.status = at, fmt.Sprintf("exit status %d", line.Status)
		if line.Signal != "" {
			w.status = "signal " + line.Signal
		}
		if reason, ok := strings.CutPrefix(line.Msg, "worker not started: "); ok {
			w.notExecuted = reason
		}
	case "relisten":
		e.relistened = true
	case "step":
		var pid int
		if n, _ := fmt.Sscanf(line.Msg, "notified pid=%d", &pid); n == 1 {
			e.noteNotified(pid, at)
		}
	}
}

func (e *examined) noteNotified(pid int, at moment) {
	for _, w := range e.workers {
		if w.pid == pid && w.notified == 0 {
			w.notified = at
		}
	}
}

// noteListener takes note of a listener that the examined initd has bound itself.
func (e *examined) noteListener(line entry) {
	key := strings.TrimPrefix(line.Msg, "listening on ")
	for _, t := range e.targets {
		if t.key == key && (t.network == "udp") == (line.Network == "udp") {
			return
		}
	}
	e.targets = append(e.targets, &target{key: key, network: line.Network, address: line.Address, behaviour: silent})
}

const (
	linesKept  = 8
	lineLength = 200 // bytes
)

// output keeps the last lines that are no log.
type output struct {
	mu    sync.Mutex
	lines []string
}

func (o *output) add(text string) {
	if text = strings.TrimSpace(text); text == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, text[:min(len(text), lineLength)])
	o.lines = o.lines[max(0, len(o.lines)-linesKept):]
}

func (o *output) last() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.lines)
}
