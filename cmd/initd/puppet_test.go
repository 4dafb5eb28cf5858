package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/worker"
)

// A puppet is a worker, or any other process, that does what a test tells it. It is this test binary in
// a role, says who it is when it starts, and tells of each signal that it gets. TERM, INT and QUIT end
// it, unless it is stubborn; and it ends with the test in any case.

// A stage is where puppets appear.
type stage struct {
	*testing.T
	listener *net.UnixListener
	arrivals chan *puppet
}

func newStage(t *testing.T) *stage {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: "@" + initdtest.Unique()})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{T: t, listener: listener, arrivals: make(chan *puppet, 100)}
	var all []*net.UnixConn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.AcceptUnix()
			if err != nil {
				return
			}
			all = append(all, conn)
			s.welcome(conn)
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
		for _, conn := range all {
			conn.Close()
		}
	})
	return s
}

// puppet is the command line of a puppet. The options are its manners: "stubborn", "exit=3", and "eager",
// which is to serve and to say READY=1 without being told. Unless it is "deaf", it waits for connections
// on its sockets, and leaves them there until it is to serve.
func (s *stage) puppet(options ...string) []string {
	return append([]string{self, "puppet", s.listener.Addr().String()}, options...)
}

// next waits for the next puppet to appear.
func (s *stage) next() *puppet {
	s.Helper()
	select {
	case p := <-s.arrivals:
		return p
	case <-time.After(initdtest.Patience):
		s.Fatal("no worker has appeared")
	}
	return nil
}

// generation waits for the next puppet, which has to be a worker of that generation.
func (s *stage) generation(number int) *puppet {
	s.Helper()
	p := s.next()
	if p.Generation() != number {
		s.Fatalf("a worker of generation %d has appeared, not of %d", p.Generation(), number)
	}
	return p
}

// facts is what a puppet says of itself.
type facts struct {
	PID, Parent int // in its own namespace
	Args        []string
	Environ     []string
	Files       []int // open when it started
	Dir         string
}

// Value is that of a variable, and whether there is one.
func (f facts) Value(name string) (string, bool) {
	for _, kv := range f.Environ {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func (f facts) Generation() int {
	value, _ := f.Value("SERVER_STARTER_GENERATION")
	number, _ := strconv.Atoi(value)
	return number
}

// message is what comes from a puppet: first its facts, then signals and replies.
type message struct {
	Facts  *facts  `json:",omitempty"`
	Signal int     `json:",omitempty"`
	Reply  *string `json:",omitempty"`
	Error  string  `json:",omitempty"`
}

type puppet struct {
	*testing.T
	facts
	pid     int // in the namespace of the test
	conn    *net.UnixConn
	signals chan syscall.Signal
	replies chan message
	ended   chan struct{}
}

// welcome reads what a puppet says, from a goroutine of its own.
func (s *stage) welcome(conn *net.UnixConn) {
	p := &puppet{T: s.T, conn: conn,
		signals: make(chan syscall.Signal, 1000), replies: make(chan message, 1), ended: make(chan struct{})}
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			p.pid = int(peer.Pid)
		}
	})
	go func() {
		defer close(p.ended)
		for messages := json.NewDecoder(conn); ; {
			var m message
			switch err := messages.Decode(&m); {
			case err != nil:
				return
			case m.Facts != nil:
				p.facts = *m.Facts
				s.arrivals <- p
			case m.Signal != 0:
				p.signals <- syscall.Signal(m.Signal)
			default:
				p.replies <- m
			}
		}
	}()
}

// tell has the puppet do something that it may not survive.
func (p *puppet) tell(command ...string) {
	p.Helper()
	if err := json.NewEncoder(p.conn).Encode(command); err != nil {
		p.Fatalf("%q to worker %d of generation %d: %v", command, p.pid, p.Generation(), err)
	}
}

// do has the puppet do something, and returns what came of it.
func (p *puppet) do(command ...string) string {
	p.Helper()
	p.tell(command...)
	select {
	case m := <-p.replies:
		if m.Error != "" {
			p.Fatalf("worker %d of generation %d: %q: %s", p.pid, p.Generation(), command, m.Error)
		}
		return *m.Reply
	case <-p.ended:
		p.Fatalf("worker %d of generation %d ended at %q", p.pid, p.Generation(), command)
	case <-time.After(initdtest.Patience):
		p.Fatalf("worker %d of generation %d does not answer to %q", p.pid, p.Generation(), command)
	}
	return ""
}

