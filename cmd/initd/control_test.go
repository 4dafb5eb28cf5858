package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/control"
)

// steered is an initd with a control socket, whose workers are puppets.
type steered struct {
	*stage
	*daemon
	path   string
	client *control.Client
}

// steer starts an initd with a control socket.
func steer(t *testing.T, settings ...string) *steered {
	t.Helper()
	return steerCommand(t, func(s *stage) []string { return s.puppet() }, settings...)
}

// steerCommand starts it with another command than that of a puppet.
func steerCommand(t *testing.T, command func(*stage) []string, settings ...string) *steered {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &steered{stage: newStage(t), path: filepath.Join(dir, "initd.sock")}
	s.daemon = run{mode: subreaper, args: flags(command(s.stage), append(settings, "control-socket="+s.path)...)}.start(t)
	eventually(t, "there is a control socket", func() bool {
		conn, err := net.Dial("unix", s.path)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	s.client = connect(t, s.path)
	return s
}

// connect connects to a control socket.
func connect(t *testing.T, path string) *control.Client {
	t.Helper()
	c, err := control.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), initdtest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// ask requests something that has to be granted.
func (s *steered) ask(r control.Request) control.Answer {
	s.stage.Helper()
	a, err := s.client.Ask(limited(s.stage.T), r)
	if err != nil {
		s.stage.Fatalf("%+v: %v", r, err)
	}
	return a
}

func (s *steered) state() *control.Status {
	s.stage.Helper()
	return s.ask(control.Request{Request: control.AskStatus}).Status
}

// outcomes are those of a request for a swap, one after the other.
func (s *steered) outcomes() <-chan control.Outcome {
	s.stage.Helper()
	told := make(chan control.Outcome, 100)
	client, ctx := connect(s.stage.T, s.path), limited(s.stage.T)
	asked := make(chan struct{})
	go func() {
		defer close(told)
		for a, err := range client.Follow(ctx, control.Request{Request: control.AskSwap, Wait: true}) {
			switch {
			case err != nil:
				return
			case a.Outcome == nil:
				close(asked)
			default:
				told <- *a.Outcome
			}
		}
	}()
	<-asked
	return told
}

// turnsOut waits for an outcome.
func turnsOut(t *testing.T, told <-chan control.Outcome, want string) control.Outcome {
	t.Helper()
	select {
	case o, open := <-told:
		if !open || o.Outcome != want {
			t.Fatalf("the outcome is %+v (%v), not %s", o, open, want)
		}
		return o
	case <-time.After(initdtest.Patience):
		t.Fatalf("nobody tells that the swap is %s", want)
		panic("unreachable")
	}
}

// TestControlSwap: a swap that was asked for over the control socket, with all that is told of it.
func TestControlSwap(t *testing.T) {
	t.Parallel()
	envdir := t.TempDir()
	set := func(name, value string) {
		if err := os.WriteFile(filepath.Join(envdir, name), []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	set("COLOUR", "red")
	s := steer(t, "port=127.0.0.1:0", "ready=notify", "interval=0.2", "stderr-lines=2", "envdir="+envdir)
	first := s.generation(1)
	first.ready()
	s.daemon.is("serving", 1)

	set("COLOUR", "blue")
	set("SIZE", "7")
	asked := time.Now()
	told := s.outcomes()
	second := s.generation(2)
	turnsOut(t, told, "begun")
	if h := s.ask(control.Request{Request: control.AskHealth}).Health; !h.Ready || h.State != "reloading" || h.Generation != 1 {
		t.Errorf("during the swap: %+v", *h)
	}
	for _, line := range []string{"one", "two", "three"} {
		second.do("complain", line)
	}
	second.tell("exit", "7")
	failed := turnsOut(t, told, "failed")
	// The next attempt waits for the rest of the interval.
	waits := failed.Next > 0 || time.Since(asked) >= 200*time.Millisecond
	if failed.Final || failed.Generation != 2 || !waits || !strings.Contains(failed.Reason, "exit status 7") {
		t.Errorf("the failure: %+v", failed)
	}
	// The next attempt may have begun by now, and the newest stands first.
	swaps := s.state().Swaps
	swap := swaps[slices.IndexFunc(swaps, func(s control.Swap) bool { return s.Ended != nil })]
	if swap.Generation != 2 || swap.Outcome != "failed" || swap.Trigger != "control" || swap.ExitStatus == nil || *swap.ExitStatus != 7 {
		t.Errorf("the swap that failed: %+v", swap)
	}
	if got := fmt.Sprint(swap.Stderr); got != "[two three]" {
		t.Errorf("its last words: %s", got)
	}
	if v := swap.Variables; v == nil || fmt.Sprint(v.Added, v.Changed, v.Removed) != "[SIZE] [COLOUR] []" {
		t.Errorf("the variables that differ: %+v", v)
	}
	turnsOut(t, told, "begun")
	s.generation(3).ready()
	if o := turnsOut(t, told, "ready"); !o.Final || o.Generation != 3 {
		t.Errorf("the outcome: %+v", o)
	}
	first.gets(syscall.SIGTERM)
	s.daemon.stop()
	if _, err := os.Lstat(s.path); !os.IsNotExist(err) {
		t.Errorf("the socket is there still: %v", err)
	}
}

// TestControlRefusal: of a swap that a hook has refused is told what the hook had to say.
func TestControlRefusal(t *testing.T) {
	t.Parallel()
	s := steer(t, "ready=notify", "stderr-lines=1", "hook-before-swap=echo line 1 >&2; echo no such upstream >&2; exit 1")
	s.generation(1).ready()
	s.daemon.is("serving", 1)
	told := s.outcomes()
	turnsOut(t, told, "begun")
	if o := turnsOut(t, told, "refused"); !o.Final || !strings.Contains(o.Reason, "hook-before-swap") {
		t.Errorf("the outcome: %+v", o)
	}
	swap := s.state().Swaps[0]
	if swap.Outcome != "refused" || fmt.Sprint(swap.Stderr) != "[no such upstream]" || swap.Slot != nil {
		t.Errorf("the swap that was refused: %+v", swap)
	}
	s.daemon.stop()
}

// TestControlCommands: scale, signal and stop do what signals do.
func TestControlCommands(t *testing.T) {
	t.Parallel()
	s := steer(t, "ready=notify", "interval=0.2", "max-workers=3")
	one := s.generation(1)
	one.ready()
	s.daemon.is("serving", 1)
	if a := s.ask(control.Request{Request: control.AskScale, Workers: 2}); *a.Workers != 2 {
		t.Errorf("scaled to %d", *a.Workers)
	}
	two := s.generation(1)
	two.ready()
	slot := 1
	if a := s.ask(control.Request{Request: control.AskSignal, Signal: "USR1", Slot: &slot}); *a.Workers != 1 {
		t.Errorf("%d workers were sent USR1", *a.Workers)
	}
	two.gets(syscall.SIGUSR1)
	if _, err := s.client.Ask(limited(t), control.Request{Request: control.AskScale, Workers: 4}); err == nil {
		t.Error("max-workers is no limit")
	}
	s.ask(control.Request{Request: control.AskStop, Signal: "QUIT"})
	one.gets(syscall.SIGQUIT)
	two.gets(syscall.SIGQUIT)
	s.daemon.exits(0)
}

// TestControlEvents: subscribers are told what the log has, also where that is set to say less.
func TestControlEvents(t *testing.T) {
	t.Parallel()
	s := steer(t, "ready=notify", "log-level=error")
	s.generation(1).ready()
	for a, err := range s.client.Follow(limited(t), control.Request{Request: control.AskSubscribe}) {
		if err != nil {
			t.Fatal(err)
		}
		if a.Answer == control.AskSubscribe {
			s.daemon.swap()
			s.generation(2).ready()
			continue
		}
		var e initdtest.Entry
		if err := json.Unmarshal(a.Event, &e); err != nil {
			t.Fatalf("%s: %v", a.Event, err)
		}
		if e.Event == "serving" && e.Generation == 2 {
			break
		}
	}
	if entries := s.daemon.entries(); len(entries) > 0 {
		t.Errorf("the log has %+v", entries)
	}
}

// TestControlSocket: only root and initd's own user get in, and what is in the way is left alone.
func TestControlSocket(t *testing.T) {
	t.Parallel()
	s := steer(t, "ready=notify")
	s.generation(1).ready()
	info, err := os.Lstat(s.path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket: %v %v", info.Mode(), err)
	}
	t.Run("in use", func(t *testing.T) {
		d := run{mode: subreaper, args: flags([]string{"true"}, "control-socket="+s.path)}.start(t)
		d.exits(125)
		for _, text := range []string{"SERVER_STARTER_CONTROL_SOCKET (--control-socket)", "address already in use"} {
			if !strings.Contains(d.output(), text) {
				t.Errorf("stderr lacks %q:\n%s", text, d.output())
			}
		}
		s.state() // the first's is as it was
	})
	t.Run("no socket", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte("precious"), 0o644); err != nil {
			t.Fatal(err)
		}
		run{mode: subreaper, args: flags([]string{"true"}, "control-socket="+file)}.start(t).exits(125)
		if text, _ := os.ReadFile(file); string(text) != "precious" {
			t.Errorf("the file has %q", text)
		}
	})
	t.Run("stale", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
		d := run{mode: subreaper, args: flags([]string{"sleep", "1000"}, "control-socket="+path)}.start(t)
		d.says("control socket at")
		d.stop()
	})
}

// TestControlSilentClients: a hundred clients that connect and say nothing change nothing.
func TestControlSilentClients(t *testing.T) {
	t.Parallel()
	s := steer(t, "ready=notify")
	first := s.generation(1)
	first.ready()
	s.daemon.is("serving", 1)
	for range 100 {
		conn, err := net.Dial("unix", s.path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	told := newClient(t, s).outcomes()
	s.generation(2).ready()
	turnsOut(t, told, "begun")
	turnsOut(t, told, "ready")
	first.gets(syscall.SIGTERM)
}

// newClient is the same initd for a client that has connected anew: the first may have had to make room.
func newClient(t *testing.T, s *steered) *steered {
	other := *s
	other.client = connect(t, s.path)
	return &other
}

// TestControlPlaces: PID 1 has a control socket without being asked, where initctl looks for it. It is for its own
// container: the containers of a pod share /dev/shm.
func TestControlPlaces(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to look into another mount namespace")
	}
	tool := initctlBinary(t)
	s := newStage(t)
	d := run{mode: pid1, given: []string{"mounted=/run", "mounted=/dev/shm"}, environ: []string{"SERVER_STARTER_CONTROL_SOCKET="},
		args: flags(s.puppet(), "ready=notify")}.start(t)
	d.says("control socket at /run/initd.sock")
	p := s.next()
	p.ready()
	d.is("serving", 1)
	if said := p.do("run", tool, "health"); !strings.HasPrefix(said, "ready:") {
		t.Errorf("in its container: %s", said)
	}
	outside := connect(t, fmt.Sprintf("/proc/%d/root/run/initd.sock", d.pid))
	var refusal *control.Refusal
	if _, err := outside.Ask(limited(t), control.Request{Request: control.AskStop}); !errors.As(err, &refusal) || refusal.Code != control.Forbidden {
		t.Errorf("a client from another container: %v", err)
	}
	d.stop()
}

// TestControlFromElsewhere: a socket that was asked for is for who can reach it, but values are not shown to the root
// of another container, who cannot read /proc/PID/environ either.
func TestControlFromElsewhere(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, which values are for")
	}
	tool, path := initctlBinary(t), filepath.Join(t.TempDir(), "s")
	s := newStage(t)
	d := run{mode: pid1, environ: []string{"DATABASE_PASSWORD=secret"}, args: flags(s.puppet(), "ready=notify", "control-socket="+path)}.start(t)
	d.says("control socket at")
	p := s.next()
	p.ready()
	d.is("serving", 1)
	if said := p.do("run", tool, "env", "--values", "--control-socket", path); !strings.Contains(said, "DATABASE_PASSWORD=secret\n") {
		t.Errorf("in its container: %s", said)
	}
	outside := connect(t, path)
	if a, err := outside.Ask(limited(t), control.Request{Request: control.AskEnvironment}); err != nil || len(a.Environment.Variables) == 0 {
		t.Errorf("names: %+v, %v", a, err)
	}
	var refusal *control.Refusal
	if a, err := outside.Ask(limited(t), control.Request{Request: control.AskEnvironment, Values: true}); !errors.As(err, &refusal) || refusal.Code != control.Forbidden {
		t.Errorf("values: %+v, %v", a, err)
	}
	d.stop()
}

// TestControlPlaceTaken: of two containers with a read-only root and one /dev/shm the second says how it gets a socket.
func TestControlPlaceTaken(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount")
	}
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skip(err)
	}
	s := newStage(t)
	first := `use IO::Socket::UNIX; $^F = 100; our $s = IO::Socket::UNIX->new(Local => "/dev/shm/initd.sock", Listen => 1) or die; exec @ARGV`
	d := run{mode: pid1, given: []string{"mounted=/run", "mounted=/dev/shm"}, environ: []string{"SERVER_STARTER_CONTROL_SOCKET="},
		program: "/bin/sh", args: slices.Concat([]string{"-c", `mount -o remount,ro /run && exec "$@"`, "sh", perl, "-e", first, initdBinary(t)},
			flags(s.puppet(), "ready=notify"))}.start(t)
	s.next().ready()
	d.event("it says what to do", func(e initdtest.Entry) bool {
		return e.Event == "note" && strings.Contains(e.Message, "no control socket") && strings.Contains(e.Message, "/dev/shm/initd.sock") &&
			strings.Contains(e.Message, "give this container its own volume at /run, or set SERVER_STARTER_CONTROL_SOCKET")
	})
	d.stop()
}

