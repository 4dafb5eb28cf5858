package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/scoreboard"
	"server-starter/initd/scoreboard/reader"
)

const preforkFile = "../../docs/guide/from-prefork.md"

// TestPrefork: whoever knows Proc::Daemon::Prefork finds its features again, as docs/guide/from-prefork.md says.
func TestPrefork(t *testing.T) {
	t.Parallel()
	for _, feature := range prefork {
		atOnce(t, feature.name, func(t *testing.T) {
			s := newStage(t)
			feature.play(&forked{stage: s, dir: t.TempDir()})
		})
	}
}

var prefork = []struct {
	name string
	play func(f *forked)
}{
	{"Prefork", (*forked).prefork},
	{"MaxChildren", (*forked).maxChildren},
	{"Scoreboard", (*forked).scoreboard},
	{"AutoReload", (*forked).autoReload},
	{"AutoReloadHandler", (*forked).autoReloadHandler},
	{"BeforeDaemonize", (*forked).beforeDaemonize},
	{"AfterInit", (*forked).afterInit},
	{"OnClientDisconnect", (*forked).onClientDisconnect},
	{"MainLoop", (*forked).mainLoop},
	{"MaxRequests", (*forked).maxRequests},
	{"BeforeShutdown", (*forked).beforeShutdown},
	{"HUP", (*forked).hup},
	{"KillRunning", (*forked).killRunning},
	{"Shutdown", (*forked).shutdown},
}

// forked is where a feature is played.
type forked struct {
	*stage
	dir string
}

// starts starts initd with this command, on a port that the kernel chooses.
func (f *forked) starts(command []string, settings ...string) *daemon {
	f.Helper()
	return run{mode: subreaper, args: flags(command, append(settings, "port=127.0.0.1:0")...)}.start(f.T)
}

// file is a path for this feature.
func (f *forked) file(name string) string { return filepath.Join(f.dir, name) }

// write writes a file.
func (f *forked) write(name, text string) (path string) {
	f.Helper()
	path = f.file(name)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		f.Fatal(err)
	}
	return path
}

// perl is what the page has of a worker in Perl.
func (f *forked) perl() []string {
	f.Helper()
	return append(interpreter(f.T, "perl"), f.write("worker.pl", excerpt(f.T, "perl")))
}

// excerpt is the one block in a language on the page.
func excerpt(t *testing.T, language string) string {
	t.Helper()
	blocks := initdtest.Blocks(t, preforkFile, language)
	if len(blocks) != 1 {
		t.Fatalf("%s has %d blocks in %s", preforkFile, len(blocks), language)
	}
	return blocks[0]
}

// interpreter is a program that not every machine has.
func interpreter(t *testing.T, name string) []string {
	t.Helper()
	for dir := range strings.SplitSeq(searchPath, ":") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return []string{path}
		}
	}
	initdtest.Impossible(t, "needs %s in %s", name, searchPath)
	return nil
}

// converse connects to a worker, says a line, and returns the pid that it answers with.
func converse(address string) (pid int, err error) {
	client, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	client.SetDeadline(time.Now().Add(initdtest.Patience))
	fmt.Fprintln(client, "hello")
	_, err = fmt.Fscan(client, &pid)
	return pid, err
}

// holds connects and says nothing, so that a worker is busy until it is closed.
func (f *forked) holds(address string) net.Conn {
	f.Helper()
	client, err := net.Dial("tcp", address)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { client.Close() })
	return client
}

