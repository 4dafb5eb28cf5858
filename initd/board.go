package initd

import (
	"cmp"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"server-starter/initd/launch"
	"server-starter/initd/scoreboard"
	"server-starter/initd/settings"
)

// noRow is the row of a worker that has none on the scoreboard.
const noRow = -1

// boardRows is how many rows there are for each worker that a pool may have:
// those of old generations keep theirs until they have ended. A row is no
// memory until it is used.
const boardRows = 8

// openBoard makes the scoreboard, where something depends on it or somebody
// wants to read it.
func (in *instance) openBoard() (err error) {
	s, path := in.settings, string(in.settings.Scoreboard)
	wanted := path != "" || s.MaxWorkers > 1 || s.MaxRequests > 0 || tellsOfDisconnects(s)
	if !wanted || path == settings.NoScoreboard {
		return nil
	}
	if path != "" {
		path = absolute(path)
	}
	in.board, err = scoreboard.Create(path, max(boardRows*int(s.MaxWorkers), 64))
	switch {
	case err == nil && path != "" && in.credential != nil:
		// A worker that opens it anew, as one in Perl does, has to be its owner.
		if err := unix.Fchown(in.board.FD(), int(in.credential.UID), int(in.credential.GID)); err != nil {
			s.Notes = append(s.Notes, fmt.Sprintf("scoreboard: chown %s: %v; workers that do not map it cannot write to it", path, err))
		}
	case err != nil && path == "" && s.MaxRequests == 0:
		// Nobody has asked for it: a seccomp filter may know no memfd_create(2).
		s.Notes = append(s.Notes, fmt.Sprintf("there is no scoreboard: %v; name a file (--scoreboard=/dev/shm/scoreboard), or none (--scoreboard=none)", err))
	case err != nil:
		return settingError("scoreboard", err)
	}
	return nil
}

func (in *instance) closeBoard() {
	if in.board == nil {
		return
	}
	if err := in.board.Close(); err != nil {
		in.log.Warn(err.Error(), "event", "scoreboard")
	}
}

// claim takes a row for a worker that is to be started.
func (in *instance) claim(generation, slot int) (row int) {
	if in.board == nil {
		return noRow
	}
	row, ok := in.board.Claim(generation, slot)
	if !ok {
		reason := error(fmt.Errorf("all %d rows belong to workers that live", in.board.Rows()))
		in.log.Warn("a worker goes without a row on the scoreboard: "+cmp.Or(in.board.Err(), reason).Error(),
			"event", "scoreboard", "generation", generation, "slot", slot)
		return noRow
	}
	return row
}

// seat tells whose a row is.
func (in *instance) seat(row, pid int) {
	if row != noRow {
		in.board.Assign(row, pid)
	}
}

// release takes back the row of a worker that is no more.
func (in *instance) release(row int) {
	if row != noRow {
		in.board.Release(row)
	}
}

// row reads one.
func (in *instance) row(row int) (r scoreboard.Row, ok bool) {
	if row == noRow {
		return r, false
	}
	return in.board.Read(row)
}

// score gives a worker its row. Its descriptor is the first that no listener
// has.
func (in *instance) score(c *launch.Command, row int) {
	if row == noRow {
		return
	}
	c.Environ = append(c.Environ, "SERVER_STARTER_SCOREBOARD="+strconv.Itoa(len(c.Files)), "SERVER_STARTER_SCOREBOARD_ROW="+strconv.Itoa(row))
	c.Files = append(c.Files, uintptr(in.board.FD()))
}
