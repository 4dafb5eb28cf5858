package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"server-starter/initd/control"
	"server-starter/initd/eventlog"
)

func (t *tool) statusCommand() *cobra.Command {
	var wide, asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show generations, workers, listeners and recent swaps",
		Long: `status shows the generations with their workers, the listeners with the number of
connections waiting to be accepted, and the most recent swaps. For a failed swap it
shows the reason, the exit status, the last lines that the worker wrote to stderr (if
the setting stderr-lines is set), and how its environment differs from that of the
serving generation: + added, - removed, ~ changed.

Ages and times are by initd's clock; sizes are in powers of 1024 bytes.`,
		Example: `  initctl status
  initctl status --wide
  initctl status --json | jq .pool`,
		Args: arguments,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := t.ask(c.Context(), control.Request{Request: control.AskStatus})
			if err != nil {
				return err
			}
			if asJSON {
				return t.writeJSON(a.Status)
			}
			view{a.Status, t.palette(t.stdout), wide}.write(t.stdout)
			return nil
		},
	}
	c.Flags().BoolVarP(&wide, "wide", "w", false, "show everything, without cutting long lines")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.MarkFlagsMutuallyExclusive("wide", "json")
	return c
}

// writeJSON prints a value as JSON, for people and programs.
func (t *tool) writeJSON(value any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return err
	}
	_, err := t.stdout.Write(eventlog.Escape(text.Bytes()))
	return err
}

// A view is a status as it is shown.
type view struct {
	*control.Status
	palette palette
	wide    bool
}

const (
	narrow     = 80 // columns that each terminal has
	shownSwaps = 5  // in a view that is not wide
)

func (v view) write(w io.Writer) {
	v.writeHead(w)
	for _, section := range []*table{v.workers(), v.listeners(), v.swaps()} {
		if len(section.rows) > 0 {
			fmt.Fprintln(w)
			section.write(w, v.palette)
		}
	}
	if v.wide {
		fmt.Fprintf(w, "\n%s\n", v.counters())
	}
}

// age is how long ago something was at the time of the status.
func (v view) age(since time.Time) string { return span(v.Time.Sub(since)) }

func (v view) writeHead(w io.Writer) {
	fmt.Fprintf(w, "initd %s, pid %d, up %s: %s\n", printable(v.Version), v.PID, v.age(v.Started), v.palette.paint(stateOf(v.Health.State).colour, healthOf(&v.Health, "")))
	if reason := reasonOf(&v.Health); reason != "" {
		fmt.Fprintf(w, "reason   %s\n", reason)
	}
	if next := v.NextAttempt; next != nil {
		fmt.Fprintf(w, "next     %s, after %s in a row\n", tryingAgain(span(next.Sub(v.Time))), count(v.Failures, "failure"))
	}
	command := printable(strings.Join(v.Command, " "))
	if !v.wide {
		command = cut(command, narrow-len("command  "))
	}
	fmt.Fprintf(w, "command  %s\n", command)
	fmt.Fprintf(w, "workers  %s\n", v.pool())
	if v.wide && v.Memory > 0 {
		fmt.Fprintf(w, "memory   %s used by initd itself\n", size(v.Memory))
	}
}

// pool is how many workers there are, how many of them are ready, busy and idle, and
// between which numbers their count may vary.
func (v view) pool() string {
	p := v.Pool
	text := fmt.Sprintf("%d of %d ready", p.Ready, p.Workers)
	if p.Busy+p.Idle > 0 {
		text += fmt.Sprintf(", %d busy, %d idle", p.Busy, p.Idle)
	}
	if p.Max > 0 {
		text += fmt.Sprintf("; %d when idle, up to %d", p.Rest, p.Max)
	}
	return text
}

func (v view) workers() *table {
	t := &table{head: []string{"GENERATION", "SLOT", "PID", "STATE", " AGE", " REQUESTS", " MEMORY", "READY BY"}}
	if v.wide {
		t.head = append(t.head, " READY FOR", "MESSAGE")
	}
	for _, g := range v.Generations {
		is := stateOf(g.State)
		name := cell{fmt.Sprintf("%d %s", g.Number, is.word), is.colour}
		if len(g.Workers) == 0 {
			t.add(name, plain("-"), plain("-"), plain("-"), plain(v.age(g.Began)))
		}
		for _, w := range g.Workers {
			is := stateOf(w.State)
			if w.Activity != "" {
				is.word += ", " + w.Activity
			}
			if w.Orphan {
				is.word += ", orphan"
			}
			var requests, memory, ready string
			if w.Requests != nil {
				requests = strconv.FormatInt(*w.Requests, 10)
			}
			if w.Memory > 0 {
				memory = size(w.Memory)
			}
			if w.Ready != nil {
				ready = v.age(*w.Ready)
			}
			row := []cell{name, plain(strconv.Itoa(w.Slot)), plain(strconv.Itoa(w.PID)), {is.word, is.colour},
				plain(v.age(w.Started)), plain(requests), plain(memory), plain(w.ReadyBy)}
			if v.wide {
				row = append(row, plain(ready), plain(printable(w.Message)))
			}
			t.add(row...)
			name = cell{} // a generation is named once
		}
	}
	return t
}

