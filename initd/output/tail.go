package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"server-starter/initd/eintr"

	"golang.org/x/sys/unix"
)

// Relay passes on what workers write, each to a pipe of its own, to the one stream
// that would be their stderr without it, and keeps the last lines of each.
//
// What one worker writes stays in order, and nothing is lost as long as somebody
// reads the stream. If nobody reads it just now, the text stays in the pipes, and a
// worker waits in write(2) as it would without the relay. If the stream is broken,
// the text is dropped.
//
// Text is passed on as it comes, whether a line is complete or not, in pieces of at
// most 4096 bytes, which a pipe keeps together; pipe(7). Where more is cut into
// pieces it is cut at the end of a line if there is one. So lines of at most 4096
// bytes that are written with one write(2) stay whole, as without the relay.
type Relay struct {
	to         Stream
	lines, uid int
	start      func(func())

	// The goroutine of a worker's pipe holds the mutex while it reads from the pipe
	// and writes to the stream. So one thread at most is in write(2), where it may
	// stay for ever; the other goroutines wait for the mutex or in the runtime's
	// poller, which takes no thread.
	turn   sync.Mutex
	buffer []byte // belongs to who holds turn

	mu    sync.Mutex // never held while anything blocks
	tails map[*Tail]bool
	most  int // tails that there may be at a time
}

// NewRelay returns a relay to a file descriptor that keeps the given number of
// lines of each worker. Workers run as the user uid. Start starts a goroutine.
func NewRelay(to, lines, uid int, start func(func())) *Relay {
	r := &Relay{start: start, to: NewStream(to), lines: lines, uid: uid, buffer: make([]byte, size), tails: map[*Tail]bool{}, most: 512}
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		r.most = int(min(files.Cur, 1<<20) / 2)
	}
	return r
}

// Tail is one worker's pipe. Its write end, which is blocking and close-on-exec,
// is the worker's stderr; the caller closes it once the worker was started, so that
// the pipe is at its end when the worker and its descendants have closed theirs. The
// read end is the relay's.
type Tail struct {
	*Pipe
	relay   *Relay
	source  *os.File // the read end
	conn    syscall.RawConn
	done    chan struct{} // closed when all that will ever be written was passed on
	partial []byte        // the beginning of a line that was read and not passed on, so that it stays whole

	mu   sync.Mutex // held from reading the pipe until last has what was read
	last last
}

// Open returns a tail for a worker that is to be started. There are at most half
// as many as there may be open files: a pipe is there for as long as somebody holds
// its end, and a worker could hold many of them until initd can open no file.
func (r *Relay) Open() (*Tail, error) {
	r.mu.Lock()
	full := len(r.tails) >= r.most
	r.mu.Unlock()
	if full {
		return nil, fmt.Errorf("%d pipes of workers are open, which is the limit", r.most)
	}
	pipe, err := NewPipe(r.uid)
	if err != nil {
		return nil, err
	}
	// The ends of a pipe have descriptions of their own: the worker's still blocks.
	unix.SetNonblock(pipe.Read, true)
	t := &Tail{Pipe: pipe, relay: r, source: os.NewFile(uintptr(pipe.Read), "tail"), done: make(chan struct{})}
	t.conn, _ = t.source.SyscallConn()
	if err := t.source.SetReadDeadline(time.Time{}); err != nil {
		// The poller does not take it: epoll_ctl(2) has limits of its own.
		t.source.Close()
		t.CloseWrite()
		return nil, fmt.Errorf("pipe: %w", err)
	}
	r.mu.Lock()
	r.tails[t] = true
	r.mu.Unlock()
	r.start(t.run)
	return t, nil
}

// Lines returns the last lines that were written until now, the oldest first; the
// newest may be incomplete. There are at most as many as the relay keeps, and 4096
// bytes in all. Each is cut at 512 bytes and comes without its newline; what is not
// UTF-8 is replaced. What is still in the pipe counts, even if the stream hangs, so
// after a worker was reaped these are the last lines it has written. Any goroutine
// may call it.
func (t *Tail) Lines() []string {
	t.mu.Lock()
	last := t.last
	last.ring = slices.Clone(last.ring)
	t.conn.Control(func(fd uintptr) { peek(int(fd), last.note) })
	t.mu.Unlock()
	return last.lines(t.relay.lines)
}

