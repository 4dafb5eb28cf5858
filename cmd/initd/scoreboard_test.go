package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"server-starter/initd/scoreboard/reader"
)

// boardRows are what a scoreboard says of its workers, in the order of their rows: generation, slot, pid, state.
func boardRows(t *testing.T, path string) (all []string) {
	t.Helper()
	board, err := reader.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer board.Close()
	for _, row := range board.Rows() {
		all = append(all, fmt.Sprint(row.Generation, " ", row.Slot, " ", row.PID, " ", row.State, " ", row.Requests))
	}
	return all
}

// TestScoreboardFile: it is there while initd runs, for everyone to read.
func TestScoreboardFile(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		dir := t.TempDir()
		path := dir + "/board"
		d, s, all := pool(t, as, 2, nil, "scoreboard="+path, "umask=077")
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o644 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		all[0].do("idle")
		all[1].do("requests", "3")
		all[1].do("busy")
		want := fmt.Sprintf("[1 0 %d idle 0 1 1 %d busy 3]", all[0].PID, all[1].PID)
		if got := fmt.Sprint(boardRows(t, path)); got != want {
			t.Errorf("it says %s, not %s", got, want)
		}
		d.swap()
		next := s.pool(2, 0, 1)
		if n := len(boardRows(t, path)); n != 4 {
			t.Errorf("during a swap it has %d rows", n)
		}
		makeReady(next)
		d.is("gone", 1)
		if n := len(boardRows(t, path)); n != 2 {
			t.Errorf("after a swap it has %d rows", n)
		}
		d.stop()
		if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
			t.Errorf("left are %v", left)
		}
	})
}

// TestStaleScoreboard: what another initd has left behind is replaced; what is no scoreboard is left alone.
func TestStaleScoreboard(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, as mode) {
		path := t.TempDir() + "/board"
		first, _, all := pool(t, as, 1, nil, "scoreboard="+path)
		first.signal(syscall.SIGKILL)
		first.wait()
		all[0].ends()
		before := inode(t, path)
		second, _, all := pool(t, as, 1, nil, "scoreboard="+path)
		if inode(t, path) == before {
			t.Error("the old one is still there")
		}
		if rows := boardRows(t, path); len(rows) != 1 || !strings.Contains(rows[0], strconv.Itoa(all[0].PID)) {
			t.Errorf("it says %v", rows)
		}
		// Nor is one removed that is not initd's any more.
		if err := os.Rename(path, path+".mine"); err != nil {
			t.Fatal(err)
		}
		writes(t, path, "letters of my grandmother\n")
		second.stop()
		d := run{mode: as, args: flags([]string{"/bin/true"}, "workers=2", "scoreboard="+path)}.start(t)
		d.exits(125)
		if said := d.output(); !strings.Contains(said, "SERVER_STARTER_SCOREBOARD (--scoreboard)") || !strings.Contains(said, "not a scoreboard") {
			t.Errorf("it says %q", said)
		}
		if got := content(path); got != "letters of my grandmother\n" {
			t.Errorf("the file has %q", got)
		}
	})
}

// TestFullScoreboard: there is no room for it, which is told at once and not by a SIGBUS later on.
func TestFullScoreboard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := run{mode: pid1, given: []string{"small=" + dir}, args: flags([]string{"/bin/true"}, "workers=100", "scoreboard="+dir+"/board")}.start(t)
	d.exits(125)
	if said := d.output(); !strings.Contains(said, "no space left on device") || !strings.Contains(said, "--scoreboard") {
		t.Errorf("it says %q", said)
	}
}

// TestNoScoreboard: none is told of one that was not wanted.
func TestNoScoreboard(t *testing.T) {
	t.Parallel()
	for _, settings := range [][]string{nil, {"scoreboard=none", "max-workers=4", "disconnect-signal=USR1"}} {
		d, _, all := pool(t, subreaper, 1, nil, append(settings, "port=127.0.0.1:0")...)
		first := all[0]
		for _, name := range []string{"SERVER_STARTER_SCOREBOARD", "SERVER_STARTER_SCOREBOARD_ROW"} {
			if value, set := first.Value(name); set {
				t.Errorf("%v: %s=%s", settings, name, value)
			}
		}
		if len(first.Files) != 4 {
			t.Errorf("%v: it has the files %v", settings, first.Files)
		}
		first.do("busy")
		first.do("idle")
		d.stop()
	}
}

// TestCorruptScoreboard: a worker fills the board with rubbish, those of all others too. That harms nobody: initd knows
// who its workers are.
func TestCorruptScoreboard(t *testing.T) {
	t.Parallel()
	for _, file := range []bool{false, true} {
		t.Run(fmt.Sprintf("file=%v", file), func(t *testing.T) {
			inBothModes(t, func(t *testing.T, as mode) {
				dir := t.TempDir()
				settings := []string{"max-workers=3", "min-idle=0", "disconnect-signal=USR1", "log-level=debug", "status-file=" + dir + "/status"}
				if file {
					settings = append(settings, "scoreboard="+dir+"/board")
				}
				d, s, all := pool(t, as, 2, nil, settings...)
				for _, rubbish := range []string{"255", "127", "1", "0"} {
					all[0].do("scribble", rubbish)
					d.surveys(2)
				}
				all[0].do("scribble", "255")
				if file { // and nothing is left of it at all
					if err := os.Truncate(dir+"/board", 0); err != nil {
						t.Fatal(err)
					}
					d.surveys(2)
				}
				for _, p := range all {
					p.lives()
				}
				d.swap()
				next := s.pool(2, 0, 1)
				makeReady(next)
				d.is("serving", 2)
				for _, p := range all {
					p.gets(syscall.SIGTERM)
					p.ends()
				}
				has(t, dir+"/status", next...)
				d.starts(next[0], 4)
				d.stop()
				for _, e := range d.logged("defect") {
					t.Errorf("defect: %s", e.Message)
				}
			})
		})
	}
}
