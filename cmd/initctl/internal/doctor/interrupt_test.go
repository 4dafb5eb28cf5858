package doctor

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCheckInterrupted: whoever interrupts it finds nothing left.
func TestCheckInterrupted(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		t.Run(unix.SignalName(signal), func(t *testing.T) {
			t.Parallel()
			alive := filepath.Join(t.TempDir(), "alive")
			if err := unix.Mkfifo(alive, 0o666); err != nil {
				t.Fatal(err)
			}
			cmd := run{args: flags(serverCommand(t, "stubborn", "alive="+alive), "port=127.0.0.1:0", "ready=notify")}.command(t)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			late := time.AfterFunc(patience, func() {
				cmd.Process.Signal(syscall.SIGTERM)
				if writer, err := os.OpenFile(alive, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
					writer.Close() // nobody waits for a server any more
				}
			})
			defer late.Stop()
			server := newLifeline(t, alive)
			cmd.Process.Signal(signal)
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 128+int(signal) {
				t.Errorf("it ended with %v, not with status %d", err, 128+signal)
			}
			server.ends(t)
		})
	}
}

// A lifeline is a named pipe that a server keeps open as long as it lives. It is a
// file, and so the same in every network namespace.
type lifeline struct {
	file *os.File
	pid  int
}

// newLifeline waits until a server has opened the pipe, and written its pid.
func newLifeline(t *testing.T, path string) *lifeline {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	line, _ := bufio.NewReader(file).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal("no server has started")
	}
	return &lifeline{file, pid}
}

// ends waits for the end of the server, and kills it if that does not come.
func (l *lifeline) ends(t *testing.T) {
	t.Helper()
	l.file.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(l.file); err != nil {
		syscall.Kill(l.pid, syscall.SIGKILL)
		t.Errorf("the server has not ended: %v", err)
	}
}
