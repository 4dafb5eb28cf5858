package scoreboard

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
	"server-starter/initd/ownfile"
	"server-starter/initd/scoreboard/layout"
)

// MaxRows is how many rows a board can have.
const MaxRows = 1 << 16

// NoRow is the row of a worker that has none.
const NoRow = -1

// Row and State are what a worker reports, as layout has it.
type (
	Row   = layout.Row
	State = layout.State
)

// The states of a worker.
const (
	Absent = layout.Absent
	Idle   = layout.Idle
	Busy   = layout.Busy
)

// Board is a scoreboard that this process has made. It is for one goroutine.
//
// A nil *Board is none: no worker gets a row, and nothing can be read.
type Board struct {
	path   string // empty: in memory alone
	fd     int
	memory layout.Memory
	sizes  layout.Sizes
	claims []claim // by row; what the board has of it is for others
	next   int     // where to look for a free row
	err    error
}

// claim is what initd relies on about a row.
type claim struct {
	pid, generation, slot int
	started               time.Duration
	turn                  uint64 // odd: taken
}

func (c *claim) taken() bool { return c.turn%2 == 1 }

// Create makes a board with so many rows, for as many live workers.
//
// Without a path it is anonymous memory, memfd_create(2), and sealed: nobody can make
// it shorter while others have it mapped.
//
// With a path it is a file of mode 0644 that others can map, too. A scoreboard that
// another initd has left there is replaced, which does not disturb those that still use
// it; a file that is no scoreboard is left alone, and an error. All its space is
// allocated, so that a full disk is an error here and not a SIGBUS later. A file can
// still be made shorter by whoever can write to it: then the board is lost, so that no
// row is claimed and none can be read, and nothing else happens.
func Create(path string, rows int) (*Board, error) {
	if rows < 1 || rows > MaxRows {
		return nil, fmt.Errorf("create scoreboard: %d rows: expected 1 to %d", rows, MaxRows)
	}
	b := &Board{
		path:   path,
		sizes:  layout.Sizes{Header: layout.HeaderSize, Row: layout.RowSize, Rows: rows},
		claims: make([]claim, rows),
	}
	err := b.create()
	if err != nil {
		return nil, fmt.Errorf("create scoreboard: %w", err)
	}
	return b, nil
}

func (b *Board) create() (err error) {
	if b.path == "" {
		if b.fd, err = newMemory(b.sizes.Total()); err != nil {
			return err
		}
		if err = b.begin(); err != nil {
			unix.Close(b.fd)
		}
		return err
	}
	recognise := func(r io.Reader) bool {
		magic := make([]byte, len(layout.Magic))
		io.ReadFull(r, magic)
		return string(magic) == layout.Magic
	}
	if err := ownfile.Check(b.path, "scoreboard", recognise); err != nil {
		return err
	}
	file, err := ownfile.Create(b.path, 0o644)
	if err != nil {
		return err
	}
	b.fd = file.FD
	if err = fill(file, b.sizes.Total()); err == nil {
		if err = b.begin(); err == nil {
			if err = file.Rename(); err == nil {
				return nil
			}
			b.unmap()
		}
	}
	file.Remove()
	unix.Close(b.fd)
	return err
}

// newMemory makes an anonymous file of this size for good.
func newMemory(size int) (fd int, err error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err = unix.MemfdCreate("scoreboard", flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3, which may insist on it: vm.memfd_noexec
		fd, err = unix.MemfdCreate("scoreboard", flags)
	}
	if err != nil {
		return 0, os.NewSyscallError("memfd_create", err)
	}
	if err = unix.Ftruncate(fd, int64(size)); err != nil {
		err = os.NewSyscallError("ftruncate", err)
	} else if _, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		err = os.NewSyscallError("fcntl F_ADD_SEALS", err)
	}
	if err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// fill gives a file its mode, whatever the umask, and its size, with all its space.
func fill(file *ownfile.Temporary, size int) error {
	if err := unix.Fchmod(file.FD, 0o644); err != nil {
		return &os.PathError{Op: "chmod", Path: file.Name(), Err: err}
	}
	err := eintr.Retry(func() error { return unix.Fallocate(file.FD, 0, 0, int64(size)) })
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS { // NFS before 4.2 for one
		var n int
		if n, err = unix.Pwrite(file.FD, make([]byte, size), 0); err == nil && n < size {
			err = unix.ENOSPC
		}
	}
	if err != nil {
		return &os.PathError{Op: "allocate", Path: file.Name(), Err: err}
	}
	return nil
}