// prefork: so many workers there are, also after all have been killed at once, and no zombie.
func (f *forked) prefork() {
	d := f.starts(f.puppet(), "workers=10", "ready=notify", "interval=0")
	for range 2 {
		slots, all := map[string]bool{}, []*puppet{}
		for range 10 {
			p := f.next()
			p.ready()
			slot, _ := p.Value("SERVER_STARTER_WORKER")
			slots[slot] = true
			all = append(all, p)
		}
		if got := slices.Sorted(maps.Keys(slots)); !slices.Equal(got, strings.Fields("0 1 2 3 4 5 6 7 8 9")) {
			f.Errorf("the slots are %q", got)
		}
		d.is("serving", all[0].Generation())
		for _, p := range all {
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
	for range 10 {
		f.next().ready()
	}
	eventually(f.T, "there are ten workers, and no zombie", func() bool {
		all := children(f.T, d.pid)
		return len(all) == 10 && !slices.ContainsFunc(all, func(pid int) bool { return state(pid) == "Z" })
	})
	d.stop()
}

// maxChildren: the pool grows while its workers are busy, never beyond the limit, and shrinks when they are
// not.
func (f *forked) maxChildren() {
	board := f.file("board")
	d := f.starts(f.perl(), "workers=3", "max-workers=6", "ready=notify", "interval=0", "scoreboard="+board)
	d.is("serving", 1)
	address := d.address("127.0.0.1")
	var clients []net.Conn
	for range 8 {
		clients = append(clients, f.holds(address))
	}
	eventually(f.T, "six workers are busy", func() bool { return f.rows(board, scoreboard.Busy) == 6 })
	for _, client := range clients {
		client.Close()
	}
	d.sized(3)
	eventually(f.T, "three workers are idle", func() bool { return len(children(f.T, d.pid)) == 3 && f.rows(board, scoreboard.Idle) == 3 })
	alive := map[int]bool{}
	for _, e := range d.entries() {
		switch e.Event {
		case "start":
			alive[e.PID] = true
		case "exit":
			delete(alive, e.PID)
		}
		if len(alive) > 6 {
			f.Fatalf("there were more than six workers: %v", alive)
		}
	}
	d.stop()
}

// sized waits until initd wants so many workers.
func (d *daemon) sized(workers int) {
	d.Helper()
	d.event(fmt.Sprintf("the pool has %d workers", workers), func(e initdtest.Entry) bool { return e.Event == "resize" && e.Workers == workers })
}

// rows is how many workers say that of themselves.
func (f *forked) rows(path string, state scoreboard.State) (n int) {
	f.Helper()
	board, err := reader.Open(path)
	if err != nil {
		f.Fatal(err)
	}
	defer board.Close()
	for _, row := range board.Rows() {
		if row.State == state {
			n++
		}
	}
	return n
}

// finished is how many requests the workers there are have finished.
func (f *forked) finished(path string) (n int) {
	f.Helper()
	board, err := reader.Open(path)
	if err != nil {
		f.Fatal(err)
	}
	defer board.Close()
	for _, row := range board.Rows() {
		n += row.Requests
	}
	return n
}

// scoreboard: the file tells of each worker what it does and how much it has done, and goes with initd.
func (f *forked) scoreboard() {
	path := f.file("board")
	d := f.starts(f.perl(), "workers=2", "ready=notify", "scoreboard="+path)
	d.is("serving", 1)
	address := d.address("127.0.0.1")
	answers := map[int]int{}
	for range 20 {
		pid, err := converse(address)
		if err != nil {
			f.Fatal(err)
		}
		answers[pid]++
	}
	busy := f.holds(address)
	eventually(f.T, "a worker is busy", func() bool { return f.rows(path, scoreboard.Busy) == 1 })
	busy.Close()
	eventually(f.T, "no worker is busy", func() bool { return f.rows(path, scoreboard.Idle) == 2 })
	board, err := reader.Open(path)
	if err != nil {
		f.Fatal(err)
	}
	defer board.Close()
	requests, slots := 0, map[int]bool{}
	for _, row := range board.Rows() {
		requests += row.Requests
		slots[row.Slot] = true
		if row.Generation != 1 || row.Requests < answers[row.PID] || !slices.Contains(children(f.T, d.pid), row.PID) {
			f.Errorf("of a worker that has answered %d times it says %+v", answers[row.PID], row)
		}
	}
	if requests != 21 || len(slots) != 2 || board.PID() != d.pid {
		f.Errorf("%d requests, not 21; slots %v; initd is %d, not %d", requests, slots, d.pid, board.PID())
	}
	d.stop()
	missing(f.T, path)
}

// autoReload: the workers are replaced when a file has changed, and not when it was only touched.
func (f *forked) autoReload() {
	path := f.write("Module.pm", "1;\n")
	d := f.starts(f.puppet(), "workers=2", "ready=notify", "watch="+path, "watch-debounce=0.1")
	for range 2 {
		f.generation(1).ready()
	}
	d.is("serving", 1)
	if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
		f.Fatal(err)
	}
	f.write("Module.pm", "2;\n")
	for range 2 {
		f.generation(2).ready()
	}
	d.is("serving", 2)
	d.is("gone", 1)
	f.write("Module.pm", "3;\n")
	f.generation(3)
	d.stop()
}

// autoReloadHandler: a hook may refuse a new version, and another one is told what came of it.
func (f *forked) autoReloadHandler() {
	path := f.write("Module.pm", "1;\n")
	told := f.file("told")
	d := f.starts(f.puppet(), "ready=notify", "watch="+path, "watch-debounce=0.1",
		"hook-before-swap=! grep -q wrong "+path, "hook-after-swap=echo $SERVER_STARTER_EVENT $SERVER_STARTER_RESULT >> "+told)
	first := f.generation(1)
	first.ready()
	d.is("serving", 1)
	f.write("Module.pm", "wrong\n")
	d.event("the swap is refused", func(e initdtest.Entry) bool { return e.Event == "refused" })
	first.lives()
	f.write("Module.pm", "right\n")
	f.next().ready()
	first.ends()
	eventually(f.T, "the hook is told of success", func() bool { return strings.HasSuffix(content(told), "after-swap success\n") })
	d.stop()
}

// beforeDaemonize: the hook runs in the foreground, and if it fails there is no daemon.
func (f *forked) beforeDaemonize() {
	for hook, status := range map[string]int{"true": 0, "false": 125} {
		pid := f.file(hook + ".pid")
		d := f.starts(f.puppet(), "daemonize", "interval=0", "log-file="+f.file("log"), "pid-file="+pid,
			"hook-before-daemonize=test ! -s "+pid+" && echo $SERVER_STARTER_EVENT && "+hook)
		d.exits(status)
		if status != 0 {
			missing(f.T, pid)
			continue
		}
		p := f.generation(1)
		background(f.T, pid)
		request(f.T, 0, "stop", "pid-file="+pid)
		p.ends()
	}
}

// gate is a hook that says in a file which it is, and ends when it is released.
func (f *forked) gate() (hook string, release func()) {
	f.Helper()
	gate := f.file("gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		f.Fatal(err)
	}
	return "echo $SERVER_STARTER_EVENT > " + f.file("began") + "; read line < " + gate, func() {
		f.Helper()
		if err := os.WriteFile(gate, []byte("\n"), 0); err != nil {
			f.Fatal(err)
		}
	}
}

// afterInit: the sockets are bound, and there is no worker yet; if the hook fails there is none ever.
func (f *forked) afterInit() {
	port := freePort(f.T)
	run := func(hook string) *daemon {
		return run{mode: subreaper, args: flags(f.puppet(), "port=127.0.0.1:"+port, "ready=notify", "hook-after-init="+hook)}.start(f.T)
	}
	hook, release := f.gate()
	d := run(hook)
	d.address("127.0.0.1")
	client := f.holds("127.0.0.1:" + port)
	comes(f.T, f.file("began"), "after-init\n")
	select {
	case p := <-f.arrivals:
		f.Errorf("worker %d was started before the hook had ended", p.pid)
	default:
	}
	release()
	p := f.generation(1).serve()
	answer, err := io.ReadAll(client)
	if want := fmt.Sprint("1 ", p.PID); string(answer) != want {
		f.Errorf("who had connected before there was a worker is answered %q, %v", answer, err)
	}
	d.stop()

	d = run("exit 3")
	d.exits(125)
	select {
	case p := <-f.arrivals:
		f.Errorf("worker %d was started although the hook had failed", p.pid)
	default:
	}
}

// tireless is a worker that takes for ever over each request, unless it is told that nobody waits for it.
const tireless = `
use strict; use warnings; use IO::Socket;
my ($socket) = $ENV{SERVER_STARTER_PORT} =~ /=(\d+)/;
my $listener = IO::Socket->new_from_fd($socket, 'r+') or die;
$SIG{USR1} = sub { die "cancelled\n" };
while (accept my $client, $listener) {
	my $request = <$client>;
	chomp $request;
	print STDERR "busy with $request\n";
	eval { sleep 1 while 1 };
	print STDERR "$request was $@";
}
`

// onClientDisconnect: a worker is told that its client has gone, and one whose client has not is not told.
func (f *forked) onClientDisconnect() {
	command := append(interpreter(f.T, "perl"), f.write("worker.pl", tireless))
	for network, setting := range map[string]string{"tcp": "port=127.0.0.1:0", "unix": "path=" + f.file("socket")} {
		d := run{mode: subreaper, args: flags(command, setting, "workers=2", "interval=0", "disconnect-signal=USR1")}.start(f.T)
		d.is("serving", 1)
		address := d.address(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(setting, "port="), "path="), ":0"))
		clients := map[string]net.Conn{}
		for _, name := range []string{"one", "another"} {
			client, err := net.Dial(network, address)
			if err != nil {
				f.Fatal(err)
			}
			defer client.Close()
			fmt.Fprintln(client, name)
			d.says("busy with " + name)
			clients[name] = client
		}
		workers := children(f.T, d.pid)
		clients["another"].Close()
		d.says("another was cancelled")
		if lines, _, _ := d.log.After(0); slices.Contains(lines, "one was cancelled") {
			f.Error("a worker was told whose client has not gone")
		}
		clients["one"].Close()
		d.says("one was cancelled")
		if now := children(f.T, d.pid); !slices.Equal(workers, now) {
			f.Errorf("workers %v were replaced by %v", workers, now)
		}
		d.stop()
	}
}

