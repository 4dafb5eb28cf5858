package eventlog

import (
	"context"
	"log/slog"
)

// Log is initd's log. A line is of a [Kind], and has a message and what slog
// takes as arguments: keys and values.
type Log struct{ to *slog.Logger }

// To returns a log of the lines that a handler takes.
func To(h slog.Handler) *Log { return &Log{slog.New(h)} }

// Debug logs a line of level debug.
func (l *Log) Debug(k Kind, text string, args ...any) { l.Log(slog.LevelDebug, k, text, args...) }

// Info logs a line of level info.
func (l *Log) Info(k Kind, text string, args ...any) { l.Log(slog.LevelInfo, k, text, args...) }

// Warn logs a line of level warn.
func (l *Log) Warn(k Kind, text string, args ...any) { l.Log(slog.LevelWarn, k, text, args...) }

// Error logs a line of level error.
func (l *Log) Error(k Kind, text string, args ...any) { l.Log(slog.LevelError, k, text, args...) }

// Log logs a line of any level.
func (l *Log) Log(level slog.Level, k Kind, text string, args ...any) {
	if ctx := context.Background(); l.to.Enabled(ctx, level) {
		l.to.Log(ctx, level, text, append([]any{"event", k.word}, args...)...)
	}
}
