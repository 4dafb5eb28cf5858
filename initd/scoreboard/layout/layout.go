// Package layout is the layout of the scoreboard, which docs/SCOREBOARD.md
// describes for any language: shared memory in which each worker reports, by plain
// stores, whether it is idle or busy. It needs only the standard library, because
// workers link it.
//
// Every word has 8 bytes in the order of the machine, is aligned, and is written
// whole, so that nobody ever sees half of one. A line of 64 bytes has one writer.
package layout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	Magic      = "scorebrd" // what a scoreboard begins with
	Version    = 1
	HeaderSize = 128 // bytes
	RowSize    = 128 // bytes: a line of initd's and one of the worker's
	Line       = 64  // bytes

	// Clock is CLOCK_MONOTONIC as clock_gettime(2) numbers it.
	Clock = 1

	maxRows = 1 << 20
)

// The words of the header, by their offsets in bytes. Initd writes them once.
const (
	_         = 8 * iota // the magic
	AtVersion            // Version
	AtHeader             // bytes of the header: where the first row begins
	AtRow                // bytes of a row
	AtRows               // how many rows there are
	AtPID                // initd's pid, as initd knows it
	AtClock              // Clock
	AtCreated            // when it was made: ms of Clock
	AtWall               // the same moment in ms since 1970, CLOCK_REALTIME
)

// The words of a row that initd writes, by their offsets in it.
const (
	Turn       = 8 * iota // odd: taken; one more with each claim and each release
	PID                   // the worker's pid as initd knows it; 0 until it is forked
	Generation            // 1, 2, 3 …
	Slot                  // 0, 1 …
	Started               // when the row was claimed, just before the fork: ms of Clock
)

// The words of a row that its worker writes.
const (
	Activity = Line + 8*iota // since when and how busy: see Pack
	Requests                 // how many are finished
	BusyTime                 // for how long, in all, it has been busy until it was idle again: µs
)

// LoadBits are what the load has of an activity; the rest is milliseconds.
const LoadBits = 24

// MaxLoad is the greatest load there can be.
const MaxLoad = 1<<LoadBits - 1

// Pack makes an activity: since when the worker is idle or busy, and its load, which
// is 0 if it reports nothing, 1 if it is idle, and n+1 if it is busy with n requests.
func Pack(since time.Duration, load uint64) uint64 {
	return uint64(since/time.Millisecond)<<LoadBits | load
}

// Unpack takes an activity apart.
func Unpack(activity uint64) (since time.Duration, load uint64) {
	return time.Duration(activity>>LoadBits) * time.Millisecond, activity & MaxLoad
}

// Memory is a scoreboard, or a row of it. It is aligned to 8 bytes.
type Memory []byte

// Word is the word at an offset.
func (m Memory) Word(at int) *uint64 {
	_ = m[at+7]
	return (*uint64)(unsafe.Pointer(&m[at]))
}

// Load reads a word.
func (m Memory) Load(at int) uint64 { return atomic.LoadUint64(m.Word(at)) }

// Store writes a word.
func (m Memory) Store(at int, value uint64) { atomic.StoreUint64(m.Word(at), value) }

// Sizes are the sizes that a header has: the header's and a row's in bytes, and how many
// rows there are.
type Sizes struct{ Header, Row, Rows int }

// Total is how many bytes there are in all.
func (s Sizes) Total() int { return s.Header + s.Rows*s.Row }

// At is a row of a scoreboard.
func (s Sizes) At(m Memory, row int) Memory {
	from := s.Header + row*s.Row
	return m[from : from+s.Row : from+s.Row]
}

// Check reads the header of what may be a scoreboard. The error is why it is none.
func Check(m Memory) (s Sizes, err error) {
	switch {
	case len(m) < len(Magic) || string(m[:len(Magic)]) != Magic:
		return s, fmt.Errorf("not a scoreboard: it does not begin with %q", Magic)
	case len(m) < HeaderSize:
		return s, fmt.Errorf("truncated: it has %d bytes, less than a header", len(m))
	}
	version := m.Load(AtVersion)
	var swapped [8]byte
	binary.NativeEndian.PutUint64(swapped[:], version)
	switch {
	case version == Version:
	case reverse(swapped) == Version:
		return s, errors.New("written on a machine with another byte order")
	default:
		return s, fmt.Errorf("version %d: this program supports version %d", version, Version)
	}
	header, row, rows := m.Load(AtHeader), m.Load(AtRow), m.Load(AtRows)
	switch {
	case header < HeaderSize || header > 1<<20 || header%Line != 0,
		row < RowSize || row > 1<<20 || row%Line != 0,
		rows < 1 || rows > maxRows:
		return s, fmt.Errorf("corrupt: %d rows of %d bytes after a header of %d", rows, row, header)
	case header+rows*row > uint64(len(m)):
		return s, fmt.Errorf("truncated: it has %d bytes, not the %d of %d rows", len(m), header+rows*row, rows)
	case m.Load(AtClock) != Clock:
		return s, fmt.Errorf("times are of clock %d: this program supports CLOCK_MONOTONIC, %d", m.Load(AtClock), Clock)
	}
	return Sizes{int(header), int(row), int(rows)}, nil
}

// reverse reads a word the wrong way round.
func reverse(b [8]byte) (n uint64) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return binary.BigEndian.Uint64(b[:])
	}
	return binary.LittleEndian.Uint64(b[:])
}
