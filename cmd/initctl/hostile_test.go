package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"server-starter/initd/control"
)

// evil is what a terminal would obey: an escape sequence, the same with a control character of eight bits (ECMA-48), and
// text that runs from right to left.
const evil = "\x1b]0;evil\a\u009b31m\u202e\r\x7f"

// corrupt puts evil into all texts of a value.
func corrupt(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + evil)
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			corrupt(v.Elem())
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			return
		}
		for i := range v.Len() {
			corrupt(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			corrupt(v.Field(i))
		}
	}
}

// TestHostile: nothing that initd, a worker or a file name says controls the terminal, by whatever command.
func TestHostile(t *testing.T) {
	status := sample(t, "pool")
	corrupt(reflect.ValueOf(status))
	value := "secret" + evil
	event, _ := json.Marshal(map[string]string{"msg": evil, "event": evil, evil: evil, "level": evil, "time": evil})
	reply := func(r control.Request, send func(control.Answer)) bool {
		a := control.Answer{}
		switch r.Request {
		case control.AskHealth:
			a.Health = &status.Health
		case control.AskStatus:
			a.Status = status
		case control.AskSettings:
			a.Settings = []control.Setting{{Name: "name" + evil, Values: []string{evil}, Source: evil}}
		case control.AskEnvironment:
			a.Environment = &control.Environment{Variables: []control.Variable{{Name: "NAME" + evil, Value: &value}}}
		case control.AskSwap:
			send(control.Answer{Ticket: 1})
			a = control.Answer{Answer: "outcome", Outcome: &control.Outcome{Ticket: 1, Generation: 3, Outcome: "failed", Final: true, Reason: evil}}
		case control.AskSubscribe:
			send(a)
			a = control.Answer{Answer: "event", Event: event}
		case control.AskStop:
		default:
			a = control.Answer{Answer: "error", Code: control.NotFound, Error: "no" + evil}
		}
		send(a)
		return r.Request != control.AskSubscribe
	}
	f := newFake(t, reply)
	clean := func(args []string, r result) {
		t.Helper()
		for _, text := range []string{r.stdout, r.stderr} {
			if i := strings.IndexFunc(text, func(c rune) bool { return c != '\n' && !unicode.IsPrint(c) }); i >= 0 {
				t.Errorf("%q prints %q", args, text)
			}
		}
	}
	for _, line := range []string{"health", "status", "status --wide", "status --json", "events", "events --json", "settings", "settings --json",
		"env --json", "env --values --json", "metrics", "version", "restart", "await 7", "scale 3", "signal USR1", "restart --keep-trying"} {
		args := strings.Fields(line)
		clean(args, invoke(t, f.path, args...))
	}
	for _, args := range [][]string{
		{"health", "--control-socket=/none/" + evil}, {"status", "--control-socket=/none/" + evil}, {"none" + evil}, {"status", "--none" + evil},
		{"await", evil}, {"signal", evil}, {"install", filepath.Join(t.TempDir(), evil, "none")}, {"check", "--port=" + evil, "true"},
		{"check", "--initd=" + evil, "true"},
	} {
		clean(args, invoke(t, "", args...))
	}
	// stop follows the log until initd is gone.
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	asked := make(chan bool, 1)
	var g *fake
	g = newFake(t, func(r control.Request, send func(control.Answer)) bool {
		switch r.Request {
		case control.AskSubscribe:
			send(control.Answer{})
			<-asked
			send(control.Answer{Answer: "event", Event: event})
			g.Close()
			return false
		case control.AskStop:
			send(control.Answer{})
			asked <- true
		}
		return true
	})
	clean([]string{"stop"}, invokeContext(ctx, map[string]string{socketVariable: g.path}, "stop"))

	screen := screen{width: 80, height: 24}.observe(status)
	clean([]string{"top"}, result{stdout: screen.view()})
}
