package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/socket"
)

const few = 4 // workers of a small pool

// reuseport measures what a socket for each worker changes: how connections are spread, how many there are in a second,
// and how many are lost when a worker goes.
func (b *bench) reuseport() ([]row, error) {
	span := 5 * time.Second
	if b.short {
		span = 500 * time.Millisecond
	}
	rates, least, middle, most := make(samples), make(samples), make(samples), make(samples)
	for range b.rounds(5) {
		for _, mode := range modes {
			counts, err := b.spread(mode == "reuse-port", span)
			if err != nil {
				return nil, err
			}
			sum := 0.0
			for _, n := range counts {
				sum += n
			}
			for _, s := range []struct {
				of    samples
				count float64
			}{{least, slices.Min(counts)}, {middle, counts.median()}, {most, slices.Max(counts)}} {
				*s.of.of(mode) = append(*s.of.of(mode), 100*s.count/sum)
			}
			*rates.of(mode) = append(*rates.of(mode), sum/span.Seconds())
		}
	}
	var rows []row
	for _, mode := range modes {
		share := row{what: fmt.Sprintf("%s: share of connections a worker gets, %d workers, %d clients: least, median, most", mode, few, crowded)}
		share.set("initd", fmt.Sprintf("%.1f %%, %.1f %%, %.1f %%", least.of(mode).median(), middle.of(mode).median(), most.of(mode).median()))
		rate := row{what: mode + ": connections in a second"}
		rate.fill(map[string]*sample{"initd": rates.of(mode)}, "%.0f")
		rows = append(rows, share, rate)
	}
	ratio := rates.of("reuse-port").over(*rates.of("shared"))
	against := row{what: "reuse-port against shared, round by round"}
	against.set("initd", ratio.in("%.2f"))
	rows = append(rows, against)

	for _, how := range []string{"close", "steer"} {
		for _, migrate := range []string{"0", "1"} {
			l, err := b.shrink(how, migrate)
			if err != nil {
				return nil, fmt.Errorf("%s, tcp_migrate_req=%s: %w", how, migrate, err)
			}
			what := map[string]string{
				"close": "a worker closes its socket and ends",
				"steer": "initd steers away from a slot, its worker serves the queue and ends",
			}[how]
			r := row{what: fmt.Sprintf("%s, %d times under load, net.ipv4.tcp_migrate_req=%s: connections failed, of all; waiting when it ended", what, l.times, migrate)}
			if how == "steer" {
				r.bar = "0"
				r.verdict(l.failed == 0)
			}
			r.set("initd", fmt.Sprintf("%d of %d; %d", l.failed, l.all, l.left))
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// crowded is how many clients connect at once.
const crowded = 16

// spread has clients connect to a pool of workers and returns how many connections each got.
func (b *bench) spread(reusePort bool, span time.Duration) (counts sample, err error) {
	set, err := open(anywhere, reusePort)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	var counters []*counter
	for slot := range few {
		c, err := b.count(set.Files(slot))
		if err != nil {
			return nil, err
		}
		defer c.kill()
		counters = append(counters, c)
	}
	if err := visit(set.All()[0].Address, time.Now().Add(span)); err != nil {
		return nil, err
	}
	for _, c := range counters {
		syscall.Kill(c.pid, syscall.SIGTERM)
		text, err := io.ReadAll(c.report)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(string(text))
		if err != nil {
			return nil, err
		}
		counts = append(counts, float64(n))
	}
	return counts, nil
}

// visit has clients connect without pause, and returns the first error.
func visit(address string, until time.Time) error {
	errs := make(chan error, crowded)
	for range crowded {
		go func() {
			for time.Now().Before(until) {
				if err := connect("tcp", address); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	var all error
	for range crowded {
		all = errors.Join(all, <-errs)
	}
	return all
}

// anywhere is an address that the kernel chooses.
const anywhere = "127.0.0.1:0"

func open(address string, reusePort bool) (*socket.Set, error) {
	spec, err := socket.ParsePort(address)
	if err != nil {
		return nil, err
	}
	return socket.Open([]socket.Spec{spec}, socket.Options{UID: -1, GID: -1, ReusePort: reusePort, Slots: few})
}

// A counter is a worker that reports how many connections it had.
type counter struct {
	pid    int
	report *os.File
}

// count starts one that has these files, and waits until it is ready.
func (b *bench) count(files []uintptr) (*counter, error) {
	report, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	files[1] = theirs.Fd()
	pid, err := syscall.ForkExec(b.self, []string{b.self, "counter"}, &syscall.ProcAttr{Env: append(os.Environ(), "GOMAXPROCS=1"), Files: files})
	theirs.Close()
	if err != nil {
		report.Close()
		return nil, err
	}
	c := &counter{pid, report}
	if _, err := report.Read(make([]byte, 1)); err != nil {
		c.kill()
		return nil, fmt.Errorf("the worker does not come up: %w", err)
	}
	return c, nil
}

func (c *counter) kill() {
	syscall.Kill(c.pid, syscall.SIGKILL)
	syscall.Wait4(c.pid, nil, 0, nil)
	c.report.Close()
}

// playCounter is the counter.
func playCounter() error {
	unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0)
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	var n atomic.Int64
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				log.Fatal(err)
			}
			n.Add(1)
			go func() {
				defer c.Close()
				if _, err := c.Read(make([]byte, 1)); err == nil {
					io.WriteString(c, answer)
				}
			}()
		}
	}()
	os.Stdout.WriteString("+")
	<-term
	fmt.Print(n.Load())
	os.Exit(0)
	return nil
}

// A loss is what came of connections while workers went.
type loss struct{ failed, all, left, times int }

// shrink has one of the workers go, over and over, in a network namespace of its own.
func (b *bench) shrink(how, migrate string) (l loss, err error) {
	cmd := exec.Command(b.self, "shrinker", how, migrate, strconv.Itoa(b.rounds(200)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return l, err
	}
	_, err = fmt.Sscan(string(out), &l.failed, &l.all, &l.left, &l.times)
	return l, err
}

// playShrinker is the namespace: slow workers in this process, clients, and whoever has a worker go.
func playShrinker(args []string) error {
	how, migrate := args[0], args[1]
	times, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	if err := loopback(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_migrate_req", []byte(migrate), 0); err != nil {
		return err
	}
	set, err := open(anywhere, true)
	if err != nil {
		return err
	}
	var workers []*slow
	for slot := range few {
		workers = append(workers, work(int(set.Files(slot)[3])))
	}
	at := set.All()[0].Address

	l := loss{times: times}
	var mutex sync.Mutex
	var done atomic.Bool
	var clients sync.WaitGroup
	for range 2 * crowded {
		clients.Go(func() {
			for !done.Load() {
				err := connect("tcp", at)
				mutex.Lock()
				l.all++
				if err != nil {
					l.failed++
				}
				mutex.Unlock()
			}
		})
	}
	const last = few - 1
	others := []int{0, 1, 2}
	for range times {
		time.Sleep(5 * time.Millisecond)
		if how == "steer" {
			if err := set.Steer(others); err != nil {
				return err
			}
			for set.Queue(last) > 0 {
				time.Sleep(100 * time.Microsecond)
			}
			workers[last].stop()
			l.left += set.Queue(last)
			time.Sleep(5 * time.Millisecond)
			workers[last] = work(workers[last].fd)
			if err := set.Steer(nil); err != nil {
				return err
			}
			continue
		}
		// The socket is the worker's own, as in servers that use SO_REUSEPORT by themselves. The first time it is still
		// one that was made here, and closed by this.
		workers[last].stop()
		if info, err := unix.GetsockoptTCPInfo(workers[last].fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			l.left += int(info.Unacked)
		}
		unix.Close(workers[last].fd)
		time.Sleep(5 * time.Millisecond)
		fd, err := join(at)
		if err != nil {
			return err
		}
		workers[last] = work(fd)
	}
	done.Store(true)
	clients.Wait()
	fmt.Println(l.failed, l.all, l.left, l.times)
	os.Exit(0)
	return nil
}

// loopback brings up the interface lo, which is down in a new namespace.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// join makes a further socket at an address where others have SO_REUSEPORT.
func join(address string) (int, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}),
		unix.Listen(fd, 4096))
}

// A slow worker serves one connection after the other, so that some wait.
type slow struct {
	fd    int
	going atomic.Bool
	gone  chan struct{}
}

func work(fd int) *slow {
	w := &slow{fd: fd, gone: make(chan struct{})}
	go func() {
		defer close(w.gone)
		for !w.going.Load() {
			if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1); n != 1 || err != nil {
				continue
			}
			c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			if err != nil {
				continue
			}
			if _, err := unix.Read(c, make([]byte, 1)); err == nil {
				time.Sleep(200 * time.Microsecond)
				unix.Write(c, []byte(answer))
			}
			unix.Close(c)
		}
	}()
	return w
}

// stop ends it after the connection that it serves, and leaves the others in the queue.
func (w *slow) stop() {
	w.going.Store(true)
	<-w.gone
}
