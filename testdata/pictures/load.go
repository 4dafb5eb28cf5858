package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// A load is clients that make requests, one after the other, until it is ended.
type load struct {
	done    chan struct{}
	clients sync.WaitGroup
	mu      sync.Mutex
	lost    error
}

// press starts clients, of which two make requests that take seconds.
func press(address string) *load {
	l := &load{done: make(chan struct{})}
	for i := range 6 {
		pause := 40 * time.Millisecond
		if i < 2 {
			pause = 2 * time.Second
		}
		l.clients.Go(func() {
			for {
				l.note(request(address, pause/2+rand.N(pause)))
				select {
				case <-l.done:
					return
				case <-time.After(rand.N(pause)):
				}
			}
		})
	}
	return l
}

// once makes a single request, which takes a while.
func (l *load) once(address string, pause time.Duration) {
	l.clients.Go(func() { l.note(request(address, pause)) })
}

// note keeps the error of a request that was lost.
func (l *load) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = errors.Join(l.lost, err)
}

// client makes a connection for each request, so that all workers get some.
var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// request makes a request that takes a while.
func request(address string, pause time.Duration) error {
	answer, err := client.Get("http://" + address + "/?pause=" + pause.String())
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// end ends the load. It fails if a request was lost, which no swap may have as its consequence.
func (l *load) end() error {
	close(l.done)
	l.clients.Wait()
	if l.lost != nil {
		return fmt.Errorf("requests were lost: %w", l.lost)
	}
	return nil
}
