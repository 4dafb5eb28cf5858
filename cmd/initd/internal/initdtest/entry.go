package initdtest

import (
	"encoding/json"
	"strings"
	"time"
)

// Entry is a line of initd's log.
type Entry struct {
	Time       time.Time `json:"time"`
	Event      string    `json:"event"`
	Generation int       `json:"generation"`
	Slot       int       `json:"slot"`
	PID        int       `json:"pid"`
	Signal     string    `json:"signal"`
	ExitStatus *int      `json:"exit_status"`
	Workers    int       `json:"workers"`
	Hook       string    `json:"hook"`
	Name       string    `json:"name"`
	Message    string    `json:"msg"`
	ReadyBy    string    `json:"ready_by"`
	Address    string    `json:"address"`
	Hint       string    `json:"hint"`
}

// Logged returns the event that initd has logged on a line. Something of a worker's may stand before
// it: h2o, for one, writes its lines in pieces.
func Logged(line string) (e Entry, ok bool) {
	start := strings.Index(line, `{"time":`)
	if start < 0 {
		return e, false
	}
	err := json.NewDecoder(strings.NewReader(line[start:])).Decode(&e)
	return e, err == nil
}
