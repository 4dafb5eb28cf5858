package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A sample is what was measured, over and over.
type sample []float64

// Formats of a sample.
const (
	milliseconds = "%.2f ms"
	kilobytes    = "%.0f KB"
)

// add adds a duration, in milliseconds.
func (s *sample) add(d time.Duration) { *s = append(*s, d.Seconds()*1e3) }

// count adds a number.
func (s *sample) count(n int) { *s = append(*s, float64(n)) }

// median is the middle value.
func (s sample) median() float64 { return s.quantile(0.5) }

// quantile interpolates between the two nearest values.
func (s sample) quantile(q float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// in is the median and, in brackets, the quartiles. The format may have a unit.
func (s sample) in(format string) string {
	verb, unit, _ := strings.Cut(format, " ")
	text := fmt.Sprintf(verb+" "+unit, s.median())
	return strings.TrimSpace(text) + fmt.Sprintf(" ("+verb+"–"+verb+")", s.quantile(0.25), s.quantile(0.75))
}

// over is, round by round, how many times the other sample this one is.
func (s sample) over(other sample) (ratios sample) {
	for i := range min(len(s), len(other)) {
		ratios = append(ratios, s[i]/other[i])
	}
	return ratios
}

// samples are those of several programs, taken in turn.
type samples map[string]*sample

// of is the sample of one of them.
func (m samples) of(program string) *sample {
	if m[program] == nil {
		m[program] = new(sample)
	}
	return m[program]
}

// ratio is a row of how many times tini's each sample is, with what initd's may be at most.
func (m samples) ratio(what string, bar float64) row {
	r := row{what: what, bar: fmt.Sprintf("≤ %g times", bar)}
	tini := m["tini"]
	if tini == nil {
		return r // there is nothing to compare with, nor to pass
	}
	for name, s := range m {
		ratios := s.over(*tini)
		r.set(name, ratios.in("%.2f"))
		if name == "initd" {
			r.verdict(ratios.median() <= bar)
		}
	}
	return r
}