// TestStopFromInside: initctl stop in the container of which initd is PID 1, as docker exec runs it, exits with 0.
// initd asks it to end with all that is left, and its own exit kills what has not ended.
func TestStopFromInside(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to enter other namespaces")
	}
	initctl := initctlBinary(t)
	for _, script := range []string{
		"exec sleep 1000",
		`sh -c 'trap "sleep 0.3; exit" TERM; sleep 1000 & wait' & exec sleep 1000`, // what it leaves ends later
	} {
		for range 5 {
			d := run{mode: pid1, given: []string{"mounted=/run", "mounted=/dev/shm"}, environ: []string{"SERVER_STARTER_CONTROL_SOCKET="},
				args: flags([]string{"/bin/sh", "-c", script}, "interval=0")}.start(t)
			d.is("serving", 1)
			c := exec.Command("nsenter", "--target", strconv.Itoa(d.pid), "--pid", "--mount", initctl, "stop")
			said, err := c.CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, said)
			}
			d.exits(0)
		}
	}
}

// TestHTTP: a program beside the workers serves HTTP with few rights. It is started again when it ends, and
// whoever asks meanwhile waits and is answered.
func TestHTTP(t *testing.T) {
	t.Parallel()
	initctlBinary(t)
	s := steer(t, "ready=notify", "interval=0.2", "max-backoff=0.2", "http=127.0.0.1:0")
	first := s.generation(1)
	address := s.daemon.event("it serves HTTP", func(e initdtest.Entry) bool { return e.Event == "http" }).Address
	check := func(path string, want int) string {
		t.Helper()
		client := &http.Client{Timeout: initdtest.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
		r, err := client.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != want {
			t.Errorf("%s: %s %v, want %d\n%s", path, r.Status, err, want, text)
		}
		return string(text)
	}
	check("/livez", 200)
	check("/readyz", 503)
	check("/startupz", 503)
	first.ready()
	s.daemon.is("serving", 1)
	eventually(t, "it is ready", func() bool { return s.state().Health.Ready })
	eventually(t, "it says so", func() bool { // an answer is good for a moment, and so is a refusal
		r, err := http.Get("http://" + address + "/readyz")
		if err == nil {
			r.Body.Close()
		}
		return err == nil && r.StatusCode == 200
	})
	check("/startupz", 200)
	if text := check("/metrics", 200); !strings.Contains(text, "\ninitd_ready 1\n") {
		t.Errorf("the metrics lack initd_ready 1:\n%s", text)
	}
	check("/status", 200)
	check("/", 200)

	server := s.daemon.httpProcess(0)
	if n := s.state().Counters; n.Started != 1 || n.Orphans != 0 {
		t.Errorf("it was counted: %+v", n)
	}
	if err := syscall.Kill(server, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	check("/livez", 200) // it waits for the next one
	if next := s.daemon.httpProcess(server); s.state().Generations[0].Workers[0].PID != first.pid {
		t.Errorf("the end of %d and the start of %d concerned a worker", server, next)
	}

	told := s.outcomes()
	second := s.generation(2)
	turnsOut(t, told, "begun")
	check("/readyz", 200)
	second.ready()
	turnsOut(t, told, "ready")
	last := s.daemon.httpProcess(0)
	s.daemon.stop()
	eventually(t, "it has ended with initd", func() bool { return state(last) == "" })
}

// TestHTTPRights: what serves HTTP has the workers' user, and can gain no more.
func TestHTTPRights(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	initctlBinary(t)
	d := run{mode: subreaper, args: flags([]string{"sleep", "1000"}, "http=127.0.0.1:0", "user=65534")}.start(t)
	server := d.httpProcess(0)
	eventually(t, "it runs as the workers' user and gains no privileges", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", server))
		return strings.Contains(string(text), "NoNewPrivs:\t1\n") && strings.Contains(string(text), "Uid:\t65534\t65534\t65534\t65534\n")
	})
	eventually(t, "it offers itself to the OOM killer first", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", server))
		return string(text) == "900\n"
	})
	d.stop()
}

