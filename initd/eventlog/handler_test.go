package eventlog

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestText(t *testing.T) {
	var text, json bytes.Buffer
	for w, asJSON := range map[*bytes.Buffer]bool{&text: false, &json: true} {
		log := New(w, asJSON, slog.LevelInfo)
		log.Debug(Note, "never")
		log.Warn(Exit, "worker ended", "pid", 7, "duration", 1234567890*time.Nanosecond, "error", errors.New("broken pipe"))
		log.Info(Note, "a \x1b[31m <b>", "slot", 2)
	}
	if !regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} WARN  worker ended  pid=7  duration=1\.2346s  error="broken pipe"
\d\d:\d\d:\d\d\.\d{3} INFO  a \x{fffd}\[31m <b>  slot=2
$`).MatchString(text.String()) {
		t.Errorf("text:\n%s", &text)
	}
	if !regexp.MustCompile(`^{"time":"[^"]+","level":"WARN","msg":"worker ended","event":"exit","pid":7,"duration":"1\.2346s","error":"broken pipe"}
{"time":"[^"]+","level":"INFO","msg":"a \\u001b\[31m <b>","event":"note","slot":2}
$`).MatchString(json.String()) {
		t.Errorf("JSON:\n%s", &json)
	}
}

// Subscribers have lines from info on, as JSON, whatever the log itself has.
func TestPublishing(t *testing.T) {
	var own bytes.Buffer
	var published []string
	subscribed := false
	log := Publishing(New(&own, false, slog.LevelError), func() bool { return subscribed },
		func(line []byte) { published = append(published, string(line)) })
	log.Info(Note, "one")
	subscribed = true
	log.Debug(Note, "two")
	log.Info(Note, "three", "duration", time.Second)
	log.Error(Failed, "four", "slot", 1)
	subscribed = false
	log.Error(Failed, "five")
	for i, line := range published {
		published[i] = regexp.MustCompile(`"time":"[^"]+",`).ReplaceAllString(line, "")
	}
	want := []string{`{"level":"INFO","msg":"three","event":"note","duration":"1s"}` + "\n", `{"level":"ERROR","msg":"four","event":"failed","slot":1}` + "\n"}
	if !slices.Equal(published, want) {
		t.Errorf("published %q, want %q", published, want)
	}
	if lines := strings.Split(own.String(), "\n"); len(lines) != 3 || !strings.HasSuffix(lines[0], "four  slot=1") || !strings.HasSuffix(lines[1], "five") {
		t.Errorf("the log has %q", lines)
	}
}
