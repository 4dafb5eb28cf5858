package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
)

// A patient is a worker with manners good and bad, which its arguments name:
//
//	ready             it says READY=1
//	late=1.5s         it accepts only then
//	greets, silent    it speaks first, or not at all
//	deaf              it never accepts
//	own=ADDRESS       it listens there, whatever it is handed
//	also=ADDRESS      it listens there, too
//	tongue=NGINX      it takes the descriptor in that variable, and else does as own says
//	stubborn          nothing but KILL ends it
//	abrupt            TERM and USR1 end it at once; at QUIT and INT it finishes its requests, as at TERM without
//	leaves            it leaves a process behind
//	unlinks           it removes the files of its sockets when it ends
//	dies=3            it says why and exits with that status
type patient map[string]string

func playPatient(args []string) int {
	p := patient{}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		p[name] = value
	}
	return p.play()
}

func (p patient) is(manner string) bool { _, yes := p[manner]; return yes }

func (p patient) after(name string) <-chan time.Time {
	d, _ := time.ParseDuration(p[name])
	return time.After(d)
}

func (p patient) play() int {
	if p.is("dies") {
		fmt.Fprintln(os.Stderr, "there is nothing to live for")
		status, _ := strconv.Atoi(p["dies"])
		return status
	}
	polite, rude := make(chan os.Signal, 1), make(chan os.Signal, 1)
	switch {
	case p.is("stubborn"):
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1)
	case p.is("abrupt"):
		signal.Notify(polite, syscall.SIGQUIT, syscall.SIGINT)
		signal.Notify(rude, syscall.SIGTERM, syscall.SIGUSR1)
	default:
		signal.Notify(polite, syscall.SIGTERM)
	}
	if p.is("leaves") {
		left := exec.Command("sleep", "1000")
		left.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := left.Start(); err != nil {
			return 97
		}
	}
	listeners, err := p.listen()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if p.is("ready") {
		sendNotification("READY=1")
	}
	<-p.after("late")
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Go(func() { p.accept(l) })
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

// listen returns the listeners: those handed down, unless its manners are other.
func (p patient) listen() (all []net.Listener, err error) {
	var fds []string
	switch tongue := os.Getenv(p["tongue"]); {
	case tongue != "":
		fds = []string{strings.TrimSuffix(tongue, ";")}
	case p.is("own"):
		l, err := net.Listen("tcp", p["own"])
		return []net.Listener{l}, err
	case p.is("deaf"):
		return nil, nil
	default:
		for item := range strings.SplitSeq(os.Getenv("SERVER_STARTER_PORT"), ";") {
			fds = append(fds, item[strings.LastIndexByte(item, '=')+1:])
		}
	}
	if p.is("also") {
		l, err := net.Listen("tcp", p["also"])
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
			l.SetUnlinkOnClose(p.is("unlinks"))
		}
		all = append(all, l)
	}
	return all, nil
}

