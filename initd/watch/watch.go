package watch

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"
)

// Source is what is watched under one name.
type Source struct {
	Name string // as the user gave it

	// Paths returns absolute paths. It is called before each look, by Run's
	// goroutine. Those that exist count, in this order. For a command in PATH they
	// are all places up to the one where it is found.
	Paths func() []string
}

// Report is that the content of a source has changed, or, if Err is not nil, why it
// cannot be watched as it should. Each error is reported once, and what failed is
// tried again. Its text begins with «watch NAME: ».
type Report struct {
	Name string
	Err  error
}

// Watch watches sources.
type Watch struct {
	pace    pace
	sources []*source
	kernel  *notifier // nil: inotify cannot be used, and everything is polled
	reports chan Report
	errs    []Report        // not yet delivered
	failed  map[string]bool // texts of errors that were reported

	phase    phase
	timer    *time.Timer   // ends a phase
	poll     *time.Timer   // for the next poll
	polling  bool          // it runs
	pause    time.Duration // of the last pausing
	event    bool          // one came while listening
	fresh    bool          // one that matters to a source
	deadline time.Time     // when to look even so
}

// source is what is known of a Source.
type source struct {
	Source
	current  uint64 // content when last looked at; 0: unknown
	reported uint64 // content as the reader of reports knows it
	points   map[inode]*point
	files    map[string]*file
	sums     map[string]uint64 // of what is in directories, by path
	dirty    bool              // something has happened
	polled   bool              // inotify does not cover all of it
}

// pace is how long things take.
type pace struct {
	quiet   time.Duration // without an event, before a look
	longest time.Duration // after which there is a look in spite of events
	noise   time.Duration // at most, between two readings of events that do not matter
	poll    time.Duration // between two looks at what inotify does not cover
}

var usual = pace{quiet: 100 * time.Millisecond, longest: time.Second, noise: time.Second, poll: 5 * time.Second}

// A phase is what is done with the kernel's events.
type phase int

const (
	idle      phase = iota // wait for the next one
	pausing                // let them gather: the kernel merges equal ones
	listening              // read them
)

const (
	window    = 5 * time.Millisecond // of listening
	attempts  = 50                   // to look at something that changes during the look
	maxErrors = 64                   // are reported, of all sources together
)

// New starts to watch sources. Changes are those against the content that they have
// when it returns. The error is that a source has an invalid path; what does not exist
// is no error, and what cannot be read is reported.
func New(sources []Source) (*Watch, error) { return start(sources, usual) }

func start(sources []Source, pace pace) (*Watch, error) {
	w := &Watch{
		pace:    pace,
		reports: make(chan Report),
		failed:  map[string]bool{},
		timer:   stopped(),
		poll:    stopped(),
		pause:   pace.quiet,
	}
	for _, s := range sources {
		paths := s.Paths()
		if len(paths) == 0 {
			return nil, fmt.Errorf("watch %s: no file to watch", s.Name)
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

// check returns an error for an invalid path. A path may lead through .. .
func check(path string) error {
	switch {
	case path == "":
		return errors.New("an empty path")
	case strings.IndexByte(path, 0) >= 0:
		return fmt.Errorf("%q: a path cannot contain a NUL byte", path)
	case path[0] != '/':
		return fmt.Errorf("%s: a path must start with a slash, as in /etc/app.conf", path)
	}
	return nil
}

func stopped() *time.Timer {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return timer
}

// Reports returns the channel on which reports come. Until one is received, all changes
// of a source are one report, which is dropped if the content becomes again what it was
// at the last report. The channel is never closed.
func (w *Watch) Reports() <-chan Report { return w.reports }

// Run watches until ctx is done, and closes what is open. It is called once, in a
// goroutine of its own: a file system may not answer.
func (w *Watch) Run(ctx context.Context) {
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
		case <-ctx.Done():
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

// fail reports an error, unless it was reported before.
func (w *Watch) fail(name string, err error) {
	err = fmt.Errorf("watch %s: %w", name, err)
	if text := err.Error(); !w.failed[text] && len(w.failed) < maxErrors {
		w.failed[text] = true
		w.errs = append(w.errs, Report{name, err})
	}
}

// happened notes an event.
func (w *Watch) happened(matters bool) {
	w.event = true
	if matters {
		if w.fresh = true; w.deadline.IsZero() {
			w.deadline = time.Now().Add(w.pace.longest)
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
// Events are read together, not one by one: two hundred updates are one look, what a
// program removes and makes again was never gone, and a log beside a watched file,
// whose events inotify cannot leave out, costs one reading a second however much is
// written to it. If the queue overflows meanwhile, that is an event, too.
func (w *Watch) turn() {
	if w.phase == pausing {
		w.event, w.fresh = false, false
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
	if w.event || w.dirty() {
		w.enter(pausing, pause)
	} else {
		w.phase, w.pause = idle, w.pace.quiet
	}
}

func (w *Watch) dirty() bool {
	return slices.ContainsFunc(w.sources, func(s *source) bool { return s.dirty })
}

// update looks at a source and records what it finds.
func (w *Watch) update(s *source) {
	sum, ok := w.look(s)
	if s.dirty = !ok; ok && sum != 0 {
		s.current = sum
	}
}

// polls looks at the sources that inotify does not cover. If one has changed, there is
// another look when nothing more happens, as after an event.
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

// schedule starts the timer for the next poll if a source needs it.
func (w *Watch) schedule() {
	needed := slices.ContainsFunc(w.sources, func(s *source) bool { return s.polled })
	if needed && !w.polling {
		w.poll.Reset(w.pace.poll)
	} else if !needed {
		w.poll.Stop()
	}
	w.polling = needed
}

// open starts inotify.
func (w *Watch) open() {
	var err error
	if w.kernel, err = newNotifier(); err != nil {
		for _, s := range w.sources {
			w.fail(s.Name, err)
		}
	}
}

// reopen starts anew when events were lost, so that it is not known what is watched.
func (w *Watch) reopen() {
	w.kernel.close()
	w.open()
	for _, s := range w.sources {
		s.dirty = true
	}
}

// look returns a hash of the content of s, 0 if a file system failed. Everything was
// being watched before it was looked at, so that later changes bring an event. It is
// not ok if the files changed during all attempts.
func (w *Watch) look(s *source) (sum uint64, ok bool) {
	for range attempts {
		l := newLook(s.files)
		l.before = s.sums
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
		s.files, s.sums = l.kept, l.sums
		s.polled = l.failed != nil || l.parts || !w.kernel.covers(s.points)
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

// seed makes the hashes of this process its own: nobody can construct files that
// collide.
var seed = maphash.MakeSeed()
