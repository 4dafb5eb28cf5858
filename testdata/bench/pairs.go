package main

import (
	"fmt"
	"slices"
)

// other is the column of the initd that the built one is compared with.
const other = "the other"

// slower is how many times the other's a median may be.
const slower = 1.05

// pairs is the section with two initds and the ratio of their medians, and in brackets the quartiles of the ratios
// round by round.
func (s section) pairs() string {
	var lines [][]string
	for _, r := range s.rows {
		if r.cells[other] == "" {
			continue
		}
		lines = append(lines, slices.Concat([]string{r.what, r.cells["initd"], r.cells[other]}, r.compared()))
	}
	return s.table([]string{"what", "initd", other, "ratio", fmt.Sprintf("≤ %g times", slower)}, lines)
}

// compared is the ratio and the verdict. Nothing is to be compared with 0.
func (r row) compared() []string {
	this, that := r.samples["initd"], r.samples[other]
	if len(this) == 0 || len(that) == 0 || that.median() == 0 {
		return []string{"", ""}
	}
	ratio, rounds := this.median()/that.median(), this.over(that)
	text := fmt.Sprintf("%.3f (%.2f–%.2f)", ratio, rounds.quantile(0.25), rounds.quantile(0.75))
	if r.more {
		ratio = 1 / ratio
	}
	r.verdict(ratio <= slower)
	return []string{text, r.ok}
}

// inTurn is all, or the reverse in every other round, so that who comes first makes no difference.
func inTurn[T any](round int, all []T) []T {
	all = slices.Clone(all)
	if round%2 == 1 {
		slices.Reverse(all)
	}
	return all
}