// mainLoop: the workers on the page serve, end after as many requests as they are to, and no client notices.
func (f *forked) mainLoop() {
	for _, language := range []struct {
		name    string
		command func(port string) []string
		scores  bool // it does all that there is to do
	}{
		{"Go", f.compiled, true},
		{"Perl", func(string) []string { return f.perl() }, true},
		{"Python", func(string) []string {
			return append(interpreter(f.T, "python3"), f.write("worker.py", excerpt(f.T, "python")))
		}, false},
	} {
		port, board := freePort(f.T), f.file(language.name)
		settings := []string{"port=127.0.0.1:" + port, "interval=0", "scoreboard=" + board}
		if language.scores {
			settings = append(settings, "ready=notify")
		}
		const limit = 50
		d := run{mode: subreaper, environ: []string{fmt.Sprint("MAX_REQUESTS_PER_CHILD=", limit)}, args: flags(language.command(port), settings...)}.start(f.T)
		d.is("serving", 1)
		answers := map[int]int{}
		var last int
		for range 3*limit + 1 {
			pid, err := converse("127.0.0.1:" + port)
			if err != nil {
				f.Fatalf("%s: %v", language.name, err)
			}
			answers[pid]++
			last = pid
		}
		if len(answers) != 4 || answers[last] != 1 {
			f.Errorf("%s: workers with a limit of %d have answered so often: %v", language.name, limit, answers)
		}
		if language.scores {
			eventually(f.T, "the worker has told what it did", func() bool { return f.finished(board) == 1 })
		}
		d.stop()
		for _, e := range d.entries() {
			if e.Event == "exit" && e.Generation > 0 && (e.ExitStatus == nil || *e.ExitStatus != 0) {
				f.Errorf("%s: a worker has not ended by itself: %+v", language.name, e)
			}
		}
	}
}

