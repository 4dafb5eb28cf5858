package control

import "sync"

// A journal keeps the last entries, for readers who come when they can. The writer
// never waits for a reader.
type journal[T any] struct {
	mu   sync.Mutex
	kept []T           // a ring: entry n is at n % cap
	next int64         // the number of the next entry
	more chan struct{} // closed when there is one; nil: nobody waits
}

func newJournal[T any](keep int) *journal[T] { return &journal[T]{kept: make([]T, 0, keep)} }

func (j *journal[T]) add(entry T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.kept) < cap(j.kept) {
		j.kept = append(j.kept, entry)
	} else {
		j.kept[j.next%int64(cap(j.kept))] = entry
	}
	j.next++
	if j.more != nil {
		close(j.more)
		j.more = nil
	}
}

// end is the number of the next entry.
func (j *journal[T]) end() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next
}

// from returns the entries from number n on, at most limit of them, and how many
// from n on are no longer kept. If there is none yet, it returns a channel that is
// closed when there is.
func (j *journal[T]) from(n int64, limit int) (entries []T, missed int64, more <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if oldest := j.next - int64(len(j.kept)); n < oldest {
		n, missed = oldest, oldest-n
	}
	for ; n < j.next && len(entries) < limit; n++ {
		entries = append(entries, j.kept[n%int64(cap(j.kept))])
	}
	if len(entries) > 0 {
		return entries, missed, nil
	}
	if j.more == nil {
		j.more = make(chan struct{})
	}
	return nil, missed, j.more
}
