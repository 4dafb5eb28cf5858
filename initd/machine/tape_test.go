package machine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A tape is where a schedule gets its chances from, and a record of them.
type tape struct {
	picks  []uint32
	at     int
	random *rand.Rand // for more than is recorded; else all is 0
}

func newTape(seed uint64) *tape { return &tape{random: rand.New(rand.NewPCG(seed, 0))} }

// pick is a number below n. 0 is always the dullest choice.
func (t *tape) pick(n int) int {
	if t.at == len(t.picks) {
		if t.random == nil {
			return 0
		}
		t.picks = append(t.picks, uint32(t.random.IntN(n)))
	}
	t.at++
	return int(t.picks[t.at-1]) % n
}

// again is the tape from its start, as far as it is recorded.
func (t *tape) again() *tape { return &tape{picks: slices.Clone(t.picks)} }

// story is a schedule that fails, and the shortest found that fails in the same way.
func (t *tape) story() string {
	w := play(t.again())
	if *brief {
		return w.err.Error()
	}
	short := play(t.shrink(2 * time.Second))
	return fmt.Sprintf("%v\nthe shortest schedule found that fails so:\n%s%v", w.err, short, short.err)
}

// shrink looks for a duller tape that breaks the same rule, for some time.
func (t *tape) shrink(limit time.Duration) *tape {
	best := t.again()
	rule := func(w *world) string {
		v := violation{}
		errors.As(w.err, &v)
		return v.rule
	}
	want := rule(play(best.again()))
	better := func(picks []uint32) bool {
		candidate := &tape{picks: picks}
		if rule(play(candidate)) != want {
			return false
		}
		best = &tape{picks: picks[:candidate.at]}
		return true
	}
	for end, again := time.Now().Add(limit), true; again; {
		again = false
		for size := max(len(best.picks)/2, 1); size > 0; size /= 2 {
			for i := 0; i+size <= len(best.picks); {
				if time.Now().After(end) {
					return best.again()
				}
				cut := slices.Delete(slices.Clone(best.picks), i, i+size)
				dull := slices.Clone(best.picks)
				clear(dull[i : i+size])
				switch {
				case better(cut):
					again = true
				case !slices.Equal(dull, best.picks) && better(dull):
					again = true
					i += size
				default:
					i += size
				}
			}
		}
	}
	return best.again()
}
