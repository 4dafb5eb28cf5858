package main

import (
	"context"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"server-starter/initd/control"
)

var log = []string{
	`{"time":"2026-11-21T03:06:16.794368188Z","level":"INFO","msg":"generation 2 is serving","event":"serving","generation":2}`,
	`{"time":"2026-11-21T03:06:17Z","level":"WARN","msg":"worker has ended: \u001b[2J","event":"exit","pid":1000000,"duration":"1.2s","hint":"the port is in use"}`,
	`{"event":"missed","count":3,"msg":"this client was too slow for 3 events"}`,
}

// logScript tells what the log has, and calls then, which is the end.
func logScript(then func()) script {
	return func(r control.Request, send func(control.Answer)) bool {
		send(control.Answer{})
		for _, line := range log {
			send(control.Answer{Answer: "event", Event: []byte(line)})
		}
		then()
		return false
	}
}

func TestEvents(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"events"}, "03:06:16.794 INFO  generation 2 is serving  generation=2\n" +
			"03:06:17.000 WARN  worker has ended: \ufffd[2J  pid=1000000  duration=1.2s  hint=\"the port is in use\"\n" +
			"this client was too slow for 3 events  count=3\n"},
		{[]string{"events", "--json"}, strings.Join(log, "\n") + "\n"},
	} {
		f := newFake(t, logScript(func() {}))
		r := invoke(t, f.path, test.args...)
		if r != (result{5, test.want, "initctl: initd at " + f.path + " closed the connection\n"}) {
			t.Errorf("%s: %+v\nwant\n%s", test.args, r, test.want)
		}
	}
}

func TestEventsInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	f := newFake(t, func(_ control.Request, send func(control.Answer)) bool {
		send(control.Answer{})
		interrupt()
		return true
	})
	if r := invokeContext(ctx, map[string]string{socketVariable: f.path}, "events"); r != (result{}) {
		t.Errorf("%+v", r)
	}
}

// latch lets a script end the initd that it is the script of.
func latch() (end func(), ending func(*fake)) {
	asked, done := make(chan struct{}), make(chan struct{})
	end = func() {
		close(asked)
		<-done
	}
	ending = func(f *fake) {
		<-asked
		f.end()
		close(done)
	}
	return end, ending
}

// stopScript ends when it is asked to, once it has told those who follow.
func stopScript(end func(), asked chan<- control.Request) script {
	told := make(chan struct{})
	return func(r control.Request, send func(control.Answer)) bool {
		switch r.Request {
		case control.AskSubscribe:
			send(control.Answer{})
			<-told
			send(control.Answer{Answer: "event", Event: []byte(`{"msg":"stopping worker"}`)})
			end()
		case control.AskStop:
			asked <- r
			send(control.Answer{})
			close(told)
		}
		return true
	}
}

func TestStop(t *testing.T) {
	asked := make(chan control.Request, 1)
	end, ending := latch()
	f := newFake(t, stopScript(end, asked))
	go ending(f)
	r := invoke(t, f.path, "stop", "--signal", "QUIT")
	if r != (result{0, "initd is gone\n", "initd is stopping\nstopping worker\n"}) && r != (result{0, "initd is gone\n", "initd is stopping\n"}) {
		t.Errorf("%+v", r)
	}
	if r := <-asked; r.Signal != "QUIT" {
		t.Errorf("asked for %+v", r)
	}
}

// TestStopInItsContainer: the TERM that initd sends as it ends is no interruption, before or after the event that
// explains it; any other TERM is one, and so is INT.
func TestStopInItsContainer(t *testing.T) {
	orphans, exit, worker := `{"msg":"x","event":"orphans"}`, `{"msg":"exiting","event":"exit"}`, `{"msg":"x","event":"exit","generation":1}`
	for _, test := range []struct {
		name, before, after string
		signal              os.Signal
		status              int
		stdout              string
	}{
		{"after", orphans, "", syscall.SIGTERM, 0, "initd is stopping\n"},
		{"before", "", orphans, syscall.SIGTERM, 0, "initd is stopping\n"},
		{"exit", worker, exit, syscall.SIGTERM, 0, "initd is stopping\n"},
		{"of another", worker, "", syscall.SIGTERM, 130, ""},
		{"INT", worker, "", syscall.SIGINT, 130, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, interrupt := context.WithCancelCause(context.Background())
			asked := make(chan struct{})
			f := newFake(t, func(r control.Request, send func(control.Answer)) bool {
				send(control.Answer{})
				if r.Request == control.AskStop {
					close(asked)
					return true
				}
				<-asked
				event := func(line string) {
					if line != "" {
						send(control.Answer{Answer: "event", Event: []byte(line)})
					}
				}
				event(test.before)
				interrupt(interruption{test.signal})
				event(test.after)
				return true
			})
			r := invokeContext(ctx, map[string]string{socketVariable: f.path}, "stop")
			if interrupted := strings.Contains(r.stderr, "initctl: interrupted"); r.status != test.status || r.stdout != test.stdout || interrupted != (r.status != 0) {
				t.Errorf("%+v, want %d %q", r, test.status, test.stdout)
			}
		})
	}
}

// TestInterrupted: a signal is an interruption, whatever was asked.
func TestInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(context.Background())
	f := newFake(t, func(control.Request, func(control.Answer)) bool {
		interrupt(interruption{syscall.SIGINT})
		return true
	})
	if r := invokeContext(ctx, map[string]string{socketVariable: f.path}, "status"); r != (result{130, "", "initctl: interrupted\n"}) {
		t.Errorf("%+v", r)
	}
}

// TestStopIsNotOverYet: that a subscription ends is not the end of initd.
func TestStopIsNotOverYet(t *testing.T) {
	var subscriptions, healths atomic.Int32
	stopped := make(chan struct{})
	end, ending := latch()
	f := newFake(t, func(r control.Request, send func(control.Answer)) bool {
		switch r.Request {
		case control.AskSubscribe:
			send(control.Answer{})
			<-stopped
			if subscriptions.Add(1) == 3 {
				end()
			}
			return false
		case control.AskHealth:
			healths.Add(1)
			send(control.Answer{Health: new(control.Health)})
		case control.AskStop:
			send(control.Answer{})
			close(stopped)
		}
		return true
	})
	go ending(f)
	if r := invoke(t, f.path, "stop"); r.status != 0 || r.stdout != "initd is gone\n" {
		t.Errorf("%+v", r)
	}
	if subscriptions.Load() != 3 || healths.Load() != 2 {
		t.Errorf("it was subscribed to %d times, and asked for its health %d times", subscriptions.Load(), healths.Load())
	}
}

func TestStopTakesTooLong(t *testing.T) {
	f := newFake(t, func(r control.Request, send func(control.Answer)) bool {
		send(control.Answer{})
		return true
	})
	if r := invoke(t, f.path, "stop", "--timeout", "50ms"); r.status != 1 || !strings.Contains(r.stderr, "initctl: initd is stopping, but is not gone after 0.05s; run initctl stop again") {
		t.Errorf("%+v", r)
	}
}

func TestStopRefused(t *testing.T) {
	f := newFake(t, func(r control.Request, send func(control.Answer)) bool {
		if r.Request == control.AskSubscribe {
			send(control.Answer{})
		} else {
			send(control.Answer{Answer: "error", Code: control.BadRequest, Error: "USR1 stops nothing"})
		}
		return true
	})
	if r := invoke(t, f.path, "stop", "--signal", "USR1"); r != (result{1, "", "initctl: USR1 stops nothing\n"}) {
		t.Errorf("%+v", r)
	}
}
