package watch

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"
)

// Source is what is watched under one name.
type Source struct {
	Name string // as the user gave it

	// Paths are absolute, and asked for before each look, in Run's goroutine.
	// Those that exist count, in this order. For a command in PATH they are all
	// the places up to the one where it is found.
	Paths func() []string
}

// Path is the source that is one file or directory.
func Path(path string) Source {
	return Source{path, func() []string { return []string{path} }}
}

// Report says that the content of a source has changed, or, if Err is not nil,
// what stands in the way of watching it. Of each error one report is made, and
// what it is about is tried again. The text begins with «watch NAME: ».
type Report struct {
	Name string
	Err  error
}

// Watch watches sources.
type Watch struct {
	pace    pace
	sources []*source
	kernel  *notifier // nil: it does not tell, and everything is polled
	reports chan Report
	again   chan struct{}
	closed  chan struct{}
	once    sync.Once
	errs    []Report // not yet delivered
	said    map[string]bool

	phase    phase
	timer    *time.Timer   // ends a phase
	poll     *time.Timer   // for the next poll
	polling  bool          // it runs
	pause    time.Duration // of the last pausing
	heard    bool          // an event came while listening
	fresh    bool          // one that matters
	deadline time.Time     // when to look even so
}

// source is what is known of a Source.
type source struct {
	Source
	current  uint64 // content when last looked at; 0: unknown
	reported uint64 // content as the reader of reports knows it
	points   map[inode]*point
	files    map[string]*file
	dirty    bool // something has happened
	polled   bool // the kernel does not tell of everything
}

// pace says how long things take.
type pace struct {
	quiet    time.Duration // in which nothing may happen before a look
	patience time.Duration // after which a look is taken even so
	noise    time.Duration // longest time between two looks at events that do not matter
	poll     time.Duration // between two looks where the kernel does not tell
}

var usual = pace{quiet: 100 * time.Millisecond, patience: time.Second, noise: time.Second, poll: 5 * time.Second}

// A phase is what happens to the events that the kernel has.
type phase int

const (
	idle      phase = iota // the next one is waited for
	pausing                // they gather, and equal ones become one
	listening              // they are read
)

const (
	window    = 5 * time.Millisecond // of listening
	attempts  = 50                   // to look at something that changes meanwhile
	maxErrors = 64                   // are reported of all sources, then no more
)

// New watches sources. The content that they have when it returns is where
// changes count from. An error says which source is no path; what does not
// exist is no error, and what cannot be read is reported.
func New(sources []Source) (*Watch, error) { return start(sources, usual) }

func start(sources []Source, pace pace) (*Watch, error) {
	w := &Watch{
		pace:    pace,
		reports: make(chan Report),
		again:   make(chan struct{}, 1),
		closed:  make(chan struct{}),
		said:    map[string]bool{},
		timer:   stopped(),
		poll:    stopped(),
		pause:   pace.quiet,
	}
	for _, s := range sources {
		paths := s.Paths()
		if len(paths) == 0 {
			return nil, fmt.Errorf("watch %s: it names no file", s.Name)
		}
		for _, path := range paths {
			if err := check(path); err != nil {
				return nil, fmt.Errorf("watch %s: %w", s.Name, err)
			}
		}
		w.sources = append(w.sources, &source{Source: s})
	}
	if len(w.sources) == 0 {
		return w, nil // and nothing ever happens
	}
	w.open()
	for _, s := range w.sources {
		s.current, _ = w.look(s)
		s.reported = s.current
		s.dirty = s.current == 0
	}
	if w.dirty() {
		w.enter(pausing, w.pace.quiet)
	}
	w.schedule()
	return w, nil
}

// check finds what can be no path. One that leads through .. is one.
func check(path string) error {
	switch {
	case path == "":
		return errors.New("an empty path")
	case strings.IndexByte(path, 0) >= 0:
		return fmt.Errorf("%q: a NUL byte can be in no path", path)
	case path[0] != '/':
		return fmt.Errorf("%s: a path has to begin with a slash, as in /etc/app.conf", path)
	}
	return nil
}

func stopped() *time.Timer {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return timer
}

// Reports are the channel on which reports come. Those that nobody reads yet
// become one for each source, and none where the content is again what it was
// at the last one. The channel is never closed.
func (w *Watch) Reports() <-chan Report { return w.reports }

// Again has all sources looked at, for whoever knows that Paths answers
// differently now.
func (w *Watch) Again() {
	select {
	case w.again <- struct{}{}:
	default: // that it is to be done is known
	}
}

// Close ends Run, which closes what is open. It does not wait, since a file
// system may not answer.
func (w *Watch) Close() { w.once.Do(func() { close(w.closed) }) }

// Run watches until Close. It is called once, in a goroutine of its own.
func (w *Watch) Run() {
	defer w.timer.Stop()
	defer w.poll.Stop()
	defer func() { w.kernel.close() }()
	for {
		report, reports := w.next()
		events, lost := w.kernel.channels()
		if w.phase == pausing {
			events, lost = nil, nil
		}
		select {
		case <-w.closed:
			return
		case reports <- report:
			w.delivered(report)
		case event, ok := <-events:
			if w.happened(!ok || w.kernel.concerns(event, w.sources)); !ok {
				w.reopen()
			}
		case <-lost: // some events were, inotify(7), IN_Q_OVERFLOW, or all are
			w.reopen()
			w.happened(true)
		case <-w.again:
			w.all()
			w.happened(true)
		case <-w.timer.C:
			w.turn()
		case <-w.poll.C:
			w.polls()
		}
	}
}

