package eventlog

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// New returns a log of the lines from a level on, as JSON or as text for people.
// Each line is one call of w's Write, and ends with a newline.
func New(w io.Writer, json bool, level slog.Level) *Log {
	if !json {
		w = textWriter{w}
	}
	return To(jsonHandler(w, level))
}

func jsonHandler(w io.Writer, level slog.Level) slog.Handler {
	return slog.NewJSONHandler(escapingWriter{w}, &slog.HandlerOptions{Level: level, ReplaceAttr: plainDuration})
}

// plainDuration writes a duration as 1.2s, and not as a number of nanoseconds.
func plainDuration(groups []string, a slog.Attr) slog.Attr {
	if d, ok := a.Value.Any().(time.Duration); ok {
		a.Value = slog.StringValue(d.Round(100 * time.Microsecond).String())
	}
	return a
}

// textWriter writes lines of JSON as text for people.
type textWriter struct{ to io.Writer }

func (w textWriter) Write(line []byte) (int, error) {
	text := line
	if e, ok := Parse(line); ok {
		text = []byte(e.Line(nil) + "\n")
	}
	if _, err := w.to.Write(text); err != nil {
		return 0, err
	}
	return len(line), nil
}

// Publishing is a log whose lines from info on go to subscribers, too, as JSON,
// whatever the level and the form of the log are. While nobody has subscribed
// they cost nothing. Publish must not block, and must not keep the line.
func Publishing(log *Log, subscribed func() bool, publish func(line []byte)) *Log {
	json := jsonHandler(publisher(publish), slog.LevelInfo)
	return To(slog.NewMultiHandler(log.to.Handler(), subscribers{json, subscribed}))
}

type publisher func(line []byte)

func (p publisher) Write(line []byte) (int, error) {
	p(line)
	return len(line), nil
}

// subscribers is a handler that has nothing to do while there are none.
type subscribers struct {
	slog.Handler
	subscribed func() bool
}

func (s subscribers) Enabled(ctx context.Context, level slog.Level) bool {
	return s.subscribed() && s.Handler.Enabled(ctx, level)
}