func (p patient) accept(l net.Listener) {
	var answering sync.WaitGroup
	defer answering.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		answering.Go(func() {
			defer conn.Close()
			if p.is("greets") {
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
			if p.is("silent") {
				io.Copy(io.Discard, lines)
				return
			}
			fmt.Fprintf(conn, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		})
	}
}

// check runs the doctor, and returns its exit status and its report.
func check(t *testing.T, r run) (int, string) {
	t.Helper()
	writer, text := textPipe(t)
	r.mode, r.stdout = subreaper, writer
	r.args = append([]string{"--check"}, r.args...)
	status := r.start(t).wait()
	report := text()
	t.Logf("exit status %d\n%s", status, report)
	return status, report
}

// as is the command line of a patient.
func as(manners ...string) []string { return append([]string{self, "patient"}, manners...) }

func TestCheck(t *testing.T) {
	private(t)
	dir := t.TempDir()
	for _, test := range []struct {
		name   string
		run    run
		status int
		says   []string
		hushes []string
	}{
		{name: "Fit", run: run{args: flags(as("ready"), "port=8080")}, status: 0,
			says: []string{
				`in a network of its own`, `ok +start +ready after \S+: READY=1\n`, `ok +sockets .*: 8080\n`, `8080 answers to GET: HTTP/1.0 200 OK\n`,
				`ok +swap +a second`, `ok +TERM +it ended \S+ after TERM, 100ms of which it was kept busy: exit status 0\n`, `ok +requests +\d+ answered during the swap, none lost\n`,
				`ok +memory +\S+ MB alone, \S+ MB while`, `ok +stop +it ended \S+ after TERM: exit status 0\n`,
				`\nto set:\n  SERVER_STARTER_READY=notify\nfit for hot swaps\n$`},
			hushes: []string{"problem", "warning"}},
		{name: "AsSet", run: run{args: flags(as("ready"), "port=8080", "ready=notify")}, status: 0,
			says: []string{`ok +stop .*\nfit for hot swaps\n$`}},
		{name: "NoReadyButTheInterval", run: run{args: flags(as(), "port=8080", "interval=0.2")}, status: 0,
			says:   []string{`ready after \S+: it has lived for the interval`, `it sends no READY=1; its first answer`},
			hushes: []string{"to set", "warning"}},
		{name: "Late", run: run{args: flags(as("late=1.5s"), "port=8080", "interval=0.2")}, status: 0,
			says: []string{`warning +ready .* before it can answer: that took \S+s\n`, `SERVER_STARTER_INTERVAL=3\n`, "fit for hot swaps, but mind the warnings"}},
		{name: "Several", run: run{args: flags(as("ready"), "port=8080", "port=[::1]:8443", "port=192.0.2.7:80", "path="+dir+"/several", "path=@initd-check")}, status: 0,
			says: []string{`ok +sockets .*: 8080, \[::1\]:8443, 192.0.2.7:80, ` + dir + `/several, @initd-check\n`}},
		{name: "Pinned", run: run{args: flags(as("ready"), "port=8080=57", "port=localhost:0=0")}, status: 0},
		{name: "Greets", run: run{args: flags(as("ready", "greets"), "port=8080")}, status: 0,
			says: []string{`8080 speaks first: 220 hello\n`, `answered during the swap, none lost`}},
		{name: "Silent", run: run{args: flags(as("ready", "silent"), "port=8080")}, status: 0,
			says: []string{`warning +protocol +8080 does not answer`, `connections during the swap, none refused`, "mind the warnings"}},
		{name: "NoListener", run: run{args: flags(as("ready", "deaf"))}, status: 0,
			says: []string{`sockets +there is none`}},
		{name: "Datagrams", run: run{args: flags(as("ready", "deaf"), "port=u8053")}, status: 0,
			says: []string{`warning +sockets +UDP cannot be judged by connections: 8053`}},

		{name: "Deaf", run: run{args: flags(as("ready", "deaf"), "port=8080")}, status: 1,
			says: []string{`problem +sockets +nobody accepts on 8080`, "not fit for hot swaps: see sockets"}},
		{name: "ItsOwn", run: run{args: flags(as("ready", "own=:8080"), "port=8080")}, status: 1,
			says: []string{`problem +start +it ended by itself`, `problem +sockets +it does not take .*: tcp \[::\]:8080\n`, "its last words:", "address already in use"}},
		{name: "AnotherOfItsOwn", run: run{args: flags(as("ready", "own=127.0.0.1:9000"), "port=8080")}, status: 1,
			says: []string{`problem +sockets +it does not take .*: tcp 127.0.0.1:9000\n`}},
		{name: "OneMore", run: run{args: flags(as("ready", "also=127.0.0.1:9000"), "port=8080", "max-failures=1")}, status: 1,
			says: []string{`warning +sockets +it takes 8080, but also listens by itself, .*: tcp 127.0.0.1:9000\n`, `problem +swap +a second one beside it did not become ready`}},
		{name: "AnotherTongue", run: run{args: flags(as("ready", "tongue=NGINX", "own=:8080"), "port=8080")}, status: 1,
			says: []string{`problem +start`, `\nwith SERVER_STARTER_EXPORT=nginx:\n`, `ok +requests`, "SERVER_STARTER_EXPORT=nginx\n", "not fit for hot swaps as it is set, but fit with these settings"}},

		{name: "Stubborn", run: run{args: flags(as("ready", "stubborn"), "port=8080", "drain-timeout=0.5", "stop-timeout=0.5")}, status: 1,
			says: []string{`problem +TERM +it does not end at TERM, and was killed after \S+\n`, "SERVER_STARTER_DRAIN_TIMEOUT", "not fit for hot swaps: see TERM"}},
		{name: "LosesRequests", run: run{args: flags(as("ready", "abrupt"), "port=8080")}, status: 1,
			says: []string{`problem +requests +\d+ of \d+ were lost during the swap: `, `with SERVER_STARTER_SIGNAL_ON_HUP=QUIT`, `ok +QUIT +it ended`, "SERVER_STARTER_SIGNAL_ON_TERM=QUIT\n", "but fit with these settings"}},
		{name: "Leaves", run: run{args: flags(as("ready", "leaves"), "port=8080", "stop-timeout=1")}, status: 0,
			says: []string{`warning +leftover +processes of the old one are left: sleep \(\d+\)`, "mind the warnings"}},

		{name: "Dies", run: run{args: flags(as("dies=3"), "port=8080")}, status: 1,
			says: []string{`problem +start +it ended by itself .*: exit status 3\n`, "its last words:\n    there is nothing to live for\n", "not fit for hot swaps: see start"}},
		{name: "Background", run: run{args: flags(as("dies=0"), "port=8080")}, status: 1,
			says: []string{`exit status 0\n`, "stay in the foreground"}},
		{name: "NeverReady", run: run{args: flags(as(), "port=8080", "ready=notify", "start-timeout=1")}, status: 1,
			says: []string{`problem +start +it was not ready in 1s`, "it sends no READY=1", "SERVER_STARTER_READY=auto"}},
		{name: "Missing", run: run{args: flags([]string{dir + "/missing"}, "port=8080")}, status: 1,
			says: []string{`cannot be executed: exec ` + dir + `/missing: no such file or directory`}},
		{name: "NoUser", run: run{args: flags(as(), "port=8080", "user=no-such-user")}, status: 1,
			says: []string{`initd itself cannot start: SERVER_STARTER_USER`}},
		{name: "PlainInit", run: run{args: flags(as("ready"), "port=8080", "respawn=never")}, status: 0,
			says: []string{"respawn=never is left aside"}},

		{name: "WrongSetting", run: run{args: flags(as(), "port=x")}, status: 64},
		{name: "NoCommand", run: run{args: []string{"--port=8080"}}, status: 64},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before := listing(t, dir)
			status, report := check(t, test.run)
			if status != test.status {
				t.Errorf("exit status %d, not %d", status, test.status)
			}
			for _, text := range test.says {
				if !regexp.MustCompile(text).MatchString(report) {
					t.Errorf("it does not say %q", text)
				}
			}
			for _, text := range test.hushes {
				if strings.Contains(report, text) {
					t.Errorf("it says %q", text)
				}
			}
			if after := listing(t, dir); !slices.Equal(after, before) {
				t.Errorf("the directory had\n%q and has\n%q", before, after)
			}
		})
	}
}

