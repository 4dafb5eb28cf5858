package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"server-starter/initd/worker"
)

// A preforker is a server that forks its processes itself.
type preforker struct {
	name    string
	program string   // that has to be there
	own     []string // the command that forks them, with an address in place of %s
	taken   []string // the same on a socket that it is handed; nil: nothing else than own
	one     []string // the command that is one of them
	flags   []string // initd's
	clients int
	keep    bool // it can keep connections
}

// preforkers are those that are compared. The one in Go is the bench's own, and its parent a plain loop of fork and exec.
func (b *bench) preforkers() ([]preforker, error) {
	psgi, wsgi := filepath.Join(b.dir, "app.psgi"), filepath.Join(b.dir, "app.py")
	err := errors.Join(
		os.WriteFile(psgi, []byte("sub { [200, ['Content-Type' => 'text/plain', 'Content-Length' => 7], [\"served\\n\"]] };\n"), 0o644),
		os.WriteFile(wsgi, []byte("def app(environ, start_response):\n"+
			"    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '7')])\n    return [b'served\\n']\n"), 0o644))
	// Starlet replaces a process after a hundred requests, which would be part of what is compared. With no workers it is
	// one process. It has one connection at a time: another client would wait behind one that is kept.
	starlet := []string{"plackup", "-E", "deployment", "-s", "Starlet", "--max-reqs-per-child=1000000000", "--max-keepalive-reqs=1000"}
	starlets := append(slices.Clone(starlet), fmt.Sprintf("--max-workers=%d", few))
	gunicorn := []string{"gunicorn", "--chdir", b.dir, "--log-level", "warning"}
	gunicorns := append(slices.Clone(gunicorn), fmt.Sprintf("--workers=%d", few))
	return []preforker{
		{name: "net/http", program: b.self, clients: crowded, keep: true,
			own: []string{b.self, "prefork", "%s", b.self, "server"},
			one: []string{b.self, "server"}},
		{name: "Starlet", program: "plackup", clients: few, keep: true,
			own:   append(slices.Clone(starlets), "--listen=%s", psgi),
			taken: append(slices.Clone(starlets), psgi),
			one:   append(slices.Clone(starlet), "--max-workers=0", psgi)},
		{name: "gunicorn", program: "gunicorn", clients: crowded, flags: []string{"--ready=notify"},
			own:   append(slices.Clone(gunicorns), "--bind=%s", "app:app"),
			taken: append(slices.Clone(gunicorns), "app:app"),
			one:   append(slices.Clone(gunicorn), "--workers=1", "app:app")},
	}, err
}

