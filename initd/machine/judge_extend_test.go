package machine

import "time"

// noteExtended takes note of EXTEND_TIMEOUT_USEC=.
func (j *judge) noteExtended(e Extended) {
	u := j.worker(e.PID)
	if u == nil || u.killed || !u.ready.IsZero() && u.untouched() {
		return
	}
	u.extended = j.now.Add(e.By)
	switch {
	case !u.ended.IsZero():
		j.mark("stop-timeout extended")
	case !u.stopped.IsZero():
		j.mark("drain-timeout extended")
	default:
		j.mark("start-timeout extended")
	}
}

// extended is a limit, or until when a worker has extended it.
func extended(limit time.Time, u *seenWorker) time.Time {
	if limit.IsZero() || u.extended.Before(limit) {
		return limit
	}
	return u.extended
}

// killLimit is when a worker is killed at the stop.
func (j *judge) killLimit(u *seenWorker) time.Time {
	if j.forced {
		return j.killAt
	}
	return extended(j.killAt, u)
}

// batchLimit is when the first of a batch is not ready in time.
func (j *judge) batchLimit(g *seenGeneration) (first time.Time) {
	for slot := range g.places {
		p := &g.places[slot]
		if g.state == Probing || !p.inBatch || p.worker != nil && !p.worker.ready.IsZero() && p.worker.untouched() {
			continue
		}
		limit := j.startLimit(g.began)
		if p.worker != nil {
			limit = extended(limit, p.worker)
		}
		if first.IsZero() || limit.Before(first) {
			first = limit
		}
	}
	if first.IsZero() {
		return j.startLimit(g.began)
	}
	return first
}