// next is the report to be delivered; the channel is nil if there is none.
func (w *Watch) next() (Report, chan<- Report) {
	if len(w.errs) > 0 {
		return w.errs[0], w.reports
	}
	for _, s := range w.sources {
		if s.current != s.reported {
			return Report{Name: s.Name}, w.reports
		}
	}
	return Report{}, nil
}

func (w *Watch) delivered(r Report) {
	if r.Err != nil {
		w.errs = w.errs[1:]
		return
	}
	for _, s := range w.sources {
		if s.current != s.reported {
			s.reported = s.current
			return
		}
	}
}

// fail reports an error, once.
func (w *Watch) fail(name string, err error) {
	err = fmt.Errorf("watch %s: %w", name, err)
	if text := err.Error(); !w.said[text] && len(w.said) < maxErrors {
		w.said[text] = true
		w.errs = append(w.errs, Report{name, err})
	}
}

// happened takes note of an event.
func (w *Watch) happened(matters bool) {
	w.heard = true
	if matters {
		if w.fresh = true; w.deadline.IsZero() {
			w.deadline = time.Now().Add(w.pace.patience)
		}
	}
	if w.phase == idle {
		w.enter(pausing, w.pace.quiet)
	}
}

func (w *Watch) enter(p phase, d time.Duration) {
	w.phase = p
	if p == pausing {
		w.pause = d
	}
	w.timer.Reset(d)
}

// turn ends a phase.
//
// Events are read in turns, not one by one: two hundred updates are one look,
// what a program removes and makes anew was never gone, and a log that is
// written all the time beside a watched file, of which inotify cannot be told to
// be silent, costs a turn a second. If the queue overflows meanwhile, that is
// an event as well.
func (w *Watch) turn() {
	if w.phase == pausing {
		w.heard, w.fresh = false, false
		w.enter(listening, window)
		return
	}
	pause := w.pace.quiet
	switch {
	case !w.dirty():
		pause = min(2*w.pause, w.pace.noise)
	case !w.fresh || !time.Now().Before(w.deadline):
		w.deadline = time.Time{}
		for _, s := range w.sources {
			if s.dirty {
				w.update(s)
			}
		}
		w.schedule()
	}
	if w.heard || w.dirty() {
		w.enter(pausing, pause)
	} else {
		w.phase, w.pause = idle, w.pace.quiet
	}
}

func (w *Watch) dirty() bool {
	return slices.ContainsFunc(w.sources, func(s *source) bool { return s.dirty })
}

func (w *Watch) all() {
	for _, s := range w.sources {
		s.dirty = true
	}
}

// update takes a look whose result counts.
func (w *Watch) update(s *source) {
	sum, ok := w.look(s)
	if s.dirty = !ok; ok && sum != 0 {
		s.current = sum
	}
}

// polls looks at what the kernel does not tell of. What differs is left to
// settle, as after an event.
func (w *Watch) polls() {
	for _, s := range w.sources {
		if !s.polled || s.dirty {
			continue
		}
		sum, ok := w.look(s)
		s.dirty = s.dirty || !ok || sum != 0 && sum != s.current
	}
	if w.dirty() {
		w.happened(true)
	}
	w.polling = false
	w.schedule()
}

// schedule sees to it that there is a poll to come, if a source needs it.
func (w *Watch) schedule() {
	needed := slices.ContainsFunc(w.sources, func(s *source) bool { return s.polled })
	if needed && !w.polling {
		w.poll.Reset(w.pace.poll)
	} else if !needed {
		w.poll.Stop()
	}
	w.polling = needed
}

// open asks the kernel to tell of events.
func (w *Watch) open() {
	var err error
	if w.kernel, err = newNotifier(); err != nil {
		for _, s := range w.sources {
			w.fail(s.Name, err)
		}
	}
}

// reopen begins anew where it is not known any more what is watched.
func (w *Watch) reopen() {
	w.kernel.close()
	w.open()
	w.all()
}

// look returns a number that stands for the content of s, 0 if a file system
// did not give it. Whatever happens after what was looked at is told: all of it
// was watched before. It is not ok if there was no rest for that.
func (w *Watch) look(s *source) (sum uint64, ok bool) {
	for range attempts {
		l := newLook(s.files)
		for _, path := range s.Paths() {
			if err := l.source(path); err != nil {
				l.failed = err
				break
			}
		}
		intact := l.intact()
		s.points = l.points
		added, errs := w.kernel.watch(w.sources, s)
		if !intact || added {
			continue
		}
		s.files = l.kept
		s.polled = l.failed != nil || !w.kernel.covers(s.points)
		if l.failed != nil {
			l.errs = append(l.errs, l.failed)
		}
		for _, err := range append(errs, l.errs...) {
			w.fail(s.Name, err)
		}
		if l.failed != nil {
			return 0, true
		}
		return max(1, l.hash.Sum64()), true
	}
	return 0, false
}

// seed makes the sums of this process its own: nobody can make up files that
// collide.
var seed = maphash.MakeSeed()