// TestQuotedReport: the report in README.md is what is said of hello, but for times and sizes.
func TestQuotedReport(t *testing.T) {
	private(t)
	hello := filepath.Join(workshop, "hello")
	if err := initdtest.Build("../..", "./cmd/hello", hello, "-trimpath"); err != nil {
		t.Fatal(err)
	}
	_, report := check(t, run{args: flags([]string{hello}, "port=8080")})
	report = strings.Replace(report, hello, "/tmp/initd-example/hello", 1)
	got, with := between(t, initdtest.Read(t, readmeFile), "--check --port=8080 /tmp/initd-example/hello\n```\n\n```\n", "```\n")
	numbers := regexp.MustCompile(`[0-9.]+(µs|ms|s)?`)
	switch same := numbers.ReplaceAllString(got, "#") == numbers.ReplaceAllString(report, "#"); {
	case same:
	case *update:
		if err := os.WriteFile(readmeFile, []byte(with(report)), 0o666); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("README.md (go test ./cmd/initd -run Quoted -update) has\n%s", got)
	}
}

// private skips a test where nobody can have a network of their own.
func private(t *testing.T) {
	t.Helper()
	cmd := exec.Command("true")
	cmd.SysProcAttr = pid1.attributes(t) // a user namespace, if need be
	cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	if err := cmd.Run(); err != nil {
		t.Skipf("needs root or user namespaces, for a network of its own: %v", err)
	}
}