// ready has the puppet say READY=1.
func (p *puppet) ready() {
	p.Helper()
	p.do("notify", "READY=1")
}

// serve has the puppet answer on all its listeners.
func (p *puppet) serve() *puppet {
	p.Helper()
	p.do("serve")
	return p
}

// gets waits for the next signal that the puppet gets, which has to be the one.
func (p *puppet) gets(want syscall.Signal) {
	p.Helper()
	select {
	case got := <-p.signals:
		if got != want {
			p.Fatalf("worker of generation %d got signal %d, not %d", p.Generation(), got, want)
		}
	case <-time.After(initdtest.Patience):
		p.Fatalf("worker of generation %d did not get signal %d", p.Generation(), want)
	}
}

// next waits for the next signal that the puppet gets, for so long; 0 is none.
func (p *puppet) next(limit time.Duration) syscall.Signal {
	select {
	case got := <-p.signals:
		return got
	case <-time.After(limit):
		return 0
	}
}

// received is the first signal that it was sent until now and that has not been looked at; 0 is none.
func (p *puppet) received() syscall.Signal {
	p.Helper()
	const mark = 64 // the kernel and the Go runtime hand on lower numbers first
	if err := syscall.Kill(p.pid, mark); err != nil {
		p.Fatal(err)
	}
	if got := p.next(initdtest.Patience); got != mark {
		return got
	}
	return 0
}

// ends waits for the end of the process.
func (p *puppet) ends() {
	p.Helper()
	select {
	case <-p.ended:
	case <-time.After(initdtest.Patience):
		p.Fatalf("worker %d of generation %d has not ended", p.pid, p.Generation())
	}
}

// lives fails the test if the process has ended or has got a signal.
func (p *puppet) lives() {
	p.Helper()
	select {
	case <-p.ended:
		p.Fatalf("worker %d of generation %d has ended", p.pid, p.Generation())
	case got := <-p.signals:
		p.Fatalf("worker of generation %d got signal %d", p.Generation(), got)
	default:
		p.do("nothing")
	}
}

// The other side.

// catchable are the signals that a puppet tells of. Those of job control suspend it.
func catchable() (all []os.Signal) {
	for n := syscall.Signal(1); n <= 64; n++ {
		switch n {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPROF,
			syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, 32, 33, 34:
		default:
			all = append(all, n)
		}
	}
	return all
}

// wait waits for connections on the sockets among files as a server does, but leaves them there: edge-triggered, so
// that one which nobody accepts does not keep it awake; epoll(7).
func wait(files []int) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		panic(err)
	}
	for _, fd := range files {
		if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil {
			unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)})
		}
	}
	for events := make([]unix.EpollEvent, 1); ; {
		unix.EpollWait(set, events, -1)
	}
}

func playPuppet(args []string) int {
	f := facts{PID: os.Getpid(), Parent: os.Getppid(), Args: args[1:], Environ: os.Environ()}
	for fd := range 256 {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			f.Files = append(f.Files, fd) // the others were opened since, by the Go runtime
		}
	}
	f.Dir, _ = os.Getwd()
	if !slices.Contains(args, "deaf") {
		go wait(f.Files)
	}
	signals := make(chan os.Signal, 1000)
	signal.Notify(signals, catchable()...)

	conn, err := net.Dial("unix", args[0])
	if err != nil {
		return 98 // the test is over
	}
	var mu sync.Mutex
	send := func(m message) {
		mu.Lock()
		defer mu.Unlock()
		json.NewEncoder(conn).Encode(m)
	}
	send(message{Facts: &f})

	a := &actor{status: 0}
	for _, option := range args[1:] {
		if n, ok := strings.CutPrefix(option, "exit="); ok {
			a.status, _ = strconv.Atoi(n)
		}
	}
	if slices.Contains(args, "eager") {
		if err := errors.Join(a.serve(), sendNotification("READY=1")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 97
		}
	}
	go func() {
		for s := range signals {
			send(message{Signal: int(s.(syscall.Signal))})
			if ending := s == syscall.SIGTERM || s == syscall.SIGINT || s == syscall.SIGQUIT; ending && !slices.Contains(args, "stubborn") {
				a.drain()
				os.Exit(a.status)
			}
		}
	}()
	for commands := json.NewDecoder(conn); ; {
		var command []string
		if commands.Decode(&command) != nil {
			return 98
		}
		reply, err := a.play(command[0], command[1:])
		m := message{Reply: &reply}
		if err != nil {
			m.Error = err.Error()
		}
		send(m)
	}
}

