package main

import (
	"fmt"
	"strconv"
	"time"

	"server-starter/initd/eventlog"
)

// span is a duration in at most two units: 4ms, 0.25s, 12s, 3m20s, 5h3m, 12d4h.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case 0 < d && d < 10*time.Millisecond:
		return fmt.Sprintf("%dms", max(d.Round(time.Millisecond)/time.Millisecond, 1))
	case d < 10*time.Second:
		hundredths := d.Round(10*time.Millisecond) / (10 * time.Millisecond)
		return strconv.FormatFloat(float64(hundredths)/100, 'f', -1, 64) + "s" // Seconds() of 3.47s prints 3.4699999999999998
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return pair(d, time.Minute, "m", time.Second, "s")
	case d < 24*time.Hour:
		return pair(d, time.Hour, "h", time.Minute, "m")
	}
	return pair(d, 24*time.Hour, "d", time.Hour, "h")
}

func pair(d, large time.Duration, l string, small time.Duration, s string) string {
	text := fmt.Sprintf("%d%s", d/large, l)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf("%d%s", rest, s)
	}
	return text
}

func seconds(s float64) string { return span(time.Duration(s * float64(time.Second))) }

// size is bytes in powers of 1024, as the setting max-memory has them.
func size(bytes int64) string {
	if bytes < 1024 {
		return strconv.FormatInt(bytes, 10)
	}
	value, unit := float64(bytes), 0
	for value >= 1024 && unit < 4 {
		value /= 1024
		unit++
	}
	digits := 0
	if value < 10 {
		digits = 1
	}
	return strconv.FormatFloat(value, 'f', digits, 64) + " KMGT"[unit:unit+1]
}

// count is a number of things: 1 worker, 2 workers.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// cut is text of at most width characters.
func cut(text string, width int) string {
	if letters := []rune(text); len(letters) > width {
		return string(letters[:width-1]) + "…"
	}
	return text
}

// printable is text without what a terminal would obey: it was written by workers.
func printable(text string) string { return eventlog.Printable(text) }

// printableLines is that of several lines.
func printableLines(text string) string { return eventlog.PrintableLines(text) }
