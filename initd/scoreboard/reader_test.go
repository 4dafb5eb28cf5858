package scoreboard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"server-starter/initd/scoreboard/layout"
	"server-starter/initd/scoreboard/reader"
)

// A reader never sees one worker's words beside another's.
func TestHandsChange(t *testing.T) {
	b := create(t, "", 1)
	reader := open(t, b)
	done := make(chan struct{})
	var owner sync.WaitGroup
	owner.Go(func() {
		defer close(done)
		for n := 1; n <= 20_000; n++ {
			row, _ := b.Claim(n, n)
			b.Assign(row, n)
			write(b, row, layout.Pack(layout.Now(), 1), uint64(n), 0)
			b.Release(row)
		}
	})
	defer owner.Wait()
	for seen := 0; ; {
		select {
		case <-done:
			t.Logf("seen %d times", seen)
			return
		default:
		}
		r, ok := reader.Row(0)
		if !ok {
			continue
		}
		seen++
		if r.Generation != r.Slot || r.PID != 0 && r.PID != r.Slot || r.Requests != 0 && r.Requests != r.Slot {
			t.Fatalf("%+v", r)
		}
	}
}

// header is a board of one row, to be spoilt.
func header() layout.Memory {
	m := layout.Memory(make([]byte, layout.HeaderSize+layout.RowSize))
	copy(m, layout.Magic)
	m.Store(layout.AtVersion, layout.Version)
	m.Store(layout.AtHeader, layout.HeaderSize)
	m.Store(layout.AtRow, layout.RowSize)
	m.Store(layout.AtRows, 1)
	m.Store(layout.AtClock, layout.Clock)
	return m
}

func TestOpenErrors(t *testing.T) {
	swapped := make([]byte, 8)
	binary.BigEndian.PutUint64(swapped, layout.Version)
	if binary.NativeEndian.Uint64(swapped) == layout.Version {
		binary.LittleEndian.PutUint64(swapped, layout.Version)
	}
	set := func(at int, value uint64) func(layout.Memory) layout.Memory {
		return func(m layout.Memory) layout.Memory { m.Store(at, value); return m }
	}
	for _, test := range []struct {
		name  string
		spoil func(layout.Memory) layout.Memory
		want  string // empty: none
	}{
		{"sound", func(m layout.Memory) layout.Memory { return m }, ""},
		{"longer", func(m layout.Memory) layout.Memory { return append(m, 1) }, ""},
		{"magic", func(m layout.Memory) layout.Memory { m[0]++; return m }, `does not begin with "scorebrd"`},
		{"empty", func(m layout.Memory) layout.Memory { return nil }, `does not begin with "scorebrd"`},
		{"short text", func(m layout.Memory) layout.Memory { return m[:4] }, `does not begin with "scorebrd"`},
		{"only a magic", func(m layout.Memory) layout.Memory { return m[:8] }, "truncated"},
		{"only a header", func(m layout.Memory) layout.Memory { return m[:layout.HeaderSize] }, "truncated: it has 128 bytes, not the 256 of 1 rows"},
		{"version", set(layout.AtVersion, 2), "version 2: this program supports version 1"},
		{"other machine", func(m layout.Memory) layout.Memory { copy(m[layout.AtVersion:], swapped); return m }, "another byte order"},
		{"no rows", set(layout.AtRows, 0), "corrupt"},
		{"too many rows", set(layout.AtRows, 2), "truncated"},
		{"overflow", set(layout.AtRows, 1<<57), "corrupt"},
		{"crooked rows", set(layout.AtRow, 129), "corrupt"},
		{"small rows", set(layout.AtRow, 64), "corrupt"},
		{"large rows", set(layout.AtRow, 1<<63), "corrupt"},
		{"small header", set(layout.AtHeader, 0), "corrupt"},
		{"clock", set(layout.AtClock, 0), "times are of clock 0"},
	} {
		path := filepath.Join(t.TempDir(), "board")
		if err := os.WriteFile(path, test.spoil(header()), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := reader.Open(path)
		switch {
		case err == nil:
			r.Close()
			if test.want != "" {
				t.Errorf("%s: it opens", test.name)
			}
		case test.want == "" || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "open scoreboard "+path):
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if _, err := reader.Open(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(header()))
	f.Add([]byte(layout.Magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		fd, err := unix.MemfdCreate("board", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if n, err := unix.Write(fd, data); n != len(data) || err != nil {
			t.Fatal(n, err)
		}
		r, err := reader.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			return
		}
		defer r.Close()
		r.PID()
		for _, row := range r.Rows() {
			sane(t, row)
		}
	})
}

func FuzzRow(f *testing.F) {
	b := create(f, "", 1)
	reader := open(f, b)
	b.Claim(3, 1)
	b.Assign(0, 77)
	f.Add(bytes.Repeat([]byte{0xff}, layout.RowSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		copy(b.memory[layout.HeaderSize:], data)
		r, ok := b.Read(0)
		if !ok || r.PID != 77 || r.Generation != 3 || r.Slot != 1 {
			t.Errorf("%+v, %v", r, ok)
		}
		sane(t, r)
		if r, ok := reader.Row(0); ok {
			sane(t, r)
		}
	})
}
