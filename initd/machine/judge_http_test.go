package machine

func (j *judge) judgeHTTP(action Action) {
	k := &j.http
	switch action.(type) {
	case StartHTTP:
		if k.runs || k.at.IsZero() || j.now.Before(k.at) || j.phase >= orphaned {
			broken("I37", "%v is not due", action)
		}
		if k.failures > 0 {
			j.mark("the HTTP process started again")
		}
		k.runs, k.started = true, j.now
	case StopHTTP:
		if !k.runs || !j.policy.LeaveOrphans || j.phase != terminating || j.awaited() > 0 {
			broken("I37", "%v is not due", action)
		}
		j.mark("the HTTP process stopped")
		k.runs = false
	}
}
