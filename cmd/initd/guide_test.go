package main_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
	"server-starter/initd/settings"
)

const guide = "../../docs/guide/"

// guidePages are the pages of the guide, without their suffix.
func guidePages(t *testing.T) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(guide + "*.md")
	if err != nil || len(paths) < 10 {
		t.Fatalf("the guide is %q, %v", paths, err)
	}
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".md"))
	}
	return names
}

var (
	ofInitd    = regexp.MustCompile(`(?m)^(?:timeout \d+ )?initd (-.*)$`)
	ofInitctl  = regexp.MustCompile(`(?m)(?:^| /|\$\()initctl ([a-z]+)(?: ([^)\n]*))?\)?$`)
	assignment = regexp.MustCompile(`SERVER_STARTER_[A-Z_]+=(?:'[^']*'|"[^"]*"|\S+)`)
	manifest   = regexp.MustCompile(`name: (SERVER_STARTER_[A-Z_]+), value: "?([^"}]*)"?\}`)
	setting    = regexp.MustCompile(`(?m)^(?:--)?([a-z][a-z-]*)=([^…$\n]+)$`)
)

// TestGuideCommands: initd and initctl understand each command, variable and setting in the guide.
func TestGuideCommands(t *testing.T) {
	t.Parallel()
	initdBinary(t)
	initctlBinary(t)
	known := map[string]bool{}
	for _, s := range settings.Table() {
		known[strings.TrimPrefix(s.Flag(), "--")] = true
	}
	commands := map[string]string{} // by the place where they are
	for _, name := range guidePages(t) {
		code := strings.ReplaceAll(initdtest.Code(t, guide+name+".md"), "--entrypoint /initctl", "") // it is no command
		for _, c := range ofInitd.FindAllStringSubmatch(code, -1) {
			if !strings.Contains(c[1], "…") {
				commands[name+": "+c[0]] = "initd --show-config " + c[1]
			}
		}
		for _, c := range ofInitctl.FindAllStringSubmatch(code, -1) {
			commands[name+": "+c[0]] = "initctl " + c[1] + " --help " + c[2]
		}
		for _, c := range assignment.FindAllString(code, -1) {
			if !strings.Contains(c, "…") {
				commands[name+": "+c] = c + " initd --show-config true"
			}
		}
		for _, c := range manifest.FindAllStringSubmatch(code, -1) {
			commands[name+": "+c[0]] = c[1] + "='" + c[2] + "' initd --envdir=/ --show-config true"
		}
		for _, c := range setting.FindAllStringSubmatch(code, -1) {
			if known[c[1]] || !strings.HasPrefix(name, "from-") { // those have settings of other programs
				commands[name+": "+c[0]] = "initd --envdir=/ --show-config --" + c[1] + "='" + strings.Trim(c[2], "'") + "' true"
			}
		}
	}
	if len(commands) < 80 {
		t.Errorf("only %d commands are found", len(commands))
	}
	for place, command := range commands {
		shell := exec.Command("/bin/sh", "-c", command)
		// The latter two are for --restart and --stop without them, as in a container that has them.
		shell.Env = []string{"PATH=" + workshop + ":" + searchPath, "SERVER_STARTER_PID_FILE=/run/app.pid", "SERVER_STARTER_STATUS_FILE=/run/app.status"}
		if out, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%s\n%s: %v\n%s", place, command, err, initdtest.Tail(string(out)))
		}
	}
	t.Logf("%d commands", len(commands))
}

// TestGuideBackground: the first block of outside-containers.md starts an initd in the background, swaps, and stops it.
func TestGuideBackground(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := strings.NewReplacer("/run/", dir+"/", "/var/log/", dir+"/", "8080", "127.0.0.1:0", "/app/server", "sleep 1000", "--daemonize", "--interval=0.1 --ready=alive --daemonize").
		Replace(initdtest.Blocks(t, guide+"outside-containers.md", "sh")[0])
	first, rest, found := strings.Cut(script, "initd --restart")
	if !found {
		t.Fatalf("there is no --restart in\n%s", script)
	}
	initdBinary(t)
	sh := func(script string) {
		t.Helper()
		shell := exec.Command("/bin/sh", "-e", "-c", script)
		shell.Env = []string{"PATH=" + workshop + ":" + searchPath}
		if out, err := shell.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%s\n%v\n%s", script, err, out)
		}
	}
	sh(first)
	background(t, dir+"/app.pid")
	if got := content(dir + "/app.status"); !strings.HasPrefix(got, "1:") {
		t.Errorf("the status file has %q", got)
	}
	sh("initd --restart" + rest)
	missing(t, dir+"/app.pid")
	contains(t, dir+"/app.log", `"event":"serving","generation":2`)
}

