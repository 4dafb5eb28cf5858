package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"server-starter/initd/control"
)

// swapScript answers a swap, or what was asked for under ticket 7 earlier, with
// outcomes, and then says nothing more; and tells of the sample status.
func swapScript(t *testing.T, status string, outcomes []control.Outcome, asked chan<- control.Request) script {
	return func(r control.Request, send func(control.Answer)) bool {
		if r.Request == control.AskStatus {
			send(control.Answer{Status: sample(t, status)})
			return true
		}
		asked <- r
		send(control.Answer{Ticket: 7})
		if r.Wait || r.Request == control.AskAwait {
			for _, o := range outcomes {
				o.Ticket = 7
				send(control.Answer{Answer: "outcome", Outcome: &o})
			}
		}
		return true
	}
}

var (
	begun3   = control.Outcome{Outcome: "begun", Generation: 3}
	failed3  = control.Outcome{Outcome: "failed", Generation: 3, Reason: "worker ended after 0.2s: exit status 1", Next: 1.5}
	begun12  = control.Outcome{Outcome: "begun", Generation: 12}
	ready12  = control.Outcome{Outcome: "ready", Generation: 12, Final: true}
	failure3 = `initctl: generation 3 failed: worker ended after 0.2s: exit status 1
  worker in slot 0: exit status 1
  stderr | panic: open /etc/app/config.toml: no such file
  stderr | ` + "\ufffd[31mgoroutine 1\ufffd[m [running]:" + `
  variables +NEW_RELIC_KEY -DEBUG ~APP_CONFIG ~DATABASE_URL
generation 1 is serving; swap 7 failed, trying again in 1.5s
`
)

func final(o control.Outcome) control.Outcome {
	o.Final = true
	return o
}

func TestRestart(t *testing.T) {
	const (
		asking  = "waiting for initd to answer\nswap 7 is waiting\n"
		backOff = "waiting for initd to answer\nswap 7 is waiting: the last attempt failed, trying again in 1.5s\n" // which the sample is in
	)
	for _, test := range []struct {
		name           string
		args           []string
		sample         string
		outcomes       []control.Outcome
		status         int
		stdout, stderr string
	}{
		{"ready", nil, "pool", []control.Outcome{begun12, ready12},
			0, "generation 12 is serving, ready after 1.5s\n", asking + "generation 12 is starting\n"},
		{"fails", nil, "failed", []control.Outcome{begun3, failed3},
			3, "", backOff + "generation 3 is starting\n" + failure3 + "To wait for its outcome, run initctl await 7.\n"},
		{"fails and is tried again", []string{"--keep-trying"}, "failed", []control.Outcome{begun3, failed3, {Outcome: "begun", Generation: 4}, {Outcome: "ready", Generation: 4, Final: true}},
			0, "generation 4 is serving\n", backOff + "generation 3 is starting\n" + failure3 + "swap 7 is waiting: trying again in 1.5s\ngeneration 4 is starting\n"},
		{"given up", []string{"--keep-trying"}, "failed", []control.Outcome{begun3, final(failed3)},
			3, "", backOff + "generation 3 is starting\n" + strings.Replace(failure3, "swap 7 failed, trying again in 1.5s", "swap 7 was given up", 1)},
		{"refused", nil, "pool", []control.Outcome{{Outcome: "refused", Generation: 9, Reason: "hook-before-swap: exit status 1", Final: true}},
			3, "", asking + "initctl: generation 9 was refused: hook-before-swap: exit status 1\ngeneration 12 is serving\n"},
		{"stopped", nil, "pool", []control.Outcome{begun12, {Outcome: "stopped", Final: true}},
			3, "", asking + "generation 12 is starting\ninitctl: swap 7 was stopped: initd is stopping\n"},
		{"superseded", nil, "pool", []control.Outcome{begun3, {Outcome: "superseded", By: 8, Final: true}},
			4, "", asking + "generation 3 is starting\ninitctl: swap 7 was superseded by swap 8, which is newer\nTo wait for its outcome, run initctl await 8.\n"},
		{"superseded after a failure", []string{"--keep-trying"}, "failed", []control.Outcome{begun3, failed3, {Outcome: "superseded", By: 8, Final: true}},
			4, "", backOff + "generation 3 is starting\n" + failure3 + "swap 7 is waiting: trying again in 1.5s\ninitctl: swap 7 was superseded by swap 8, which is newer\nTo wait for its outcome, run initctl await 8.\n"},
		{"no wait", []string{"--no-wait"}, "pool", nil, 0, "7\n", ""},
		{"time is over", []string{"--timeout", "0.01"}, "pool", []control.Outcome{begun12},
			1, "", asking + "generation 12 is starting\ninitctl: no outcome within 0.01s, but the swap continues\nTo wait for its outcome, run initctl await 7.\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := make(chan control.Request, 1)
			f := newFake(t, swapScript(t, test.sample, test.outcomes, asked))
			r := invoke(t, f.path, append([]string{"restart"}, test.args...)...)
			// What is said before the time is over depends on how quick this machine is.
			if test.name == "time is over" {
				if i := strings.Index(r.stderr, "initctl: "); i >= 0 {
					r.stderr, test.stderr = strings.Replace(r.stderr[i:], ", but the swap continues\nTo wait for its outcome, run initctl await 7.", "", 1), "initctl: no outcome within 0.01s\n"
				}
			}
			if want := (result{test.status, test.stdout, test.stderr}); r != want {
				t.Errorf("is\n%+v\nwant\n%+v", r, want)
			}
			if test.name == "time is over" {
				return // it may not have got so far as to ask
			}
			if r := <-asked; r.Request != control.AskSwap || r.Wait == slices.Contains(test.args, "--no-wait") {
				t.Errorf("asked for %+v", r)
			}
		})
	}
}

