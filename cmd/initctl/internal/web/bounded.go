package web

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// bounded keeps the number of connections in bounds by closing the one that has
// been silent for longest. Not to accept any more would be simpler, but then
// clients that connect and send nothing would keep the checks out until they have
// timed out, and a container whose checks fail is ended.
type bounded struct {
	most int

	mu     sync.Mutex
	silent list.List // net.Conns whose next request has not come, the oldest first
	served list.List // net.Conns whose request is being answered, likewise
	places map[net.Conn]place
}

type place struct {
	in *list.List
	at *list.Element
}

// note is the server's ConnState. It gets the state new before the next
// connection is accepted, and active when a request has been read.
func (b *bounded) note(conn net.Conn, state http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p, known := b.places[conn]; known {
		p.in.Remove(p.at)
		delete(b.places, conn)
	} else if state != http.StateNew {
		return // was closed here
	}
	switch state {
	case http.StateNew, http.StateIdle:
		b.keep(&b.silent, conn)
	case http.StateActive:
		b.keep(&b.served, conn)
	}
	for len(b.places) > b.most {
		oldest := b.silent.Front()
		if b.served.Len() > 0 && b.silent.Len() == 1 && oldest.Value == conn {
			oldest = b.served.Front() // the only silent one is new
		}
		p := b.places[oldest.Value.(net.Conn)]
		p.in.Remove(p.at)
		delete(b.places, oldest.Value.(net.Conn))
		oldest.Value.(net.Conn).Close()
	}
}

func (b *bounded) keep(in *list.List, conn net.Conn) {
	if b.places == nil {
		b.places = map[net.Conn]place{}
	}
	b.places[conn] = place{in, in.PushBack(conn)}
}
