package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"server-starter/initd/scoreboard"
	"server-starter/initd/worker"
)

// scores measures what a worker pays for saying that it is busy and that it is idle again.
func (b *bench) scores() ([]row, error) {
	board, err := scoreboard.Create("", 1)
	if err != nil {
		return nil, err
	}
	defer board.Close()
	var update sample
	for range b.rounds(20) {
		line, _ := board.Claim(1, 0)
		cost, err := b.score(board.FD(), line)
		if err != nil {
			return nil, err
		}
		board.Release(line)
		update = append(update, cost)
	}
	r := row{what: "one update of the scoreboard by a worker in Go, of the two that a request takes", bar: "< 50 ns"}
	r.set("initd", update.in("%.1f ns"))
	r.verdict(update.median() < 50)
	return []row{r}, nil
}

// score has a worker of its own make many updates, and returns the time for one in nanoseconds.
func (b *bench) score(fd, line int) (float64, error) {
	reports, theirs, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer reports.Close()
	pid, err := syscall.ForkExec(b.self, []string{b.self, "scorer"}, &syscall.ProcAttr{
		Env:   append(os.Environ(), "SERVER_STARTER_SCOREBOARD=3", "SERVER_STARTER_SCOREBOARD_ROW="+strconv.Itoa(line)),
		Files: []uintptr{0, theirs.Fd(), 2, uintptr(fd)},
	})
	theirs.Close()
	if err != nil {
		return 0, err
	}
	defer syscall.Wait4(pid, nil, 0, nil)
	var cost float64
	if _, err := fmt.Fscan(reports, &cost); err != nil {
		return 0, fmt.Errorf("the worker does not say what it took: %w", err)
	}
	return cost, nil
}

// playScorer is that worker.
func playScorer() {
	const requests = 1_000_000
	worker.Idle()
	from := clock(unix.CLOCK_PROCESS_CPUTIME_ID) // others may want the processor, too
	for range requests {
		worker.Busy()
		worker.Idle()
	}
	took := clock(unix.CLOCK_PROCESS_CPUTIME_ID) - from
	if os.Getenv("SERVER_STARTER_SCOREBOARD") != "" { // it is there still, so it was not taken
		log.Fatal("no scoreboard")
	}
	fmt.Println(float64(took.Nanoseconds()) / (2 * requests))
}