func (v view) listeners() *table {
	t := &table{head: []string{"LISTENER", "NETWORK", " QUEUE", " BACKLOG"}}
	if v.wide {
		t.head = append(t.head, "ADDRESS", " FD")
	}
	for _, l := range v.Listeners {
		key, queue, backlog := printable(l.Key), strconv.Itoa(l.Queue), "-"
		if !v.wide {
			key = cut(key, 50)
		}
		if strings.HasPrefix(l.Network, "udp") {
			queue = size(int64(l.Queue)) + "B"
		}
		if l.Backlog > 0 {
			backlog = strconv.Itoa(l.Backlog)
		}
		var waiting colour
		if l.Queue > 0 {
			waiting = yellow
		}
		row := []cell{plain(key), plain(l.Network), {queue, waiting}, plain(backlog)}
		if v.wide {
			row = append(row, plain(l.Address), plain(strconv.Itoa(l.FD)))
		}
		t.add(row...)
	}
	return t
}

func (v view) swaps() *table {
	t := &table{head: []string{"SWAP TO", "OUTCOME", "TRIGGER", " TOOK", " STARTED"}}
	if v.wide {
		t.head = append(t.head, " TICKET", "AT")
	}
	for i, s := range v.Swaps {
		if i == shownSwaps && !v.wide {
			t.remark(fmt.Sprintf("%d more with --wide", len(v.Swaps)-i), dim)
			break
		}
		is := stateOf(s.Outcome)
		row := []cell{plain(strconv.Itoa(s.Generation)), {is.word, is.colour}, plain(s.Trigger),
			plain(seconds(s.Seconds)), plain(v.age(s.Began) + " ago")}
		if v.wide {
			row = append(row, plain(strconv.Itoa(s.Ticket)), plain(s.Began.Format(time.RFC3339)))
		}
		t.add(row...)
		if s.Reason != "" {
			t.remark(printable(s.Reason), "")
		}
		for _, line := range details(s) {
			t.remark(line, dim)
		}
	}
	return t
}

// details are what is known of why an attempt failed, besides the reason.
func details(s control.Swap) (lines []string) {
	whose := ""
	if s.Slot != nil {
		whose = fmt.Sprintf("worker in slot %d: ", *s.Slot)
	}
	switch {
	case s.Signal != "":
		lines = append(lines, whose+"signal "+s.Signal)
	case s.ExitStatus != nil:
		lines = append(lines, fmt.Sprintf("%sexit status %d", whose, *s.ExitStatus))
	}
	for _, line := range s.Stderr {
		lines = append(lines, "stderr | "+printable(line))
	}
	if d := differences(s.Variables); d != "" {
		lines = append(lines, "variables "+d)
	}
	return lines
}

// differences are the variables in which two environments differ.
func differences(v *control.Variables) string {
	if v == nil {
		return ""
	}
	var words []string
	for _, kind := range []struct {
		sign  string
		names []string
	}{{"+", v.Added}, {"-", v.Removed}, {"~", v.Changed}} {
		for _, name := range kind.names {
			words = append(words, kind.sign+printable(name))
		}
	}
	return strings.Join(words, " ")
}

// counters is what has happened since initd was started.
func (v view) counters() string {
	c := v.Counters
	var words []string
	for _, outcome := range slices.Sorted(maps.Keys(c.Swaps)) {
		words = append(words, fmt.Sprintf("%d %s", c.Swaps[outcome], stateOf(outcome).word))
	}
	if len(words) == 0 {
		words = []string{"none"}
	}
	return fmt.Sprintf(`swaps     %s; the ready ones took %s in total
workers   %d started, %d stopped, %d died, %d killed, %d recycled
requests  %d counted by workers, %d to initd itself
other     %s reaped, %s restored, %s failed, %s dropped`,
		strings.Join(words, ", "), seconds(c.SwapSeconds),
		c.Started, c.Exited, c.Died, c.Killed, c.Recycled,
		c.Requests, c.Control,
		count(int(c.Orphans), "orphan"), count(int(c.Relistened), "listener"), count(int(c.HooksFailed), "hook"), count(int(c.LinesDropped), "log line"))
}