// actor is the inside of a puppet.
type actor struct {
	status    int
	files     []*os.File
	listeners []net.Listener
	serving   sync.WaitGroup
	latch     *os.File // the writing end of file descriptor 3 of a storm
	clients   []int    // connections that were accepted and are held
	heap      []byte
}

func (a *actor) play(verb string, args []string) (reply string, err error) {
	number := func(i int) int {
		n, wrong := strconv.Atoi(args[i])
		err = errors.Join(err, wrong)
		return n
	}
	switch verb {
	case "nothing":
	case "exit":
		syscall.Exit(number(0))
	case "die":
		setAction(syscall.Signal(number(0)), 0)
		syscall.Kill(os.Getpid(), syscall.Signal(number(0)))
		select {}
	case "notify":
		err = sendNotification(strings.Join(args, "\n"))
	case "run":
		var out []byte
		out, err = exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return string(out), err
	case "start": // without waiting for it
		c := exec.Command(args[0], args[1:]...)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		err = c.Start()
	case "storm":
		return a.storm(args[0])
	case "release":
		err = a.latch.Close()
	case "serve":
		err = a.serve()
	case "close":
		a.drain()
		for _, file := range a.files {
			err = errors.Join(err, file.Close())
		}
	case "say":
		if _, broken := fmt.Println(args[0]); broken != nil {
			return broken.Error(), nil
		}
	case "complain":
		fmt.Fprintln(os.Stderr, args[0])
	case "receive":
		return a.receive(number(0))
	case "datagrams":
		return datagrams(number(0))
	case "accept":
		client, _, wrong := syscall.Accept4(number(0), syscall.SOCK_CLOEXEC)
		if err = wrong; err == nil {
			a.clients = append(a.clients, client)
		}
	case "dismiss":
		for _, client := range a.clients {
			err = errors.Join(err, syscall.Close(client))
		}
		a.clients = nil
	case "busy":
		worker.Busy()
	case "idle":
		worker.Idle()
	case "requests":
		for range number(0) {
			worker.Request()()
		}
	case "scribble":
		err = scribble(byte(number(0)))
	case "eat":
		a.heap = bytes.Repeat([]byte{1}, number(0)<<20)
	case "backlog":
		info, err := unix.GetsockoptTCPInfo(number(0), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return "", err
		}
		return strconv.Itoa(int(info.Sacked)), nil // of a listening socket; tcp_get_info
	case "write":
		_, err = syscall.Write(number(0), []byte(args[1]))
	case "nonblock":
		err = unix.SetNonblock(number(0), true)
	case "blocks":
		flags, err := unix.FcntlInt(uintptr(number(0)), unix.F_GETFL, 0)
		return strconv.FormatBool(flags&unix.O_NONBLOCK == 0), err
	case "shutdown":
		err = unix.Shutdown(number(0), unix.SHUT_RDWR)
	case "user":
		err = syscall.Setuid(number(0))
	case "job":
		return a.job(args)
	case "wait":
		return a.wait(number(0))
	case "fg":
		err = a.foreground(number(0))
	default:
		err = fmt.Errorf("a puppet cannot %s", verb)
	}
	return "", err
}

