package worker_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/initd/worker"
)

func TestNotify(t *testing.T) {
	for _, address := range []string{filepath.Join(t.TempDir(), "notify"), "@worker-test-" + fmt.Sprint(os.Getpid())} {
		s := newSupervisor(t, address)
		t.Setenv("NOTIFY_SOCKET", address)
		for _, message := range []struct {
			send func() error
			want string
		}{
			{worker.Ready, "READY=1"},
			{worker.Stopping, "STOPPING=1"},
			{worker.Watchdog, "WATCHDOG=1"},
			{func() error { return worker.Status("42 % warm\nREADY=1") }, "STATUS=42 % warm READY=1"},
		} {
			if err := message.send(); err != nil {
				t.Errorf("%s: %v", address, err)
			}
			s.receives(message.want)
		}
	}
}

func TestNotifyNobody(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := worker.Ready(); err != nil {
		t.Error(err)
	}
}

func TestNotifyErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, test := range []struct {
		address string
		is      error
		text    string
	}{
		{missing, syscall.ENOENT, "no such file or directory"},
		{"@no such server", syscall.ECONNREFUSED, "connection refused"},
		{"/" + strings.Repeat("x", 200), syscall.EINVAL, "invalid argument"},
		{"vsock:2:1234", nil, "neither an absolute path nor an @abstract name"},
		{"relative", nil, "neither an absolute path nor an @abstract name"},
	} {
		t.Setenv("NOTIFY_SOCKET", test.address)
		err := worker.Ready()
		if prefix := fmt.Sprintf("notify NOTIFY_SOCKET=%q: ", test.address); err == nil ||
			!strings.HasPrefix(err.Error(), prefix) || !strings.HasSuffix(err.Error(), test.text) ||
			test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%q: %v", test.address, err)
		}
	}
}

func TestWatchdogInterval(t *testing.T) {
	pid := fmt.Sprint(os.Getpid())
	for _, test := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0},
		{"2500000", "", 2500 * time.Millisecond},
		{"2500000", pid, 2500 * time.Millisecond},
		{"2500000", "1", 0},
		{"4294967296000000", "", 4294967296 * time.Second},
		{"-1", "", 0},
		{"soon", "", 0},
	} {
		t.Setenv("WATCHDOG_USEC", test.usec)
		t.Setenv("WATCHDOG_PID", test.pid)
		if got := worker.WatchdogInterval(); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
