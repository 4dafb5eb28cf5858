package control

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// receiveOutcomes are what comes up to the final outcome.
func (p *peer) receiveOutcomes(id int64) (outcomes []Outcome) {
	p.t.Helper()
	for {
		a := p.receive()
		if a.Answer != "outcome" || a.ID != id {
			p.t.Fatalf("%+v is no outcome for %d", a, id)
		}
		outcomes = append(outcomes, *a.Outcome)
		if a.Outcome.Final {
			return outcomes
		}
	}
}

func TestAwait(t *testing.T) {
	in := start(t)
	told := []Outcome{
		{Ticket: 1, Outcome: "begun", Generation: 1},
		{Ticket: 1, Outcome: "failed", Generation: 1, Reason: "status 3", Next: 1},
		{Ticket: 1, Outcome: "begun", Generation: 2},
		{Ticket: 1, Outcome: "ready", Generation: 2, Final: true},
		{Ticket: 2, Outcome: "begun", Generation: 3},
		{Ticket: 2, Outcome: "failed", Generation: 3, Reason: "status 3", Next: 1},
		{Ticket: 2, Outcome: "superseded", By: 3, Final: true},
		{Ticket: 1, Outcome: "lost", Generation: 2, Reason: "status 3", Final: true},
		{Ticket: 3, Outcome: "begun", Generation: 4},
	}
	for _, o := range told {
		in.PublishOutcome(o)
	}
	p := in.connect()
	for ticket, want := range map[int][]Outcome{1: append(slices.Clone(told[:3]), told[7]), 2: told[4:7]} { // that are over, the first not as it was told at first
		a := p.ask(fmt.Sprintf(`{"request":"await","ticket":%d,"id":9}`, ticket))
		if a.Answer != AskAwait || a.Ticket != ticket {
			t.Errorf("%+v", a)
		}
		if got := p.receiveOutcomes(9); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("ticket %d: %+v instead of %+v", ticket, got, want)
		}
	}
	p.ask(`{"request":"await","ticket":3,"id":10}`) // that runs
	if a := p.receive(); a.Outcome.Generation != 4 {
		t.Errorf("%+v", a)
	}
	in.PublishOutcome(Outcome{Ticket: 3, Outcome: "stopped", Final: true})
	if got := p.receiveOutcomes(10); len(got) != 1 || got[0].Outcome != "stopped" {
		t.Errorf("%+v", got)
	}
	if a := p.ask(`{"request":"await","ticket":4}`); a.Code != NotFound {
		t.Errorf("%+v", a)
	}
}

// An outcome that is no longer kept is not waited for.
func TestForgotten(t *testing.T) {
	in := start(t)
	in.PublishOutcome(Outcome{Ticket: 1, Outcome: "begun"})
	in.PublishOutcome(Outcome{Ticket: 1, Outcome: "ready", Final: true})
	for range keptOutcomes {
		in.PublishOutcome(Outcome{Ticket: 2, Outcome: "failed"})
	}
	p := in.connect()
	p.ask(`{"request":"await","ticket":1,"id":7}`)
	if a := p.receive(); a.Code != NotFound || a.ID != 7 {
		t.Errorf("%+v", a)
	}
	// The older outcomes of one that is not over are not, either, but it is.
	p.ask(`{"request":"await","ticket":2}`)
	for range keptOutcomes {
		p.receive()
	}
	in.PublishOutcome(Outcome{Ticket: 2, Outcome: "refused", Final: true})
	if got := p.receiveOutcomes(0); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// As many as may wait for a swap, which share a ticket, are told all of it.
func TestManyFollow(t *testing.T) {
	in := start(t)
	const attempts = 20
	var asked sync.WaitGroup
	asked.Add(maxWaiting)
	in.answer = func(c Call) {
		answer(c)
		asked.Done()
	}
	var followers sync.WaitGroup
	for i := range maxWaiting {
		p := in.connect()
		followers.Go(func() {
			p.send(fmt.Sprintf(`{"request":"swap","wait":true,"id":%d}`+"\n", i+1))
			if a := p.receive(); a.Ticket != 3 {
				t.Errorf("%+v", a)
			}
			outcomes := p.receiveOutcomes(int64(i + 1))
			if len(outcomes) != attempts {
				t.Errorf("client %d was told %d outcomes", i, len(outcomes))
			}
			for n, o := range outcomes {
				if o.Generation != n+1 {
					t.Errorf("client %d was told %+v as number %d", i, o, n)
				}
			}
		})
	}
	asked.Wait()
	for n := range attempts {
		in.PublishOutcome(Outcome{Ticket: 3, Outcome: "failed", Generation: n + 1, Final: n == attempts-1})
	}
	followers.Wait()
}