func TestAwait(t *testing.T) {
	asked := make(chan control.Request, 1)
	f := newFake(t, swapScript(t, "pool", []control.Outcome{begun12, ready12}, asked))
	if r := invoke(t, f.path, "await", "7"); r.status != 0 || r.stdout != "generation 12 is serving, ready after 1.5s\n" {
		t.Errorf("%+v", r)
	}
	if r := <-asked; r.Request != control.AskAwait || r.Ticket != 7 {
		t.Errorf("asked for %+v", r)
	}
}

func TestRestartInterrupted(t *testing.T) {
	ctx, interrupt := context.WithTimeout(context.Background(), testPatience)
	interrupted, interruptNow := context.WithCancel(ctx)
	defer interrupt()
	f := newFake(t, func(r control.Request, send func(control.Answer)) bool {
		send(control.Answer{Ticket: 7})
		interruptNow()
		return true
	})
	r := invokeContext(interrupted, map[string]string{socketVariable: f.path}, "restart")
	if r.status != 130 || !strings.Contains(r.stderr, "initctl: interrupted") {
		t.Errorf("%+v", r)
	}
}

func TestRestartOfAnInitdThatEnds(t *testing.T) {
	f := newFake(t, func(r control.Request, send func(control.Answer)) bool {
		send(control.Answer{Ticket: 7})
		return false
	})
	r := invoke(t, f.path, "restart")
	if want := "initctl: initd at " + f.path + " closed the connection\n"; r.status != 5 || !strings.HasSuffix(r.stderr, want) {
		t.Errorf("%+v, want %q", r, want)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                           "0s",
		0:                                      "0s",
		4 * time.Millisecond:                   "4ms",
		1234 * time.Millisecond:                "1.23s",
		3470 * time.Millisecond:                "3.47s",
		4690 * time.Millisecond:                "4.69s",
		59*time.Second + 900*time.Millisecond:  "59s",
		time.Minute:                            "1m",
		3*time.Minute + 20*time.Second:         "3m20s",
		5*time.Hour + 3*time.Minute:            "5h3m",
		24 * time.Hour:                         "1d",
		12*24*time.Hour + 4*time.Hour + 1:      "12d4h",
		400*24*time.Hour + 59*time.Minute*60/2: "401d5h",
	} {
		if is := span(d); is != want {
			t.Errorf("span(%v) is %s, want %s", d, is, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 1023: "1023", 1024: "1.0K", 10 * 1024: "10K", 12582912: "12M", 3 << 30: "3.0G", 5 << 40: "5.0T", 5000 << 40: "5000T"} {
		if is := size(n); is != want {
			t.Errorf("size(%d) is %s, want %s", n, is, want)
		}
	}
}