// serve answers on every listener with the generation and the pid, as a worker of any server would: it
// has made the sockets non-blocking by that.
func (a *actor) serve() error {
	for item := range strings.SplitSeq(os.Getenv("SERVER_STARTER_PORT"), ";") {
		if item == "" {
			continue // there is none
		}
		fd, err := strconv.Atoi(item[strings.LastIndexByte(item, '=')+1:])
		if err != nil {
			return err
		}
		file := os.NewFile(uintptr(fd), item)
		a.files = append(a.files, file) // or it would be closed in the end
		l, err := net.FileListener(file)
		if err != nil {
			return fmt.Errorf("%s: %w", item, err)
		}
		if l, ok := l.(*net.UnixListener); ok {
			l.SetUnlinkOnClose(false)
		}
		a.listeners = append(a.listeners, l)
		a.serving.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(conn, "%s %d", os.Getenv("SERVER_STARTER_GENERATION"), os.Getpid())
				conn.Close()
			}
		})
	}
	return nil
}

// receive waits for a datagram.
func (a *actor) receive(fd int) (string, error) {
	text := make([]byte, 100)
	n, err := syscall.Read(fd, text)
	return string(text[:max(n, 0)]), err
}

// datagrams are all that wait in a socket.
func datagrams(fd int) (string, error) {
	var all []string
	for text := make([]byte, 100); ; {
		n, _, err := syscall.Recvfrom(fd, text, syscall.MSG_DONTWAIT)
		if err == syscall.EAGAIN {
			return strings.Join(all, " "), nil
		} else if err != nil {
			return "", err
		}
		all = append(all, string(text[:n]))
	}
}

// scribble fills the whole scoreboard, which every worker can write to.
func scribble(with byte) error {
	fd, err := strconv.Atoi(os.Getenv("SERVER_STARTER_SCOREBOARD"))
	if err != nil {
		return err
	}
	var stat syscall.Stat_t
	if err := syscall.Fstat(fd, &stat); err != nil {
		return err
	}
	board, err := syscall.Mmap(fd, 0, int(stat.Size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	for i := range board {
		board[i] = with
	}
	return syscall.Munmap(board)
}

func (a *actor) drain() {
	for _, l := range a.listeners {
		l.Close()
	}
	a.serving.Wait()
}

// storm runs a script with a pipe for file descriptor 3, which has nothing to read until its release.
func (a *actor) storm(script string) (string, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer reader.Close()
	a.latch = writer
	cmd := exec.Command("sh", "-c", script)
	cmd.ExtraFiles = []*os.File{reader}
	return "", cmd.Run()
}

// The verbs of a shell with job control.

// job starts a command in the foreground of the terminal, and returns its pid.
func (a *actor) job(argv []string) (string, error) {
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Foreground: true},
	})
	return strconv.Itoa(pid), err
}

// wait says how a job has changed: "exited 3", "killed 15" or "stopped 20".
func (a *actor) wait(pid int) (string, error) {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil); err != nil {
		return "", err
	}
	switch {
	case status.Stopped():
		return fmt.Sprintf("stopped %d", status.StopSignal()), nil
	case status.Signaled():
		return fmt.Sprintf("killed %d", status.Signal()), nil
	}
	return fmt.Sprintf("exited %d", status.ExitStatus()), nil
}

// foreground gives the terminal to a stopped job and continues it.
func (a *actor) foreground(group int) error {
	signal.Ignore(syscall.SIGTTOU)
	if err := unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, group); err != nil {
		return err
	}
	return syscall.Kill(-group, syscall.SIGCONT)
}

// playNotify sends its arguments to the notification socket and waits until they have been read, as
// systemd-notify(1) does: of a sender that is gone by then nobody could tell whose it was.
func playNotify(args []string) int {
	err := sendNotification(strings.Join(args, "\n"))
	if err == nil {
		err = barrier()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// barrier is sd_notify_barrier(3).
func barrier() error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = unix.Sendmsg(fd, []byte("BARRIER=1"), unix.UnixRights(int(writer.Fd())), &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")}, 0)
	writer.Close()
	if err != nil {
		return err
	}
	_, err = io.ReadAll(reader)
	return err
}

func sendNotification(state string) error {
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.WriteString(conn, state)
	return err
}

// greet connects to a listener and returns who answers: a generation and a pid.
func greet(t *testing.T, network, address string) string {
	t.Helper()
	answer, err := hail(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func hail(network, address string) (string, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(initdtest.Patience))
	answer, err := io.ReadAll(conn)
	return string(answer), err
}