// compiled is what the page has of a worker in Go. It asks for port 8080, and here for another.
func (f *forked) compiled(port string) []string {
	f.Helper()
	program := f.file("worker")
	build := exec.Command("go", "build", "-o", program, f.write("worker.go", strings.Replace(excerpt(f.T, "go"), "8080", "127.0.0.1:"+port, 1)))
	build.Dir = "../.." // so it is built as if it were of this module
	if out, err := build.CombinedOutput(); err != nil {
		f.Fatalf("go build: %v\n%s", err, out)
	}
	return []string{program}
}

// maxRequests: the successor is ready before a worker that has served enough is told to stop.
func (f *forked) maxRequests() {
	d := f.starts(f.perl(), "workers=2", "ready=notify", "interval=0", "max-requests=10")
	d.is("serving", 1)
	address := d.address("127.0.0.1")
	pids := map[int]bool{}
	eventually(f.T, "six workers have served", func() bool {
		pid, err := converse(address)
		if err != nil {
			f.Fatal(err)
		}
		pids[pid] = true
		return len(pids) >= 6
	})
	recycled := 0
	var alive []int
	for _, e := range d.entries() {
		switch e.Event {
		case "recycle":
			recycled++
		case "start":
			alive = append(alive, e.PID)
		case "exit":
			alive = slices.DeleteFunc(alive, func(pid int) bool { return pid == e.PID })
			if len(alive) < 2 {
				f.Errorf("only %v were left", alive)
			}
		}
	}
	if recycled < 4 {
		f.Errorf("%d workers were recycled", recycled)
	}
	d.stop()
}

