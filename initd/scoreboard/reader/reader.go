// Package reader reads a scoreboard, in any process that may open its file. It is a
// library for programs beside initd, and for tests: initd itself reads its own
// [server-starter/initd/scoreboard.Board].
package reader

import (
	"fmt"
	"iter"
	"math"
	"syscall"
	"time"

	"server-starter/initd/scoreboard/layout"
)

// Reader is a scoreboard that this process may read.
type Reader struct {
	memory layout.Memory
	sizes  layout.Sizes
	mapped bool
}

// Open opens a scoreboard by the path of its file, or by /proc/PID/fd/N if it has none or
// is open in this process. The error is why the file is no scoreboard, or none that this
// program can read.
func Open(path string) (*Reader, error) {
	fail := func(err error) (*Reader, error) { return nil, fmt.Errorf("open scoreboard %s: %w", path, err) }
	// O_NONBLOCK is for a FIFO, which would wait for a writer.
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return fail(err)
	}
	defer syscall.Close(fd)
	memory, sizes, err := layout.Map(fd, syscall.PROT_READ)
	if err != nil {
		return fail(err)
	}
	return &Reader{memory, sizes, true}, nil
}

// Close unmaps it.
func (r *Reader) Close() error {
	if !r.mapped {
		return nil
	}
	r.mapped = false
	return syscall.Munmap(r.memory)
}

// PID is the pid of the initd whose board it is, in the pid namespace of that initd.
func (r *Reader) PID() (pid int) {
	layout.Guard(func() { pid = number(r.memory.Load(layout.AtPID)) })
	return pid
}

// Len is how many rows there are, including free ones.
func (r *Reader) Len() int { return r.sizes.Rows }

// tries is how often a row may change hands while it is read.
const tries = 8

// Row reads one row, from 0 up. Ok is false if it is free, if it changes hands faster than
// it can be read, and if the file has been made shorter.
//
// A worker that has corrupted the board can put anything into a row, but even then no
// number is negative, and no duration longer than Age.
func (r *Reader) Row(row int) (w layout.Row, ok bool) {
	if row < 0 || row >= r.sizes.Rows {
		return layout.Row{}, false
	}
	there := layout.Guard(func() {
		m := r.sizes.At(r.memory, row)
		for range tries {
			turn := m.Load(layout.Turn)
			if turn%2 == 0 {
				return
			}
			now := layout.Now()
			w = layout.Row{
				PID:        number(m.Load(layout.PID)),
				Generation: number(m.Load(layout.Generation)),
				Slot:       number(m.Load(layout.Slot)),
				Age:        max(0, now-duration(m.Load(layout.Started))),
			}
			w.Take(m, now)
			if ok = m.Load(layout.Turn) == turn; ok {
				return
			}
		}
	})
	if !there || !ok {
		return layout.Row{}, false
	}
	return w, true
}

// Rows yields the rows that are taken, with their numbers.
func (r *Reader) Rows() iter.Seq2[int, layout.Row] {
	return func(yield func(int, layout.Row) bool) {
		for i := range r.sizes.Rows {
			if row, ok := r.Row(i); ok && !yield(i, row) {
				return
			}
		}
	}
}

// number is a word as an int, pids and the like.
func number(word uint64) int { return int(min(word, math.MaxInt32)) }

// duration is a word of milliseconds.
func duration(word uint64) time.Duration {
	return time.Duration(min(word, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
}
