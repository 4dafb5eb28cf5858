package worker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Ready notifies that the worker can serve, upon which its predecessor is stopped. It
// sends READY=1 to NOTIFY_SOCKET (sd_notify(3)), and does nothing if that is unset.
func Ready() error { return notify("READY=1") }

// Stopping notifies that the worker has begun to stop.
func Stopping() error { return notify("STOPPING=1") }

// Status notifies of the worker's state, in one line of text for people; for instance
// "warming up, 40 %".
func Status(text string) error {
	// Each line of a message is an assignment of its own.
	return notify("STATUS=" + strings.ReplaceAll(text, "\n", " "))
}

// Watchdog notifies that the worker is alive. It has to be called again and again, twice
// in each WatchdogInterval; Serve does not do so, for only the program knows whether it
// works as it should.
func Watchdog() error { return notify("WATCHDOG=1") }

// WatchdogInterval is how long the worker may go without Watchdog before it is
// killed and replaced; 0 is for ever (sd_watchdog_enabled(3)).
func WatchdogInterval() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0 // it is meant for another process
	}
	usec, _ := strconv.ParseUint(os.Getenv("WATCHDOG_USEC"), 10, 53)
	return time.Duration(usec) * time.Microsecond
}

// sendTimeout is how long a message may wait for the receiver to take it.
const sendTimeout = 5 * time.Second

// notify sends assignments to the socket that NOTIFY_SOCKET names, if any.
func notify(assignments string) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	if err := send(address, assignments); err != nil {
		return fmt.Errorf("notify NOTIFY_SOCKET=%q: %w", address, err)
	}
	return nil
}

func send(address, assignments string) error {
	if address[0] != '/' && address[0] != '@' {
		return errors.New("neither an absolute path nor an @abstract name")
	}
	conn, err := net.Dial("unixgram", address) // @ is an abstract name here, too
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	_, err = conn.Write([]byte(assignments))
	return err
}