// beforeShutdown: the workers serve until the hook has ended.
func (f *forked) beforeShutdown() {
	hook, release := f.gate()
	d := f.starts(f.puppet(), "ready=notify", "hook-before-shutdown="+hook)
	p := f.generation(1).serve()
	p.ready()
	d.is("serving", 1)
	d.signal(syscall.SIGTERM)
	comes(f.T, f.file("began"), "before-shutdown\n")
	if got, want := greet(f.T, "tcp", d.address("127.0.0.1")), fmt.Sprint("1 ", p.PID); got != want {
		f.Errorf("while the hook runs %q answers, not %q", got, want)
	}
	p.lives()
	release()
	p.gets(syscall.SIGTERM)
	d.exits(0)
}

// hup: there the end, here a swap.
func (f *forked) hup() {
	d := f.starts(f.puppet(), "workers=3", "ready=notify")
	for generation := 1; generation <= 3; generation++ {
		for range 3 {
			f.generation(generation).ready()
		}
		d.is("serving", generation)
		d.swap()
	}
	d.is("gone", 2)
	d.stop()
}

// killRunning: it is over when the daemon has gone, and its workers with it.
func (f *forked) killRunning() {
	pid := f.file("pid")
	d := f.starts(f.puppet("stubborn"), "workers=3", "interval=0", "pid-file="+pid, "stop-timeout=0.2")
	var all []*puppet
	for range 3 {
		all = append(all, f.generation(1))
	}
	d.is("serving", 1)
	request(f.T, 0, "stop", "pid-file="+pid)
	for _, p := range all {
		p.ends()
	}
	missing(f.T, pid)
	d.exits(0)
}

// shutdown: a request that is being served is finished.
func (f *forked) shutdown() {
	d := f.starts(f.perl(), "workers=2", "ready=notify", "scoreboard="+f.file("board"))
	d.is("serving", 1)
	client := f.holds(d.address("127.0.0.1"))
	eventually(f.T, "a worker is busy", func() bool { return f.rows(f.file("board"), scoreboard.Busy) == 1 })
	d.signal(syscall.SIGTERM)
	d.event("a worker ends", func(e initdtest.Entry) bool { return e.Event == "exit" && e.Generation == 1 })
	fmt.Fprintln(client, "hello")
	answer, err := bufio.NewReader(client).ReadString('\n')
	if err != nil || len(strings.TrimSpace(answer)) == 0 {
		f.Errorf("the request was cut off: %q, %v", answer, err)
	}
	d.exits(0)
}

// originalArguments are those of its constructor that are documented.
var originalArguments = []string{
	"require_root", "error_log_path", "access_log_path", "pid_path", "scoreboard_path", "daemonize", "prefork", "max_children",
	"auto_reload_check_every", "auto_reload_handler", "before_daemonize", "after_init", "on_client_disconnect", "main_loop", "before_shutdown",
}

// originalMethods are those that programs call.
var originalMethods = []string{"run", "check_pidfile", "kill_running", "shutdown", "read_scoreboard", "update_scoreboard"}

// TestPreforkDocument: docs/guide/from-prefork.md has all of Proc::Daemon::Prefork, each with tests, and all of these tests there are.
func TestPreforkDocument(t *testing.T) {
	t.Parallel()
	page := initdtest.Read(t, preforkFile)
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\|.*\\| ((?:`Test[\\w/]+`(?:, )?)+) \\|$")
	for title, want := range map[string][]string{"Arguments": originalArguments, "Methods": originalMethods} {
		table, _ := between(t, page, "## "+title+"\n", "\n## ")
		var have []string
		for _, r := range row.FindAllStringSubmatch(table, -1) {
			have = append(have, r[1])
		}
		if !slices.Equal(have, want) {
			t.Errorf("under %q it has rows with tests of %q, not of %q", title, have, want)
		}
	}

	var sources string
	files, err := filepath.Glob("*_test.go")
	more, failure := filepath.Glob("*/*_test.go")
	files, err = append(files, more...), errors.Join(err, failure)
	for _, file := range files {
		text, failure := os.ReadFile(file)
		err = errors.Join(err, failure)
		sources += string(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, name := range regexp.MustCompile("`Test[\\w/]+`").FindAllString(page, -1) {
		name = strings.Trim(name, "`")
		named[name] = true
		test, part, _ := strings.Cut(name, "/")
		if !strings.Contains(sources, "\nfunc "+test+"(t *testing.T)") || part != "" && !strings.Contains(sources, `{"`+part+`", `) {
			t.Errorf("there is no %s", name)
		}
	}
	for _, feature := range prefork {
		if !named["TestPrefork/"+feature.name] {
			t.Errorf("it does not name TestPrefork/%s", feature.name)
		}
	}
}
