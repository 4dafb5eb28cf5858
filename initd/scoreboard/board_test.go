package scoreboard

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/scoreboard/layout"
	"server-starter/initd/scoreboard/reader"
)

func create(t testing.TB, path string, rows int) *Board {
	t.Helper()
	b, err := Create(path, rows)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// open opens a board as somebody else does.
func open(t testing.TB, b *Board) *reader.Reader {
	t.Helper()
	r, err := reader.Open(fmt.Sprintf("/proc/self/fd/%d", b.FD()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// write is what the worker of a row writes.
func write(b *Board, row int, activity, requests, busy uint64) {
	m := b.sizes.At(b.memory, row)
	m.Store(layout.Activity, activity)
	m.Store(layout.Requests, requests)
	m.Store(layout.BusyTime, busy)
}

// both are the two kinds of board.
func both(t *testing.T, test func(t *testing.T, path string)) {
	t.Run("memory", func(t *testing.T) { test(t, "") })
	t.Run("file", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "board")) })
}

func TestLife(t *testing.T) {
	both(t, func(t *testing.T, path string) {
		b := create(t, path, 3)
		reader := open(t, b)
		rows := map[int]bool{}
		for slot := range 3 {
			row, err := b.Claim(5, slot)
			if err != nil || rows[row] {
				t.Fatalf("claim %d: row %d, %v", slot, row, err)
			}
			rows[row] = true
			if r, ok := b.Read(row); !ok || r.PID != 0 || r.Generation != 5 || r.Slot != slot || r.State != Absent {
				t.Errorf("claimed: %+v, %v", r, ok)
			}
			b.Assign(row, 1000+slot)
		}
		if row, err := b.Claim(5, 3); row != NoRow || err == nil || err.Error() != "all 3 rows are in use" {
			t.Errorf("a fourth of three rows: %d, %v", row, err)
		}
		write(b, 1, layout.Pack(layout.Now(), 3), 41, 0)
		want := Row{PID: 1001, Generation: 5, Slot: 1, State: Busy, InFlight: 2, Requests: 41}
		check := func(who string, r Row, ok bool) {
			t.Helper()
			if r.For > r.Age || r.Age > time.Minute {
				t.Errorf("%s: times in %+v", who, r)
			}
			if r.For, r.Age = 0, 0; !ok || r != want {
				t.Errorf("%s: %+v, %v, want %+v", who, r, ok, want)
			}
		}
		r, ok := b.Read(1)
		check("initd", r, ok)
		seen := 0
		for i, r := range reader.Rows() {
			if seen++; i == 1 {
				check("a reader", r, true)
			}
		}
		if seen != 3 || reader.Len() != 3 || len(b.claims) != 3 || reader.PID() != os.Getpid() {
			t.Errorf("a reader sees %d rows of %d, made by %d", seen, reader.Len(), reader.PID())
		}

		b.Release(1)
		b.Release(1)
		b.Assign(1, 7) // of which nothing comes
		if r, ok := b.Read(1); ok {
			t.Errorf("released: %+v", r)
		}
		if r, ok := reader.Row(1); ok {
			t.Errorf("a reader of the released one: %+v", r)
		}
		if m := b.sizes.At(b.memory, 1); !zero(m[8:]) || m.Load(layout.Turn) != 2 {
			t.Errorf("released it has %x", m)
		}
		write(b, 1, layout.Pack(0, 9), 9, 9) // by something that the dead worker has left behind
		row, err := b.Claim(6, 1)
		if r, _ := b.Read(row); err != nil || row != 1 || r.State != Absent || r.Requests != 0 || r.Busy != 0 || r.Generation != 6 {
			t.Errorf("claimed anew: row %d, %v, %+v", row, err, r)
		}
		for _, row := range []int{-1, 3, math.MaxInt} {
			b.Release(row)
			b.Assign(row, 1)
			if _, ok := b.Read(row); ok {
				t.Errorf("row %d", row)
			}
			if _, ok := reader.Row(row); ok {
				t.Errorf("a reader's row %d", row)
			}
		}
	})
}

func zero(m []byte) bool { return len(bytes.Trim(m, "\x00")) == 0 }

// What a worker is handed is the board's own file, by which it finds its row.
func TestHand(t *testing.T) {
	both(t, func(t *testing.T, path string) {
		b := create(t, path, 2)
		b.Claim(1, 0)
		row, _ := b.Claim(1, 1)
		fd, environ, ok := b.Hand(row, 17)
		if want := []string{"SERVER_STARTER_SCOREBOARD=17", "SERVER_STARTER_SCOREBOARD_ROW=1"}; !ok || fd != b.FD() || !slices.Equal(environ, want) {
			t.Errorf("descriptor %d of %d, %q, %v; want %q", fd, b.FD(), environ, ok, want)
		}
		b.Release(row)
		for _, row := range []int{row, NoRow, 2} {
			if fd, environ, ok := b.Hand(row, 17); ok {
				t.Errorf("row %d: %d, %q", row, fd, environ)
			}
		}
	})
}

// Without a board no worker has a row, and that is no error.
func TestNoBoard(t *testing.T) {
	var b *Board
	row, err := b.Claim(1, 0)
	if row != NoRow || err != nil {
		t.Errorf("row %d, %v", row, err)
	}
	for _, row := range []int{NoRow, 0, 1} {
		b.Assign(row, 7)
		b.Release(row)
		if r, ok := b.Read(row); ok || r != (Row{}) {
			t.Errorf("row %d: %+v", row, r)
		}
		if fd, environ, ok := b.Hand(row, 3); ok {
			t.Errorf("row %d: %d, %q", row, fd, environ)
		}
	}
	if b.FD() != -1 || b.Close() != nil {
		t.Errorf("descriptor %d, %v", b.FD(), b.Close())
	}
}

// A row that is free for longer is taken first.
func TestTurns(t *testing.T) {
	b := create(t, "", 4)
	last := -1
	for range 10 {
		row, err := b.Claim(1, 0)
		if err != nil || row == last {
			t.Errorf("row %d, %v after row %d", row, err, last)
		}
		last = row
		b.Release(row)
	}
}

func TestRowsAreLimited(t *testing.T) {
	for _, rows := range []int{-1, 0, MaxRows + 1} {
		if b, err := Create("", rows); err == nil {
			b.Close()
			t.Errorf("%d rows", rows)
		}
	}
	b := create(t, "", MaxRows)
	if r := open(t, b); r.Len() != MaxRows {
		t.Errorf("%d rows", r.Len())
	}
	var stat unix.Stat_t
	if err := unix.Fstat(b.FD(), &stat); err != nil || stat.Blocks*512 > 1<<16 {
		t.Errorf("nothing is claimed, and %d bytes are used, %v", stat.Blocks*512, err)
	}
}

// Nobody can make the memory shorter, or it would be the end of PID 1.
func TestSealed(t *testing.T) {
	b := create(t, "", 1)
	for _, size := range []int64{0, 1 << 20} {
		if err := unix.Ftruncate(b.FD(), size); err != unix.EPERM {
			t.Errorf("ftruncate to %d: %v", size, err)
		}
	}
	if _, err := unix.FcntlInt(uintptr(b.FD()), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); err != unix.EPERM {
		t.Errorf("a seal: %v", err)
	}
	if !layout.Sealed(b.FD()) {
		t.Error("a worker does not see it")
	}
	if flags, err := unix.FcntlInt(uintptr(b.FD()), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("it is not close-on-exec: %v", err)
	}
}

// A worker can write anything anywhere. What initd relies on is its own.
func TestCorruptWorker(t *testing.T) {
	b := create(t, "", 2)
	reader := open(t, b)
	b.Claim(3, 1)
	b.Assign(0, 77)
	for _, fill := range []byte{0xff, 0x80, 0x7f, 0x01} {
		for i := range b.memory[layout.HeaderSize:] {
			b.memory[layout.HeaderSize+i] = fill
		}
		r, ok := b.Read(0)
		if !ok || r.PID != 77 || r.Generation != 3 || r.Slot != 1 {
			t.Errorf("%x: %+v, %v", fill, r, ok)
		}
		sane(t, r)
		if _, ok := b.Read(1); ok {
			t.Errorf("%x: a row that nobody has claimed", fill)
		}
		for _, r := range reader.Rows() {
			sane(t, r)
		}
	}
	clear(b.memory)
	b.Release(0)
	if row, err := b.Claim(4, 0); err != nil || row != 1 {
		t.Errorf("row %d, %v", row, err)
	}
	if m := b.sizes.At(b.memory, 1); m.Load(layout.Turn) != 1 || m.Load(layout.Generation) != 4 {
		t.Errorf("%x", m)
	}
}

func sane(t *testing.T, r Row) {
	t.Helper()
	if r.PID < 0 || r.Generation < 0 || r.Slot < 0 || r.Age < 0 || r.For < 0 || r.For > r.Age || r.Busy < 0 || r.Busy > r.Age ||
		r.Requests < 0 || r.InFlight < 0 || r.InFlight > layout.MaxLoad || (r.State == Busy) != (r.InFlight > 0) {
		t.Errorf("%+v", r)
	}
	_ = r.State.String()
}

func BenchmarkRead(b *testing.B) {
	board := create(b, "", 150)
	for slot := range 150 {
		board.Claim(1, slot)
	}
	b.ReportAllocs()
	for b.Loop() {
		for row := range 150 {
			board.Read(row)
		}
	}
}