// peek reads what is in a pipe and leaves it there, tee(2). That takes a second
// pipe: where it cannot have the size of the first, only the beginning is read, and
// where there can be none at all, nothing.
func peek(fd int, to func([]byte)) {
	if length, err := unix.IoctlGetInt(fd, unix.TIOCINQ); err != nil || length == 0 { // FIONREAD
		return
	}
	var copied [2]int
	if unix.Pipe2(copied[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return
	}
	defer unix.Close(copied[0])
	defer unix.Close(copied[1])
	capacity, _ := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
	if own, _ := unix.FcntlInt(uintptr(copied[1]), unix.F_GETPIPE_SZ, 0); own < capacity {
		unix.FcntlInt(uintptr(copied[1]), unix.F_SETPIPE_SZ, capacity)
	}
	unix.Tee(fd, copied[1], capacity, unix.SPLICE_F_NONBLOCK)
	buffer := make([]byte, pipeBuf)
	for {
		n, err := read(copied[0], buffer)
		if err != nil {
			return
		}
		to(buffer[:n])
	}
}

func (t *Tail) run() {
	defer func() {
		t.source.Close()
		t.relay.mu.Lock()
		delete(t.relay.tails, t)
		t.relay.mu.Unlock()
		close(t.done)
	}()
	var end error
	pass := func(fd uintptr) bool {
		_, end = t.pass(int(fd))
		return end != unix.EAGAIN
	}
	for {
		err := t.conn.Read(pass)
		if errors.Is(err, os.ErrDeadlineExceeded) { // Close
			t.conn.Control(t.passLeft)
			return
		}
		if err != nil || end != nil {
			return
		}
	}
}

// passLeft passes on what is in the pipe by now, and no more: somebody may go on
// writing, faster than it can be read.
func (t *Tail) passLeft(fd uintptr) {
	left, _ := unix.IoctlGetInt(int(fd), unix.TIOCINQ) // FIONREAD
	for left > 0 {
		n, err := t.pass(int(fd))
		if err != nil {
			return
		}
		left -= n
	}
	t.relay.turn.Lock()
	t.relay.write(t.partial, false)
	t.relay.turn.Unlock()
}

// pass reads once and passes on what it has read, of which n is the length.
func (t *Tail) pass(fd int) (n int, err error) {
	r := t.relay
	r.turn.Lock()
	defer r.turn.Unlock()
	before := copy(r.buffer, t.partial)
	t.mu.Lock()
	if n, err = read(fd, r.buffer[before:]); err == nil {
		t.last.note(r.buffer[before : before+n])
	}
	t.mu.Unlock()
	full := before+n == len(r.buffer) // so there may be more of the last line
	partial := r.write(r.buffer[:before+n], full)
	if t.partial = append(t.partial[:0], partial...); n == 0 {
		t.partial = nil // who has written nothing needs no memory
	}
	return n, err
}

// write writes text to the stream, where more may follow, and returns what it has
// left out: the beginning of a line that may be incomplete.
func (r *Relay) write(text []byte, more bool) (partial []byte) {
	for len(text) > 0 {
		piece := text[:min(len(text), pipeBuf)]
		if more || len(piece) < len(text) {
			if end := bytes.LastIndexByte(piece, '\n'); end >= 0 {
				piece = piece[:end+1]
			} else if len(piece) < pipeBuf {
				return piece
			}
		}
		r.to.Write(piece) // if it is broken there is nowhere else to write
		text = text[len(piece):]
	}
	return nil
}

// Close passes on what is in the pipes by now, as long as that takes no longer
// than the limit. Whoever writes to one later gets EPIPE.
func (r *Relay) Close(limit time.Duration) {
	over := time.After(limit)
	r.mu.Lock()
	tails := slices.Collect(maps.Keys(r.tails))
	r.mu.Unlock()
	for _, t := range tails {
		t.source.SetReadDeadline(time.Now()) // wakes it
	}
	for _, t := range tails {
		select {
		case <-t.done:
		case <-over: // the stream hangs
			return
		}
	}
}

// last keeps the end of a text, of each line the beginning.
type last struct {
	ring   []byte // nil until there is something
	at     int    // where the next byte goes
	around bool   // the ring is full: the oldest byte is the one at that place
	length int    // of the newest line, which has no newline yet
}

// note adds text, which goes on where the one before has ended.
func (l *last) note(text []byte) {
	for len(text) > 0 {
		line, rest, ended := bytes.Cut(text, newline)
		line = line[:min(len(line), lineSize-l.length)]
		l.put(line)
		l.length += len(line)
		if ended {
			l.put(newline)
			l.length = 0
		}
		text = rest
	}
}

func (l *last) put(text []byte) {
	if l.ring == nil {
		l.ring = make([]byte, ringSize)
	}
	for len(text) > 0 {
		n := copy(l.ring[l.at:], text)
		if l.at += n; l.at == len(l.ring) {
			l.at, l.around = 0, true
		}
		text = text[n:]
	}
}

// lines are the newest, n at most.
func (l *last) lines(n int) []string {
	text := string(l.ring[:l.at])
	if l.around {
		_, text, _ = strings.Cut(string(l.ring[l.at:])+text, "\n") // the first has lost its beginning
	}
	if text == "" {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	lines = lines[max(len(lines)-n, 0):]
	for i, line := range lines {
		lines[i] = strings.ToValidUTF8(line, "\uFFFD")
	}
	return lines
}

// read is read(2), with io.EOF at the end of a file.
func read(fd int, buffer []byte) (int, error) {
	n := 0
	err := eintr.Retry(func() (err error) { n, err = unix.Read(fd, buffer); return err })
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

var newline = []byte{'\n'}

const (
	pipeBuf  = 4096 // PIPE_BUF: bytes that a pipe keeps together, pipe(7)
	ringSize = 4096
	lineSize = 512
)