// begin maps the board and writes its header.
func (b *Board) begin() error {
	memory, err := unix.Mmap(b.fd, 0, b.sizes.Total(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	b.memory = memory
	if b.guard(func() {
		for at, value := range map[int]uint64{
			layout.AtVersion: layout.Version,
			layout.AtHeader:  uint64(b.sizes.Header),
			layout.AtRow:     uint64(b.sizes.Row),
			layout.AtRows:    uint64(b.sizes.Rows),
			layout.AtPID:     uint64(os.Getpid()),
			layout.AtClock:   layout.Clock,
			layout.AtCreated: milliseconds(layout.Now()),
			layout.AtWall:    uint64(time.Now().UnixMilli()),
		} {
			b.memory.Store(at, value)
		}
		copy(b.memory, layout.Magic)
	}); b.err != nil {
		b.unmap()
	}
	return b.err
}

func milliseconds(d time.Duration) uint64 { return uint64(d / time.Millisecond) }

// guard calls f, which touches the memory. If that is gone it is lost for good.
func (b *Board) guard(f func()) (ok bool) {
	if b.err == nil && !layout.Guard(f) {
		b.err = layout.ErrGone
		if b.path != "" {
			b.err = fmt.Errorf("scoreboard %s: %w", b.path, b.err)
		}
	}
	return b.err == nil
}

// FD is the descriptor of the board's file, -1 if there is no board. It is
// close-on-exec and stays the Board's; for workers see Hand.
func (b *Board) FD() int {
	if b == nil {
		return -1
	}
	return b.fd
}

// Claim takes a free row for a worker that is about to be forked. If there is a
// board and the worker gets no row, it returns NoRow and why: all rows are taken, or
// the board is lost. The worker can do without.
func (b *Board) Claim(generation, slot int) (row int, err error) {
	if b == nil {
		return NoRow, nil
	}
	if row, err = b.free(); err != nil {
		return NoRow, err
	}
	c := &b.claims[row]
	*c = claim{generation: generation, slot: slot, started: layout.Now(), turn: c.turn + 1}
	if !b.guard(func() {
		m := b.sizes.At(b.memory, row)
		wipe(m) // a process that the last worker has left behind may have written since
		m.Store(layout.Generation, uint64(generation))
		m.Store(layout.Slot, uint64(slot))
		m.Store(layout.Started, milliseconds(c.started))
		m.Store(layout.Turn, c.turn)
	}) {
		return NoRow, b.err
	}
	return row, nil
}

// free finds a free row, the one that has been free for longest or nearly so: what a
// dead worker has left behind may still write to its own.
func (b *Board) free() (row int, err error) {
	if b.err != nil {
		return NoRow, b.err
	}
	for range b.claims {
		row = b.next
		b.next = (b.next + 1) % len(b.claims)
		if !b.claims[row].taken() {
			return row, nil
		}
	}
	return NoRow, fmt.Errorf("all %d rows are in use", len(b.claims))
}

// Hand returns what a worker needs to find its row: the descriptor that it has to
// inherit, under number, and the environment, as K=V, that names the two. Ok is false
// for a row that nobody has claimed.
func (b *Board) Hand(row, number int) (fd int, environ []string, ok bool) {
	if !b.claimed(row) {
		return -1, nil, false
	}
	return b.fd, []string{
		"SERVER_STARTER_SCOREBOARD=" + strconv.Itoa(number),
		"SERVER_STARTER_SCOREBOARD_ROW=" + strconv.Itoa(row),
	}, true
}

// Assign records which worker has a claimed row.
func (b *Board) Assign(row, pid int) {
	if !b.claimed(row) {
		return
	}
	b.claims[row].pid = pid
	b.guard(func() { b.sizes.At(b.memory, row).Store(layout.PID, uint64(pid)) })
}

// Release frees the row of a worker that was reaped, or could not be forked.
func (b *Board) Release(row int) {
	if !b.claimed(row) {
		return
	}
	c := &b.claims[row]
	*c = claim{turn: c.turn + 1}
	b.guard(func() {
		m := b.sizes.At(b.memory, row)
		m.Store(layout.Turn, c.turn) // first: who reads the rest knows that it is no worker's
		wipe(m)
	})
}

// wipe clears a row but for its turn, in order: clear might do so sooner than is written.
func wipe(row layout.Memory) {
	for at := layout.Turn + 8; at < len(row); at += 8 {
		row.Store(at, 0)
	}
}

func (b *Board) claimed(row int) bool {
	return b != nil && row >= 0 && row < len(b.claims) && b.claims[row].taken()
}

// Read returns what is known of a row's worker: who it is from initd's own memory, and
// what it has written about itself as far as that can be true. Each word is whole,
// whenever its writer died. Ok is false for a row that nobody has claimed, and when
// the board is lost.
func (b *Board) Read(row int) (r Row, ok bool) {
	if !b.claimed(row) {
		return Row{}, false
	}
	c, now := b.claims[row], layout.Now()
	r = Row{PID: c.pid, Generation: c.generation, Slot: c.slot, Age: now - c.started}
	if !b.guard(func() { r.Take(b.sizes.At(b.memory, row), now) }) {
		return Row{}, false
	}
	return r, true
}

// Close unmaps the board, and removes its file if that is still the one at its path.
// Workers keep what they have mapped.
func (b *Board) Close() error {
	if b == nil {
		return nil
	}
	var err error
	if b.path != "" {
		err = b.remove()
	}
	b.unmap()
	unix.Close(b.fd)
	b.err = errors.New("closed")
	return err
}

func (b *Board) unmap() { unix.Munmap(b.memory) }

func (b *Board) remove() error {
	ours, err := ownfile.Held(b.fd)
	if err != nil {
		return err
	}
	return ours.Remove(b.path)
}