// preforks measures how many requests in a second a server answers as workers of initd, beside what it does with as many
// processes that it has forked itself.
func (b *bench) preforks() (rows []row, err error) {
	all, err := b.preforkers()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if _, err := exec.LookPath(p.program); err != nil {
			r := row{what: p.name + " as workers of initd, against its own prefork"}
			r.set("initd", p.name+" is not installed")
			rows = append(rows, r)
			continue
		}
		more, err := b.prefork(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// contenders are who keeps the processes.
const (
	itself  = "its own prefork"
	plainly = "a plain loop of fork and exec"
	workers = "workers of initd"
	forking = "one worker of initd that forks them"
)

func (b *bench) prefork(p preforker) (rows []row, err error) {
	contenders := []string{itself, workers}
	if p.taken != nil {
		contenders = []string{itself, workers, plainly, forking}
	}
	at := make(map[string]string)
	for _, contender := range contenders {
		if at[contender], err = b.unused("tcp"); err != nil {
			return nil, err
		}
		var stop func() error
		var flags []string
		switch contender {
		case itself:
			stop, err = b.alone(at[itself], p.own...)
		case plainly:
			stop, err = b.alone(at[plainly], slices.Concat([]string{b.self, "prefork", "%s"}, p.one)...)
		case workers:
			flags = append(p.flags, fmt.Sprintf("--workers=%d", few), "--port="+at[workers])
			stop, err = b.kept(flags, p.one)
		case forking:
			flags = append(p.flags, "--port="+at[forking])
			stop, err = b.kept(flags, p.taken)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", contender, err)
		}
		defer func() { err = errors.Join(err, stop()) }()
		if err := answers(at[contender]); err != nil {
			return nil, fmt.Errorf("%s: %w", contender, err)
		}
	}
	span := 500 * time.Millisecond
	if b.short {
		span /= 2
	}
	for _, keep := range []bool{false, true} {
		if keep && !p.keep {
			continue
		}
		rates := make(samples)
		for range b.rounds(40) {
			for _, contender := range contenders {
				rate, err := ask(at[contender], p.clients, keep, span)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", contender, err)
				}
				*rates.of(contender) = append(*rates.of(contender), rate)
			}
			// Who comes next to whom is not to matter.
			contenders = append(contenders[1:], contenders[0])
		}
		how := "a connection each"
		if keep {
			how = "connections kept"
		}
		own := *rates.of(itself)
		r := row{what: fmt.Sprintf("%s, %d processes, %s: requests in a second, by its own prefork", p.name, few, how)}
		r.set("initd", own.in("%.0f"))
		rows = append(rows, r)
		for _, contender := range slices.Sorted(maps.Keys(rates)) {
			if contender == itself {
				continue
			}
			r := row{what: "by " + contender + ", against that"}
			ratios := rates.of(contender).over(own)
			r.set("initd", ratios.in("%.2f"))
			if contender != plainly {
				r.bar = "≥ 0.98 times"
				r.verdict(ratios.median() >= 0.98)
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// alone starts a server with no initd.
func (b *bench) alone(address string, argv ...string) (stop func() error, err error) {
	argv = slices.Clone(argv)
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "%s", address)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr, cmd.Dir = os.Stderr, b.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return func() error {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		return nil
	}, cmd.Start()
}

// kept starts one with initd.
func (b *bench) kept(flags, argv []string) (stop func() error, err error) {
	c, err := b.startPool(b.programs[0], flags, argv...)
	if err != nil {
		return nil, err
	}
	return c.stop, nil
}

// answers waits until somebody does.
func answers(address string) (err error) {
	for until := time.Now().Add(timeout); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		var a asker
		if err = a.ask(address, false); err == nil {
			return nil
		}
	}
	return err
}

// ask has clients ask without pause, and returns how many requests were answered in a second.
func ask(address string, clients int, keep bool, span time.Duration) (float64, error) {
	var all sync.WaitGroup
	var mutex sync.Mutex
	var failure error
	n, from := 0, monotonic()
	for range clients {
		all.Go(func() {
			var a asker
			for own := 0; ; own++ {
				err := error(nil)
				if monotonic()-from < span {
					if err = a.ask(address, keep); err == nil {
						continue
					}
				}
				mutex.Lock()
				defer mutex.Unlock()
				n, failure = n+own, errors.Join(failure, err)
				if a.conn != nil {
					a.conn.Close()
				}
				return
			}
		})
	}
	all.Wait()
	return float64(n) / (monotonic() - from).Seconds(), failure
}

// An asker is a client.
type asker struct {
	conn net.Conn
	text *bufio.Reader
}

// ask makes one request, on the connection there is if that is kept.
func (a *asker) ask(address string, keep bool) (err error) {
	request := "GET / HTTP/1.1\r\nHost: bench\r\nConnection: keep-alive\r\n\r\n"
	if !keep {
		request = strings.Replace(request, "keep-alive", "close", 1)
	}
	if a.conn == nil {
		if a.conn, err = net.Dial("tcp", address); err != nil {
			return err
		}
		a.conn.SetDeadline(time.Now().Add(timeout))
		a.text = bufio.NewReader(a.conn)
	}
	if _, err := io.WriteString(a.conn, request); err != nil {
		return err
	}
	response, err := http.ReadResponse(a.text, nil)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || string(text) != answer) {
		err = fmt.Errorf("answered %d %q", response.StatusCode, text)
	}
	if err != nil || response.Close || !keep {
		a.conn.Close()
		a.conn = nil
	}
	return err
}

// playServer is a worker with a server of net/http.
func playServer() error {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) })}
	return worker.Serve(context.Background(), server)
}

// playPrefork is the parent of some that run argv, on one listener.
func playPrefork(address string, argv []string) error {
	set, err := open(address, false)
	if err != nil {
		return err
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	environ := set.Environ([]string{"server-starter", "systemd"})
	for range few {
		// LISTEN_PID is for the child to say: sh knows it. It is the same process that becomes the server.
		argv := slices.Concat([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, path}, argv[1:])
		if _, err := syscall.ForkExec("/bin/sh", argv, &syscall.ProcAttr{Env: append(os.Environ(), environ...), Files: set.Files(0)}); err != nil {
			return err
		}
	}
	_, err = syscall.Wait4(-1, nil, 0, nil)
	return errors.Join(errors.New("a server has ended"), err)
}
