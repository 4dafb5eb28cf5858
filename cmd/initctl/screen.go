package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"server-starter/initd/control"
)

// A screen is what top shows: made of the statuses that were observed, and of
// nothing else.
type screen struct {
	palette       palette
	width, height int
	window        int // index into windows

	last  *control.Status // nil: none yet
	wrong error           // why there is no newer one
	rates []float64       // requests a second, between statuses, the newest last
	lives map[int]life    // by generation
}

// windows are how far the time line may reach back.
var windows = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}

// A life is that of a generation, as far as it was seen.
type life struct {
	marks []mark    // in order of time
	gone  time.Time // zero: it is there
}

// A mark is when a generation began to be in a phase.
type mark struct {
	at    time.Time
	phase phase
}

// A phase is a part of a life that is seen on the time line.
type phase int

const (
	none phase = iota
	starting
	serving
	retiring
	failed
)

var phases = map[phase]struct {
	glyph string
	state
}{
	none:     {" ", states[stateGone]},
	starting: {"░", states["starting"]},
	serving:  {"█", states["serving"]},
	retiring: {"▒", states["retiring"]},
	failed:   {"×", states["failed"]},
}

func phaseOf(state string) phase {
	switch state {
	case "serving", "partial":
		return serving
	case "retiring":
		return retiring
	case "failed":
		return failed
	}
	return starting
}

const keptRates = 60

// observe takes note of a status.
func (s screen) observe(now *control.Status) screen {
	if before := s.last; before != nil {
		passed := now.Time.Sub(before.Time).Seconds()
		done := now.Counters.Requests - before.Counters.Requests
		if passed > 0 && done >= 0 { // else another initd answers now
			s.rates = append(slices.Clone(s.rates), float64(done)/passed)
			s.rates = s.rates[max(0, len(s.rates)-keptRates):]
		}
	}
	s.last, s.wrong = now, nil

	lives := maps.Clone(s.lives)
	if lives == nil {
		lives = make(map[int]life)
	}
	alive := make(map[int]bool)
	for _, g := range now.Generations {
		alive[g.Number] = true
		l := lives[g.Number]
		marks := slices.Clone(l.marks)
		if len(marks) == 0 {
			marks = []mark{{g.Began, starting}}
		}
		if g.Ready != nil && !slices.ContainsFunc(marks, func(m mark) bool { return m.phase == serving }) {
			marks = append(marks, mark{*g.Ready, serving})
		}
		if p := phaseOf(g.State); marks[len(marks)-1].phase != p {
			marks = append(marks, mark{now.Time, p})
		}
		lives[g.Number] = life{marks: marks}
	}
	for _, swap := range now.Swaps { // those that failed may have come and gone between two statuses
		if swap.Outcome != "failed" || swap.Ended == nil {
			continue
		}
		l := lives[swap.Generation]
		if n := len(l.marks); n == 0 || l.marks[n-1].phase != failed {
			marks := slices.Clone(l.marks)
			if n == 0 {
				marks = []mark{{swap.Began, starting}}
			}
			l.marks = append(marks, mark{*swap.Ended, failed})
		}
		if !alive[swap.Generation] && l.gone.IsZero() {
			l.gone = *swap.Ended
		}
		lives[swap.Generation] = l
	}
	for n, l := range lives {
		if !alive[n] && l.gone.IsZero() {
			l.gone = now.Time
			lives[n] = l
		}
		if !l.gone.IsZero() && now.Time.Sub(l.gone) > windows[len(windows)-1] {
			delete(lives, n)
		}
	}
	s.lives = lives
	return s
}

// zoom shows more or less of the past.
func (s screen) zoom(by int) screen {
	s.window = min(max(s.window+by, 0), len(windows)-1)
	return s
}

// phaseAt is the last phase that a life had from one time up to before another;
// one that failed is seen at the moment of its end, however short that is.
func (l life) phaseAt(from, to time.Time) phase {
	if !l.gone.IsZero() && l.gone.Before(from) {
		return none
	}
	p := none
	for _, m := range l.marks {
		if m.at.Before(to) {
			p = m.phase
		}
	}
	return p
}

// bar is a life on the time line that ends now.
func (s screen) bar(l life, width int) string {
	var b strings.Builder
	window := windows[s.window]
	at := func(i int) time.Time {
		return s.last.Time.Add(-window + window*time.Duration(i)/time.Duration(width))
	}
	run, current := "", none
	flush := func() {
		b.WriteString(s.palette.paint(phases[current].colour, run))
		run = ""
	}
	for i := range width {
		to := at(i + 1)
		if i == width-1 {
			to = to.Add(1) // what begins now is seen
		}
		if p := l.phaseAt(at(i), to); p != current {
			flush()
			current = p
		}
		run += phases[current].glyph
	}
	if current != none {
		flush()
	}
	return b.String()
}

