package initdtest

import (
	"encoding/json"
	"os"
	"sync"
	"syscall"
	"testing"
)

var orders struct {
	sync.Mutex
	sent bool // there is a guardian
	last int64
}

// send sends the guardian an order. A number of 0 takes the next.
func send(number int64, command ...string) int64 {
	orders.Lock()
	defer orders.Unlock()
	if number == 0 {
		orders.last++
		number = orders.last
	}
	if !orders.sent {
		return number
	}
	if text, err := json.Marshal(order{number, command}); err == nil {
		syscall.Write(guardian, append(text, '\n'))
	}
	return number
}

// AtEnd has a command run when all tests of the package have ended, in whatever way, unless what it undoes is done
// before.
func AtEnd(command ...string) (done func()) {
	number := send(0, command...)
	return func() { send(number) }
}

// Undo has a command run when the test ends, in whatever way.
func Undo(t testing.TB, command ...string) {
	t.Helper()
	done := AtEnd(command...)
	t.Cleanup(func() {
		t.Helper()
		if _, err := Try(command[0], command[1:]...); err != nil {
			t.Error(err)
		}
		done()
	})
}

// Dir makes a directory that everyone may enter, and that goes when all tests have ended.
func Dir() (string, error) {
	dir, err := os.MkdirTemp("", "initd")
	if err != nil {
		return "", err
	}
	AtEnd("rm", "-rf", dir)
	return dir, os.Chmod(dir, 0o755)
}