// TestGuideUnits: systemd has nothing to say against the units of outside-containers.md.
func TestGuideUnits(t *testing.T) {
	t.Parallel()
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skipf("needs systemd: %v", err)
	}
	initdBinary(t)
	initctlBinary(t)
	dir := t.TempDir()
	units := initdtest.Blocks(t, guide+"outside-containers.md", "ini")
	if len(units) != 2 {
		t.Fatalf("there are %d units", len(units))
	}
	args := []string{"verify"}
	for i, name := range []string{"app.service", "app.socket"} {
		unit := strings.NewReplacer("-- /usr/local/bin/app", "-- /bin/true", "/usr/local/bin/", workshop+"/").Replace(units[i])
		writes(t, dir+"/"+name, unit)
		args = append(args, dir+"/"+name)
	}
	if out, err := exec.Command(verify, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// guideFragments are in front of the fragments of go.md.
const guideFragments = `package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"server-starter/initd/worker"
)

var (
	ctx    context.Context
	server *http.Server
	_      = []any{errors.Is, fmt.Fprintln, log.Fatal, signal.NotifyContext, sync.OnceFunc, syscall.SIGTERM, time.Second, worker.Ready}
)

func fill()          {}
func serve(net.Conn) {}

func main() {
`

// TestGuideGo: the worker in go.md is swapped, and the fragments there compile.
func TestGuideGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	compile := func(name, text string) (program string) {
		t.Helper()
		program = filepath.Join(dir, name)
		writes(t, program+".go", text)
		build := exec.Command("go", "build", "-o", program, program+".go")
		build.Dir = "../.." // so it is built as if it were of this module
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		return program
	}
	blocks := initdtest.Blocks(t, guide+"go.md", "go")
	fragments := guideFragments
	for _, block := range blocks[1:] {
		fragments += "\tfunc() {\n" + block + "\t}()\n"
	}
	compile("fragments", fragments+"}\n")

	d := run{mode: subreaper, args: flags([]string{compile("worker", blocks[0])}, "ready=notify", "port=127.0.0.1:0")}.start(t)
	for generation := 1; generation <= 2; generation++ {
		d.is("serving", generation)
		response, err := http.Get("http://" + d.address("127.0.0.1") + "/")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if want := fmt.Sprintln("generation", generation); string(text) != want || err != nil {
			t.Errorf("it answers %q, %v, not %q", text, err, want)
		}
		if generation == 1 {
			d.swap()
			d.is("gone", 1)
		}
	}
	d.stop()
}

// TestGuideIndex: the index of the guide has every page of it, and no page is longer than its readers' patience.
func TestGuideIndex(t *testing.T) {
	t.Parallel()
	index := initdtest.Read(t, guide+"README.md")
	for _, name := range guidePages(t) {
		if name != "README" && !strings.Contains(index, "]("+name+".md)") {
			t.Errorf("it does not have %s.md", name)
		}
		page := initdtest.Read(t, guide+name+".md")
		if lines := strings.Count(page, "\n"); lines > 160 && !strings.HasPrefix(name, "from-") {
			t.Errorf("%s.md has %d lines", name, lines)
		}
		if copied := strings.Index(page, "```"); name != "README" && (copied < 0 || copied > strings.Index(page, "\n## ")) {
			t.Errorf("%s.md does not begin with something to copy", name)
		}
	}
}

// TestGuideQuotes: the failed swap in deploy.md is what initctl prints of one, but for times.
func TestGuideQuotes(t *testing.T) {
	t.Parallel()
	initctlBinary(t)
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/env", 0o755); err != nil {
		t.Fatal(err)
	}
	worker := `[ -z "$NEWVAR" ] && exec sleep 1000; echo "boom: no such table" >&2; exit 3`
	d := run{mode: subreaper, args: flags([]string{"/bin/sh", "-c", worker}, "interval=5", "stderr-lines=20", // a busy machine's /bin/sh has failed by then
		"envdir="+dir+"/env", "control-socket="+dir+"/socket")}.start(t)
	d.is("serving", 1)
	writes(t, dir+"/env/NEWVAR", "1\n")
	restart := exec.Command(filepath.Join(workshop, "initctl"), "--control-socket="+dir+"/socket", "restart")
	out, err := restart.CombinedOutput()
	if err == nil || restart.ProcessState.ExitCode() != 3 {
		t.Errorf("restart: %v", err)
	}
	d.stop()
	_, failure, _ := strings.Cut(string(out), "initctl: ") // what comes before is progress
	report := "$ initctl restart\ninitctl: " + failure + "$ echo $?\n3\n"
	const page = guide + "deploy.md"
	quoted := initdtest.Blocks(t, page, "console")[0]
	numbers := regexp.MustCompile(`[0-9.]+(µs|ms|s)\b`)
	switch same := numbers.ReplaceAllString(quoted, "#") == numbers.ReplaceAllString(report, "#"); {
	case same:
	case *update:
		writes(t, page, strings.Replace(initdtest.Read(t, page), quoted, report, 1))
	default:
		t.Errorf("%s (go test ./cmd/initd -run Quotes -update) has\n%s\nand should have\n%s", page, quoted, report)
	}
}
