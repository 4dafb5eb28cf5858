package eventlog

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"unicode"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":"ö 🎉"}`: `{"a":"ö 🎉"}`,
		"{\"a\":\r\t\"\u009b\x7f\u202e\U000e0041\"}\n": "{\"a\":  \"\\u009b\\u007f\\u202e\\udb40\\udc41\"}\n",
		"\"\x9b\"": "\"\ufffd\"", // no UTF-8, which JSON is
	} {
		if got := string(Escape([]byte(in))); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// TestLogIsPrintable: a log in JSON is read on a terminal as often as one in text is.
func TestLogIsPrintable(t *testing.T) {
	const evil = "\x1b]0;evil\a\u009b31m\x7f"
	for _, asJSON := range []bool{true, false} {
		var b bytes.Buffer
		log := New(&b, asJSON, slog.LevelInfo)
		log.Info(Note, evil, "key", evil)
		line := strings.TrimSuffix(b.String(), "\n")
		if strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("JSON %v: %q", asJSON, line)
		}
		var entry struct{ Msg string }
		if asJSON && (json.Unmarshal(b.Bytes(), &entry) != nil || entry.Msg != evil) {
			t.Errorf("%q means %q", line, entry.Msg)
		}
	}
}