// httpProcess waits for an HTTP process that runs and is not the one given.
func (d *daemon) httpProcess(other int) (pid int) {
	d.Helper()
	return d.event("there is an HTTP process", func(e initdtest.Entry) bool {
		return e.Event == "http-process" && strings.HasPrefix(e.Message, "HTTP process started") && state(e.PID) != "" && state(e.PID) != "Z" && e.PID != other
	}).PID
}

var builtTool = sync.OnceValue(func() error {
	return initdtest.Build(".", "../initctl", filepath.Join(workshop, "initctl"), "-trimpath")
})

// initctlBinary is the path of initd's tool, built once, beside initd.
func initctlBinary(t testing.TB) string {
	t.Helper()
	if err := builtTool(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(workshop, "initctl")
}

// copyOfInitd is one in a directory of its own.
func copyOfInitd(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "initd")
	// Not written by this process: what another test forks meanwhile would hold the file open for writing, and it
	// could not be executed (ETXTBSY).
	if out, err := exec.Command("cp", initdBinary(t), path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// TestHTTPLeavesNothing: what the program that serves HTTP leaves behind costs initd nothing, however often it ends.
func TestHTTPLeavesNothing(t *testing.T) {
	t.Parallel()
	alone := copyOfInitd(t)
	tool := "#!/bin/sh\nsleep 1000 &\nexec sleep 0.1\n" // whose child has all that it was given
	if err := os.WriteFile(filepath.Join(filepath.Dir(alone), "initctl"), []byte(tool), 0o755); err != nil {
		t.Fatal(err)
	}
	d := run{mode: subreaper, program: alone, args: flags([]string{"sleep", "1000"}, "http=127.0.0.1:0", "interval=0.1", "stop-timeout=1")}.start(t)
	descriptors := func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	first := d.httpProcess(0)
	before := descriptors()
	for range 6 {
		first = d.httpProcess(first)
	}
	eventually(t, "no descriptor is left behind", func() bool { return descriptors() <= before+1 })
	d.stop()
}

// TestHTTPWithoutTool: that nothing can serve HTTP is said at once, and what to do about it.
func TestHTTPWithoutTool(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mode os.FileMode // of the file; 0: there is none
		says []string
	}{
		"missing":        {0, []string{"initctl", "copy it there"}},
		"not executable": {0o644, []string{"initctl", "cannot be executed", "(chmod +x)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alone := copyOfInitd(t)
			if test.mode != 0 {
				if err := os.WriteFile(filepath.Join(filepath.Dir(alone), "initctl"), nil, test.mode); err != nil {
					t.Fatal(err)
				}
			}
			d := run{mode: subreaper, program: alone, environ: []string{"PATH=/nowhere"}, args: flags([]string{"/bin/true"}, "http=:0")}.start(t)
			d.exits(125)
			for _, text := range append(test.says, "SERVER_STARTER_HTTP (--http)") {
				if !strings.Contains(d.output(), text) {
					t.Errorf("stderr lacks %q:\n%s", text, d.output())
				}
			}
		})
	}
}

// TestControlLastAnswer: who asks a plain init to stop is answered, although its command ends at once and initd with it.
func TestControlLastAnswer(t *testing.T) {
	t.Parallel()
	for range 20 { // it was lost in one of four
		path := filepath.Join(t.TempDir(), "s")
		d := run{mode: subreaper, args: flags([]string{"sleep", "1000"}, "respawn=never", "log-level=info", "control-socket="+path)}.start(t)
		d.is("serving", 1)
		if _, err := connect(t, path).Ask(limited(t), control.Request{Request: control.AskStop}); err != nil {
			t.Fatal(err)
		}
		d.exits(128 + int(syscall.SIGTERM))
	}
}

// TestControlThreads: clients make initd need no thread that it has not had before them, however many processors
// there are, for there may be none left.
func TestControlThreads(t *testing.T) {
	t.Parallel()
	for _, respawn := range []string{"always", "never"} {
		path := filepath.Join(t.TempDir(), "s")
		d := run{mode: subreaper, environ: []string{"GOMAXPROCS=16"}, args: flags([]string{"sleep", "1000"},
			"respawn="+respawn, "interval=0.1", "log-level=info", "control-socket="+path)}.start(t)
		d.is("serving", 1)
		threads := func() int {
			entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", d.pid))
			if err != nil {
				t.Fatal(err)
			}
			return len(entries)
		}
		before := threads()
		var clients sync.WaitGroup
		for range 12 {
			c := connect(t, path)
			clients.Go(func() {
				for range 300 {
					if _, err := c.Ask(limited(t), control.Request{Request: control.AskStatus}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		clients.Wait()
		if after := threads(); after > before {
			t.Errorf("respawn=%s: %d threads, and %d before the clients", respawn, after, before)
		}
		d.signal(syscall.SIGTERM)
	}
}
