package main

import (
	"bufio"
	"os"
	"syscall"
	"time"
)

// swaps measures how long the two steps of a swap take that are the supervisor's own: from HUP to the new worker, above
// what starting a worker takes anyway, and from readiness to the old one's TERM.
func (b *bench) swaps() ([]row, error) {
	var keepers []*keeper
	for _, p := range b.keepers() {
		k, err := start(p.name, p.keep([]string{"--port=127.0.0.1:0"}, b.self, "worker"))
		if err != nil {
			return nil, err
		}
		defer k.kill()
		keepers = append(keepers, k)
	}
	time.Sleep(2 * time.Second) // start_server sleeps on after its first start

	bare, begins, above, stops := new(sample), make(samples), make(samples), make(samples)
	for round := range b.rounds(60) {
		alone, err := b.bare()
		if err != nil {
			return nil, err
		}
		bare.add(alone)
		for _, k := range inTurn(round, keepers) {
			s, err := k.swap()
			if err != nil {
				return nil, err
			}
			begins.of(k.name).add(s.began - s.asked)
			above.of(k.name).add(s.began - s.asked - alone)
			stops.of(k.name).add(s.term - s.ready)
			pause()
		}
	}
	if err := stopAll(keepers); err != nil {
		return nil, err
	}
	stop := row{what: "the new worker's READY=1 to the old one's TERM", bar: "< 2 ms"}
	stop.fill(stops, milliseconds)
	stop.verdict(stops["initd"].median() < 2)
	begin := row{what: "HUP to the new worker's first instruction, above a bare fork and exec of it, " + bare.in(milliseconds), bar: "< 4 ms"}
	begin.fill(above, milliseconds)
	begin.verdict(above["initd"].median() < 4)
	for name, s := range begins { // a difference has no ratio
		begin.compare(name, *s)
	}
	return []row{stop, begin}, nil
}

// seen measures a swap between workers that say nothing: initd sees when they accept, where start_server takes the
// interval for readiness, which both have 1s of.
func (b *bench) seen() ([]row, error) {
	took := make(samples)
	var keepers []*keeper
	for _, p := range b.keepers() {
		flags := []string{"--port=127.0.0.1:0", "--interval=1"}
		if isInitd(p.name) {
			flags = append(flags, "--ready=accepting") // READY=1 does not count
		}
		k, err := start(p.name, p.keep(flags, b.self, "worker"))
		if err != nil {
			return nil, err
		}
		defer k.kill()
		keepers = append(keepers, k)
	}
	time.Sleep(2 * time.Second) // until their first workers are ready
	for round := range b.rounds(10) {
		for _, k := range inTurn(round, keepers) {
			s, err := k.swap()
			if err != nil {
				return nil, err
			}
			took.of(k.name).add(s.term - s.asked)
			pause()
		}
	}
	if err := stopAll(keepers); err != nil {
		return nil, err
	}
	r := row{what: "HUP to the old worker's TERM, where the new one is ready once it has lived for interval=1s and is seen to accept", bar: "< 1100 ms"}
	r.fill(took, milliseconds)
	r.verdict(took["initd"].median() < 1100)
	return []row{r}, nil
}

// pause lets processes end and be reaped, so that what was measured last does not disturb what comes next.
func pause() { time.Sleep(30 * time.Millisecond) }

// bare starts a worker with nobody in between and returns how long it took to its first instruction.
func (b *bench) bare() (time.Duration, error) {
	events, theirs, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer events.Close()
	asked := monotonic()
	pid, err := syscall.ForkExec(b.self, []string{b.self, "worker"}, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, theirs.Fd(), 2},
	})
	theirs.Close()
	if err != nil {
		return 0, err
	}
	line, err := bufio.NewReader(events).ReadString('\n')
	if err != nil {
		return 0, err
	}
	e, err := parse(line)
	syscall.Kill(pid, syscall.SIGKILL)
	syscall.Wait4(pid, nil, 0, nil)
	pause()
	return e.at - asked, err
}
