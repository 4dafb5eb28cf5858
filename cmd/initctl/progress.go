package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress shows what is waited for: on a terminal in one line, which shows how
// long it has been and goes away in the end, and elsewhere in a line each.
type progress struct {
	w    io.Writer
	live bool

	mu    sync.Mutex
	text  string
	since time.Time
	over  chan struct{} // of the live line
	done  sync.WaitGroup
}

const clearLine = "\r\x1b[K" // ECMA-48, EL

func (t *tool) progress() *progress {
	p := &progress{w: t.stderr, live: isTerminal(t.stderr) && !t.dumb(), over: make(chan struct{})}
	if p.live {
		p.done.Go(p.run)
	}
	return p
}

// waitFor shows that something else is waited for now.
func (p *progress) waitFor(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text = printable(text)
	p.text, p.since = text, time.Now()
	p.show()
	if !p.live {
		fmt.Fprintln(p.w, text)
	}
}

// note leaves a text behind.
func (p *progress) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live {
		io.WriteString(p.w, clearLine)
	}
	fmt.Fprintln(p.w, printableLines(text))
	p.show()
}

// end may be called again.
func (p *progress) end() {
	if !p.live {
		return
	}
	p.live = false
	close(p.over)
	p.done.Wait()
	io.WriteString(p.w, clearLine)
}

func (p *progress) run() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.mu.Lock()
			p.show()
			p.mu.Unlock()
		case <-p.over:
			return
		}
	}
}

func (p *progress) show() {
	if p.live && p.text != "" {
		fmt.Fprintf(p.w, "%s%s … %.1fs", clearLine, p.text, time.Since(p.since).Seconds())
	}
}