// TestCheckBeside: while the real program serves, it is not touched, whatever
// the one that is examined does.
func TestCheckBeside(t *testing.T) {
	for _, place := range []struct {
		name string
		run  run
		says string
	}{
		{name: "Root", says: "in a network of its own, at its own addresses"},
		{name: "User", run: run{as: 65534}, says: "in a network of its own, at its own addresses"},
		{name: "Unprivileged", run: run{given: []string{"unprivileged"}}, says: "in this very network, on sockets that are elsewhere"},
	} {
		for _, manner := range []string{"ready", "own", "unlinks"} {
			t.Run(place.name+"/"+manner, func(t *testing.T) {
				t.Parallel()
				private(t)
				if os.Getuid() != 0 {
					t.Skip("needs root, to become another user or to give up a capability")
				}
				dir, err := os.MkdirTemp(workshop, "")
				if err == nil {
					err = os.Chmod(dir, 0o777)
				}
				if err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, "socket")
				real, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer real.Close()
				local, err := net.Listen("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				defer local.Close()
				address := real.Addr().String()
				command, want := as("ready"), 0
				switch manner {
				case "own":
					command, want = as("ready", "own="+address), 1
				case "unlinks":
					command, want = as("ready", "unlinks"), 1
				}
				command[0] = reachable(t)
				r := place.run
				r.environ = []string{"SERVER_STARTER_PORT=" + address, "SERVER_STARTER_PATH=" + path}
				r.args = flags(command)
				status, report := check(t, r)
				if status != want {
					t.Errorf("exit status %d, not %d", status, want)
				}
				if !strings.Contains(report, place.says) {
					t.Errorf("it does not say %q", place.says)
				}
				if manner == "own" && !strings.Contains(report, "address already in use") {
					t.Error("it does not say that the address is in use")
				}
				if manner != "own" && !strings.Contains(report, address+", "+path+"\n") {
					t.Error("it does not name the sockets")
				}
				for _, l := range []net.Listener{real, local} {
					conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
					if err != nil {
						t.Fatalf("the real one is gone: %v", err)
					}
					ours, err := l.Accept()
					if err != nil {
						t.Fatal(err)
					}
					conn.Close()
					if n, err := ours.Read(make([]byte, 1)); n != 0 || err != io.EOF {
						t.Errorf("the real one was sent something: %d, %v", n, err)
					}
					ours.Close()
				}
				if now := listing(t, dir); len(now) != 1 {
					t.Errorf("there is %q where the real socket was alone", now)
				}
			})
		}
	}
}

// reachable is the path of a copy of this program that everyone may execute.
func reachable(t *testing.T) string {
	t.Helper()
	if err := copied(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(workshop, "test")
}

var copied = sync.OnceValue(func() error {
	program, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(workshop, "test"), program, 0o755)
})

// TestCheckInterrupted: whoever interrupts it finds nothing left.
func TestCheckInterrupted(t *testing.T) {
	s := newStage(t)
	d := run{mode: subreaper, args: append([]string{"--check"}, flags(s.puppet("stubborn"), "port=8080", "ready=notify")...)}.start(t)
	p := s.next()
	d.signal(syscall.SIGINT)
	p.ends()
	d.exits(128 + int(syscall.SIGINT))
}
