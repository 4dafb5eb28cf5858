package doctor

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A server is a worker that behaves well or badly, as its arguments say:
//
//	ready             it sends READY=1
//	late=1.5s         it accepts only then
//	greets, silent    it sends something first, or nothing at all
//	deaf              it never accepts
//	own=ADDRESS       it listens there, whatever it is passed
//	also=ADDRESS      it listens there, too
//	protocol=NGINX    it takes the descriptor in that variable, and else does as own says
//	stubborn          nothing but KILL ends it
//	abrupt            TERM and USR1 end it at once; at QUIT and INT it finishes its requests, as at TERM without
//	leaves            it leaves a process behind
//	unlinks           it removes the files of its sockets when it ends
//	dies=3            it writes why and exits with that status
//	alive=FIFO        it writes its pid there, and keeps it open
type server map[string]string

func newServer(args []string) server {
	s := server{}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		s[name] = value
	}
	return s
}

// serverCommand is the command line of a server.
func serverCommand(t *testing.T, behaviour ...string) []string {
	return append([]string{program(t, "test"), "server"}, behaviour...)
}

func (s server) is(behaviour string) bool { _, yes := s[behaviour]; return yes }

func (s server) run() int {
	if s.is("dies") {
		fmt.Fprintln(os.Stderr, "there is nothing to live for")
		status, _ := strconv.Atoi(s["dies"])
		return status
	}
	polite, rude := make(chan os.Signal, 1), make(chan os.Signal, 1)
	switch {
	case s.is("stubborn"):
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1)
	case s.is("abrupt"):
		signal.Notify(polite, syscall.SIGQUIT, syscall.SIGINT)
		signal.Notify(rude, syscall.SIGTERM, syscall.SIGUSR1)
	default:
		signal.Notify(polite, syscall.SIGTERM)
	}
	listeners, err := s.prepare()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if s.is("late") {
		d, _ := time.ParseDuration(s["late"])
		<-time.After(d)
	}
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Go(func() { s.accept(l) })
	}
	select {
	case <-polite:
	case <-rude:
		return 0
	}
	for _, l := range listeners {
		l.Close()
	}
	serving.Wait()
	return 0
}

// alive keeps the file open that shows that the server lives.
var alive *os.File

// prepare does what comes before the server accepts.
func (s server) prepare() (listeners []net.Listener, err error) {
	if s.is("leaves") {
		left := exec.Command("sleep", "1000")
		left.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := left.Start(); err != nil {
			return nil, err
		}
	}
	if s.is("alive") {
		if alive, err = os.OpenFile(s["alive"], os.O_WRONLY, 0); err != nil {
			return nil, err
		}
		fmt.Fprintln(alive, os.Getpid())
	}
	if listeners, err = s.listen(); err != nil {
		return nil, err
	}
	if s.is("ready") {
		err = notifyReady()
	}
	return listeners, err
}

// notifyReady is sd_notify(3).
func notifyReady() error {
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "READY=1")
	return err
}

// listen returns the listeners: those it is passed, unless it behaves otherwise.
func (s server) listen() (all []net.Listener, err error) {
	var fds []string
	switch passed := os.Getenv(s["protocol"]); {
	case passed != "":
		fds = []string{strings.TrimSuffix(passed, ";")}
	case s.is("own"):
		l, err := net.Listen("tcp", s["own"])
		return []net.Listener{l}, err
	case s.is("deaf"):
		return nil, nil
	default:
		for item := range strings.SplitSeq(os.Getenv("SERVER_STARTER_PORT"), ";") {
			fds = append(fds, item[strings.LastIndexByte(item, '=')+1:])
		}
	}
	if s.is("also") {
		l, err := net.Listen("tcp", s["also"])
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	for _, text := range fds {
		fd, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		l, err := net.FileListener(os.NewFile(uintptr(fd), "listener"))
		if err != nil {
			return nil, err
		}
		if l, ok := l.(*net.UnixListener); ok {
			l.SetUnlinkOnClose(s.is("unlinks"))
		}
		all = append(all, l)
	}
	return all, nil
}

func (s server) accept(l net.Listener) {
	var answering sync.WaitGroup
	defer answering.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		answering.Go(func() {
			defer conn.Close()
			if s.is("greets") {
				io.WriteString(conn, "220 hello\r\n")
				return
			}
			lines := bufio.NewReader(conn)
			for {
				line, err := lines.ReadString('\n')
				if err != nil {
					return
				}
				if strings.TrimSpace(line) == "" {
					break
				}
			}
			if s.is("silent") {
				io.Copy(io.Discard, lines)
				return
			}
			fmt.Fprintf(conn, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		})
	}
}
