package worker

import (
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"server-starter/initd/scoreboard/layout"
)

// Busy reports that the worker begins with a request, whatever that is in its case. Idle
// reports that it has finished one. Each Busy needs its Idle, which is best deferred, or
// see [Request]; while at least one request is under way the worker is busy.
//
// Both are safe for any number of goroutines, make no system call, and do nothing if the
// worker has no row of a scoreboard.
func Busy() {
	if s := joined(); s != nil {
		s.write(s.begin)
	}
}

// Idle reports that the worker has finished a request that began with Busy. The first
// one, before any Busy, reports that it waits for its first request: until then initd
// cannot know that the worker reports anything, and finds out otherwise whether it is
// busy.
func Idle() {
	if s := joined(); s != nil {
		s.write(s.end)
	}
}

// Request is Busy, and returns Idle, which is to be called once:
//
//	defer worker.Request()()
func Request() (done func()) {
	Busy()
	return Idle
}

// score is the worker's own line of the scoreboard. Docs/SCOREBOARD.md has the rules.
type score struct {
	activity, requests, busy *uint64 // the words of the row

	since  atomic.Int64 // when the worker became busy: ns of the clock, more exact than in the row
	sealed bool         // nobody can make the file shorter,
	gone   atomic.Bool  // or somebody has

	begin, end, attend func() // the methods of these names, made once: a method value is an allocation
}

// joined takes over the worker's row, once; nil if there is none.
var joined = sync.OnceValue(join)

func join() *score {
	fd, failure := strconv.ParseUint(os.Getenv("SERVER_STARTER_SCOREBOARD"), 10, 31)
	row, err := strconv.ParseUint(os.Getenv("SERVER_STARTER_SCOREBOARD_ROW"), 10, 31)
	if failure != nil || err != nil {
		return nil
	}
	// Neither the file nor the word of it is for programs that this one starts.
	os.Unsetenv("SERVER_STARTER_SCOREBOARD")
	os.Unsetenv("SERVER_STARTER_SCOREBOARD_ROW")
	sealed := layout.Sealed(int(fd))
	memory, sizes, err := layout.Map(int(fd), syscall.PROT_READ|syscall.PROT_WRITE)
	if err != nil {
		return nil // and the number is left alone: it may be someone else's in this process
	}
	syscall.Close(int(fd))
	if int(row) >= sizes.Rows {
		syscall.Munmap(memory)
		return nil
	}
	mine := sizes.At(memory, int(row))
	s := &score{
		activity: mine.Word(layout.Activity), requests: mine.Word(layout.Requests), busy: mine.Word(layout.BusyTime),
		sealed: sealed,
	}
	s.begin, s.end, s.attend = s.beginOne, s.endOne, s.takePart
	return s
}

// write calls one of those that write to the row.
func (s *score) write(f func()) {
	if s.sealed {
		f()
	} else if !s.gone.Load() && !layout.Guard(f) {
		s.gone.Store(true)
	}
}

func (s *score) beginOne() {
	for {
		old := atomic.LoadUint64(s.activity)
		switch load := old & layout.MaxLoad; {
		case load <= 1:
			now := layout.Now()
			if atomic.CompareAndSwapUint64(s.activity, old, layout.Pack(now, 2)) {
				// It cannot be idle again before this one has ended.
				s.since.Store(int64(now))
				return
			}
		case load == layout.MaxLoad: // as many as can be counted
			return
		default:
			if atomic.CompareAndSwapUint64(s.activity, old, old+1) {
				return
			}
		}
	}
}

func (s *score) endOne() {
	if atomic.LoadUint64(s.activity)&layout.MaxLoad < 2 { // nothing was begun
		s.takePart()
		return
	}
	atomic.AddUint64(s.requests, 1) // first: who sees it idle sees it counted
	for {
		old := atomic.LoadUint64(s.activity)
		switch load := old & layout.MaxLoad; {
		case load < 2:
			return
		case load > 2:
			if atomic.CompareAndSwapUint64(s.activity, old, old-1) {
				return
			}
		default:
			now, since := layout.Now(), time.Duration(s.since.Load())
			if atomic.CompareAndSwapUint64(s.activity, old, layout.Pack(now, 1)) {
				atomic.AddUint64(s.busy, uint64((now-since)/time.Microsecond))
				return
			}
		}
	}
}

// takePart reports that the worker is idle, unless it has reported anything before.
func (s *score) takePart() {
	if atomic.LoadUint64(s.activity)&layout.MaxLoad == 0 {
		atomic.CompareAndSwapUint64(s.activity, 0, layout.Pack(layout.Now(), 1))
	}
}

// takePart reports that the worker is idle, unless it has reported anything before, and
// returns whether there is a scoreboard.
func takePart() bool {
	s := joined()
	if s != nil {
		s.write(s.attend)
	}
	return s != nil
}