// view is the text of the screen: no line is longer than its width, and there are
// no more of them than its height.
func (s screen) view() string {
	p := s.palette
	width, height := max(s.width, 20), max(s.height, 4)
	var lines []string
	add := func(c colour, text string) { lines = append(lines, p.paint(c, cut(printable(text), width))) }
	foot := p.paint(dim, cut("q quit  - less history  + more history", width))
	if s.wrong != nil {
		foot = p.paint(red, cut(printable(s.wrong.Error()), width))
	}
	if s.last == nil {
		return foot
	}

	v := view{Status: s.last}
	add(stateOf(v.Health.State).colour, fmt.Sprintf("initd %s, pid %d, up %s: %s", v.Version, v.PID, v.age(v.Started), healthOf(&v.Health, "")))
	if reason := reasonOf(&v.Health); reason != "" {
		add(red, reason)
	}
	add("", "")
	lines = append(lines, s.crew(width))
	lines = append(lines, s.requests(width))
	listeners := v.Listeners
	if space := max(1, height-len(lines)-leastBelow); len(listeners) > space {
		listeners = listeners[:space-1]
	}
	for _, l := range listeners {
		lines = append(lines, s.queue(l, width))
	}
	if more := len(v.Listeners) - len(listeners); more > 0 {
		add(dim, fmt.Sprintf("%d more listeners", more))
	}
	add("", "")

	axis := width - nameWidth
	back := "-" + span(windows[s.window])
	add(dim, pad("generation", nameWidth)+back+strings.Repeat(" ", max(1, axis-len(back)-len("now")))+"now")
	order := func(number int) int { // what serves is first, then the newest
		if number == v.Health.Generation {
			return math.MinInt
		}
		return -number
	}
	numbers := slices.SortedFunc(maps.Keys(s.lives), func(a, b int) int { return cmp.Compare(order(a), order(b)) })
	begin := s.last.Time.Add(-windows[s.window])
	numbers = slices.DeleteFunc(numbers, func(n int) bool {
		l := s.lives[n]
		return !l.gone.IsZero() && l.gone.Before(begin)
	})
	room := max(1, height-len(lines)-1-min(len(v.Swaps), 3)-1)
	for i, n := range numbers {
		if i == max(1, room-1) && len(numbers) > room {
			add(dim, fmt.Sprintf("%d more", len(numbers)-i))
			break
		}
		l := s.lives[n]
		current := l.marks[len(l.marks)-1].phase
		if !l.gone.IsZero() && current != failed {
			current = none
		}
		name := pad(fmt.Sprintf("%d %s", n, phases[current].word), nameWidth)
		lines = append(lines, p.paint(phases[current].colour, name)+s.bar(l, axis))
	}
	add("", "")
	for i, swap := range v.Swaps {
		if i == 3 {
			break
		}
		is := stateOf(swap.Outcome)
		text := fmt.Sprintf("%d %s (%s) after %s, %s ago", swap.Generation, is.word, swap.Trigger, seconds(swap.Seconds), v.age(swap.Began))
		if swap.Reason != "" {
			text += ": " + printable(swap.Reason)
		}
		add(is.colour, text)
	}
	lines = lines[:min(len(lines), height-1)]
	return strings.Join(append(lines, foot), "\n")
}

const nameWidth = 14

// leastBelow is how many lines come at least below the listeners: a blank one, the axis, a generation, and the keys.
const leastBelow = 4

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// crew is a letter for each worker of the pool: busy, idle, ready or not ready.
func (s screen) crew(width int) string {
	pool := s.last.Pool
	room := max(0, width-nameWidth)
	text := view{Status: s.last}.pool()
	shown := min(pool.Workers, room-len(text)-2)
	if shown <= 0 {
		return cut(pad("workers", nameWidth)+text, width)
	}
	// Where there are more than there is room for, each stands for several.
	part := func(n int) int { return (n*shown + pool.Workers - 1) / max(pool.Workers, 1) }
	busy := min(part(pool.Busy), shown)
	idle := min(part(pool.Idle), shown-busy)
	other := min(part(max(0, pool.Ready-pool.Busy-pool.Idle)), shown-busy-idle)
	bar := s.palette.paint(yellow, strings.Repeat("■", busy)) + s.palette.paint(green, strings.Repeat("□", idle)+strings.Repeat("▣", other)) +
		s.palette.paint(dim, strings.Repeat("·", shown-busy-idle-other))
	return pad("workers", nameWidth) + bar + "  " + text
}

// requests is how many there are a second, now and before.
func (s screen) requests(width int) string {
	name := pad("requests", nameWidth)
	if len(s.rates) == 0 || s.last.Counters.Requests == 0 {
		return cut(name+"not counted", width)
	}
	text := strconv.FormatFloat(s.rates[len(s.rates)-1], 'f', 0, 64) + "/s"
	room := width - nameWidth - len(text) - 2
	if room <= 0 {
		return cut(name+text, width)
	}
	return name + text + "  " + s.palette.paint(green, spark(s.rates[max(0, len(s.rates)-room):]))
}

// spark draws numbers as bars of eight heights, the greatest as the highest.
func spark(values []float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	greatest := 0.0
	for _, v := range values {
		greatest = max(greatest, v)
	}
	var b strings.Builder
	for _, v := range values {
		i := 0
		if greatest > 0 {
			i = min(int(v/greatest*8), 7)
		}
		b.WriteString(bars[i*3 : i*3+3]) // each of them is three bytes
	}
	return b.String()
}

// queue is a listener with the connections that wait there.
func (s screen) queue(l control.Listener, width int) string {
	text := fmt.Sprintf("queue %d", l.Queue)
	if l.Backlog > 0 {
		text += fmt.Sprintf(" of %d", l.Backlog)
	}
	if strings.HasPrefix(l.Network, "udp") {
		text = "queue " + size(int64(l.Queue)) + "B"
	}
	tint := colour("")
	if l.Queue > 0 {
		tint = yellow
	}
	key := cut(printable(l.Key), max(10, width/2-nameWidth))
	line := cut(pad("listener", nameWidth)+key+"  "+text, width)
	return s.palette.paint(tint, line)
}
