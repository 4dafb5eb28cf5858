package eventlog

import (
	"strings"
	"testing"
	"unicode"
)

func TestLine(t *testing.T) {
	for _, test := range []struct{ name, json, want string }{
		{"an event", `{"time":"2026-11-21T03:06:16.794368188Z","level":"INFO","msg":"generation 2 is serving","event":"serving","generation":2}`,
			"03:06:16.794 INFO  generation 2 is serving  generation=2"},
		{"time of a zone", `{"time":"2026-11-21T03:06:16+09:00","level":"ERROR","msg":"x"}`, "03:06:16.000 ERROR x"},
		{"quotes", `{"time":"2026-11-21T03:06:17Z","level":"WARN","msg":"worker ended","pid":1000000,"duration":"1.2s","hint":"the port is in use","none":"","equals":"a=b"}`,
			`03:06:17.000 WARN  worker ended  pid=1000000  duration=1.2s  hint="the port is in use"  none=""  equals="a=b"`},
		{"no time, no level", `{"event":"missed","count":3,"msg":"3 events are missing"}`, "3 events are missing  count=3"},
		{"other values", `{"msg":"x","yes":true,"none":null,"list":["a",1],"object":{"a":1}}`, `x  yes=true  none=null  list="[\"a\",1]"  object="{\"a\":1}"`},
		{"controls", `{"time":"\u001b[2J","level":"\u001b[31m","msg":"a\u001bb\nc\td\u202e","\u0007key":"\u001b"}`,
			"\ufffd[2J \ufffd[31m a\ufffdb\ufffdc d\ufffd  \ufffdkey=\ufffd"},
		{"large number", `{"msg":"x","n":12345678901234567890}`, "x  n=12345678901234567890"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, ok := Parse([]byte(test.json))
			if got := e.Line(nil); !ok || got != test.want {
				t.Errorf("%v\n got %q\nwant %q", ok, got, test.want)
			}
		})
	}
}

func TestPaint(t *testing.T) {
	e, _ := Parse([]byte(`{"time":"2026-11-21T03:06:16Z","level":"WARN","msg":"x","a":1,"b":2}`))
	got := e.Line(func(part Part, text string) string {
		return map[Part]string{Time: "T", Level: "L", Message: "M", Facts: "F"}[part] + "<" + text + ">"
	})
	if want := "T<03:06:16.000> L<WARN > M<x>F<  a=1>F<  b=2>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseErrors(t *testing.T) {
	for _, line := range []string{"", "initd: some text", "[1]", `{"a"`, `{"a":}`, `{"a":1 "b":2}`, `{"a":1`, `{"a":1}x`, `{"a":1} {"b":2}`} {
		if e, ok := Parse([]byte(line)); ok {
			t.Errorf("Parse(%q) = %v", line, e)
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, seed := range []string{`{"time":"2026-11-21T03:06:16Z","level":"INFO","msg":"x","a":1}`, "{\"a\u202e\":\"\\u001b\"}", `{"level":[]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, ok := Parse(line)
		if !ok {
			return
		}
		if text := e.Line(nil); strings.ContainsFunc(text, func(r rune) bool { return r != unicode.ReplacementChar && !unicode.IsPrint(r) }) {
			t.Errorf("Line() = %q", text)
		}
	})
}
