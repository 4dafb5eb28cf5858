package settings

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestReload(t *testing.T) {
	second, yes, no := seconds(1), Bool(true), Bool(false)
	tests := []struct {
		name    string
		environ []string
		want    Overrides
	}{
		{"nothing", []string{"PATH=/bin", "INTERVAL=x", "SERVER_STARTER_INTERVAL=x", "ENVDIR=/x", "junk"}, Overrides{}},
		{"all", []string{"KILL_OLD_DELAY=1", "ENABLE_AUTO_RESTART=1", "AUTO_RESTART_INTERVAL=1s"}, Overrides{&second, &yes, &second}},
		{"with prefix", []string{"SERVER_STARTER_KILL_OLD_DELAY=1"}, Overrides{KillOldDelay: &second}},
		{"prefix beats none", []string{"SERVER_STARTER_KILL_OLD_DELAY=1", "KILL_OLD_DELAY=2"}, Overrides{KillOldDelay: &second}},
		{"false is not nothing", []string{"ENABLE_AUTO_RESTART=no"}, Overrides{EnableAutoRestart: &no}},
		{"empty is nothing", []string{"ENABLE_AUTO_RESTART=", "KILL_OLD_DELAY= "}, Overrides{}},
	}
	environment(t, "KILL_OLD_DELAY=7") // the process's own does not matter
	for _, test := range tests {
		got, err := Reload(test.environ)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, %v", test.name, got, err)
		}
	}

	_, err := Reload([]string{"KILL_OLD_DELAY=x", "SERVER_STARTER_ENABLE_AUTO_RESTART=y", "AUTO_RESTART_INTERVAL=3"})
	var ps Problems
	if !errors.As(err, &ps) || len(ps) != 2 || ps[0].Variable != "KILL_OLD_DELAY" || ps[1].Variable != "SERVER_STARTER_ENABLE_AUTO_RESTART" {
		t.Errorf("got %v", err)
	}
}

// Without a word of the user's, start-timeout leaves room for the interval.
func TestStartTimeout(t *testing.T) {
	environment(t)
	for _, test := range []struct {
		args string
		want time.Duration
	}{
		{"--interval=59", time.Minute},
		{"--interval=60", 2 * time.Minute},
		{"--interval=90 --ready=alive", 150 * time.Second},
		{"--interval=90 --ready=notify", time.Minute}, // it does not matter then
		{"--interval=90 --start-timeout=60", time.Minute},
		{"--interval=90 --start-timeout=0", 0},
	} {
		s := load(t, append(strings.Fields(test.args), "true")...)
		if got := time.Duration(s.With(Overrides{}).StartTimeout); time.Duration(s.StartTimeout) != test.want || got != test.want {
			t.Errorf("%s: %v, and %v with no change; want %v", test.args, s.StartTimeout, got, test.want)
		}
	}
}

// Without a word of the user's, kill-old-delay follows enable-auto-restart.
func TestKillOldDelay(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		environ []string // the envdir's
		want    time.Duration
	}{
		{"neither", nil, nil, 0},
		{"auto restart", []string{"--enable-auto-restart"}, nil, 5 * time.Second},
		{"given", []string{"--enable-auto-restart", "--kill-old-delay=2"}, nil, 2 * time.Second},
		{"given as 0", []string{"--enable-auto-restart", "--kill-old-delay=0"}, nil, 0},
		{"envdir turns it on", nil, []string{"ENABLE_AUTO_RESTART=1"}, 5 * time.Second},
		{"envdir turns it off", []string{"--enable-auto-restart"}, []string{"ENABLE_AUTO_RESTART=0"}, 0},
		{"envdir turns it on, given", []string{"--kill-old-delay=2"}, []string{"ENABLE_AUTO_RESTART=1"}, 2 * time.Second},
		{"envdir beats the flag", []string{"--kill-old-delay=2"}, []string{"KILL_OLD_DELAY=0"}, 0},
	}
	environment(t)
	for _, test := range tests {
		s := load(t, append(test.args, "true")...)
		before := *s
		o, err := Reload(test.environ)
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Duration(s.With(o).KillOldDelay); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
		if !reflect.DeepEqual(*s, before) {
			t.Errorf("%s: With changed the settings it was called on", test.name)
		}
	}
	s := load(t, "--auto-restart-interval=9", "true")
	minute := seconds(60)
	if got := s.With(Overrides{AutoRestartInterval: &minute}); got.AutoRestartInterval != minute || s.AutoRestartInterval != seconds(9) {
		t.Errorf("got %v, was %v", got.AutoRestartInterval, s.AutoRestartInterval)
	}
}
