package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"server-starter/initd/worker"
)

// growths measures how long connections wait before a pool without a scoreboard grows for them.
func (b *bench) growths() ([]row, error) {
	waits := make(samples)
	for round := range b.rounds(20) {
		for _, p := range inTurn(round, b.initds()) {
			wait, err := b.growth(p)
			if err != nil {
				return nil, err
			}
			waits.of(p.name).add(wait)
		}
	}
	r := row{what: "a connection waits, and nobody is there to accept it: from then to one worker more", bar: "< 1000 ms"}
	r.fill(waits, milliseconds)
	r.verdict(waits.of("initd").median() < 1000)
	return []row{r}, nil
}

// growth has a pool of one worker grow once.
func (b *bench) growth(p program) (time.Duration, error) {
	address, err := b.unused("tcp")
	if err != nil {
		return 0, err
	}
	k, err := start(p.name, p.keep([]string{"--port=" + address, "--max-workers=4", "--min-idle=0"}, b.self, "loner"))
	if err != nil {
		return 0, err
	}
	defer k.kill()
	first, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer first.Close()
	first.SetDeadline(time.Now().Add(timeout))
	if _, err := first.Read(make([]byte, 1)); err != nil {
		return 0, fmt.Errorf("the worker accepts nothing: %w", err)
	}
	asked := monotonic()
	second, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer second.Close()
	e, err := k.next()
	if err != nil {
		return 0, err
	}
	if e.what != "began" {
		return 0, k.failed("has a worker that is not the next: " + e.what)
	}
	if _, err := k.next(); err != nil { // it is ready: none is to be left half started
		return 0, err
	}
	first.Close()
	second.Close()
	return e.at - asked, k.stop()
}

// playLoner is a worker that has one connection at a time, for as long as the client likes, and that writes nothing on the
// scoreboard. TERM ends it at once.
func playLoner() {
	listeners, err := worker.Listeners()
	if err != nil {
		log.Fatal(err)
	}
	if err := worker.Ready(); err != nil {
		log.Fatal(err)
	}
	write(event{"began", os.Getpid(), began}, event{"ready", os.Getpid(), monotonic()})
	for {
		c, err := listeners[0].Accept()
		if err != nil {
			log.Fatal(err)
		}
		c.Write([]byte("+"))
		c.Read(make([]byte, 1))
		c.Close()
	}
}
