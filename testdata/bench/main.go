// Bench measures initd beside the programs it is compared with: Perl's start_server, which swaps workers, and tini,
// dumb-init and catatonit, which are plain inits; and its pools of workers beside servers that fork their processes
// themselves, Starlet and gunicorn. It builds initd, takes the others from PATH, measures all of them in turn in one run
// and prints the tables in Markdown:
//
//	go run ./testdata/bench [-short] [-only REGEXP] [-update | -against INITD]
//
// With -update the tables replace those in docs/PERFORMANCE.md. With -against the built initd is measured beside another
// one instead, in turn, and the table has the ratio of the medians.
//
// It needs root, for pid namespaces, and a machine that has nothing else to do. A bar that is missed is marked in the
// table and is no failure: exit status 1 means that something could not be measured.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"server-starter/initd/entry"
)

func main() {
	if len(os.Args) > 1 {
		play(os.Args[1], os.Args[2:])
	}
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	var b bench
	flag.BoolVar(&b.short, "short", false, "a tenth of everything, to see that it works")
	flag.StringVar(&b.against, "against", "", "compare with the initd at this `path` instead of other programs")
	only := flag.String("only", "", "measure only what matches this `regexp`")
	update := flag.Bool("update", false, "replace the tables in "+document)
	flag.Parse()
	filter, err := regexp.Compile(*only)
	if err != nil || flag.NArg() > 0 || *update && (b.short || b.against != "" || *only != "") {
		flag.Usage()
		os.Exit(2)
	}
	if os.Geteuid() != 0 {
		log.Fatal("needs root, for pid namespaces")
	}
	text, err := b.run(filter)
	fmt.Print(text)
	if err == nil && *update {
		err = replace(document, text)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// play plays one of the bench's roles, which ends the process, or returns if there is none of that name.
func play(role string, args []string) {
	var err error
	switch role {
	case "worker":
		err = playWorker(args)
	case "idler":
		playIdler()
	case "loner":
		playLoner()
	case "scorer":
		playScorer()
	case "server":
		err = playServer()
	case "prefork":
		err = playPrefork(args[0], args[1:])
	case "counter":
		err = playCounter()
	case "shrinker":
		err = playShrinker(args)
	case "namespace":
		err = playNamespace(args)
	default:
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(0)
}

// measures are what there is to measure, in the order of the tables; each returns its rows. In those that are not of
// initd nothing of PID 1's own program takes part, or two ways of it are compared, so that there is nothing to compare two
// of them by.
var measures = []struct {
	section string
	name    string
	rows    func(*bench) ([]row, error)
	ofInitd bool
}{
	{"Swaps", "swap", (*bench).swaps, true},
	{"Swaps", "seen", (*bench).seen, true},
	{"Swaps", "restart", (*bench).restarts, true},
	{"Swaps", "load", (*bench).loads, true},
	{"As a plain init", "start", (*bench).starts, true},
	{"As a plain init", "orphans", (*bench).orphans, true},
	{"What it takes", "memory", (*bench).memory, true},
	{"What it takes", "idle", (*bench).idle, true},
	{"What it takes", "size", (*bench).sizes, true},
	{"What it takes", "bind", (*bench).binds, false},
	{"The control socket", "control", (*bench).controls, true},
	{"Pools", "pool", (*bench).pools, true},
	{"Pools", "surge", (*bench).surges, true},
	{"Pools", "growth", (*bench).growths, true},
	{"Pools", "stop", (*bench).stops, true},
	{"Workers", "prefork", (*bench).preforks, false},
	{"Workers", "scoreboard", (*bench).scores, false},
	{"Workers", "reuseport", (*bench).reuseport, false},
}

// bench is what the measures share.
type bench struct {
	dir      string // for what they need to write
	self     string // this program, for its roles
	initctl  string // initd's tool
	against  string // another initd; empty: other programs
	short    bool
	programs []program
}

// rounds is how often to do something that is done n times when there is time.
func (b *bench) rounds(n int) int {
	if b.short {
		return max(n/10, 3)
	}
	return n
}

// run measures what the filter matches, and returns the tables. What cannot be measured is missing in them, and an error.
func (b *bench) run(filter *regexp.Regexp) (text string, err error) {
	if b.self, err = os.Executable(); err != nil {
		return "", err
	}
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return "", err
	}
	defer os.RemoveAll(b.dir)
	if err := b.build(); err != nil {
		return "", err
	}
	began, load := time.Now().UTC().Format("2006-01-02 15:04 UTC"), loadAverage()
	var sections []section
	var failed []error
	for _, m := range measures {
		if !filter.MatchString(m.name) || b.against != "" && !m.ofInitd {
			continue
		}
		log.Printf("%s …", m.name)
		rows, err := m.rows(b)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m.name, err))
		}
		if n := len(sections); n == 0 || sections[n-1].title != m.section {
			sections = append(sections, section{title: m.section})
		}
		last := &sections[len(sections)-1]
		last.rows = append(last.rows, rows...)
	}
	text = fmt.Sprintf("%s, %s, load average %s at the start and %s at the end", began, machine(), load, loadAverage())
	if b.short {
		text += "; a tenth of everything (`-short`)"
	}
	for _, p := range b.programs {
		if p.path == "" {
			text += "; " + p.name + " is not installed"
		}
	}
	text += ".\nMedians, with the quartiles in brackets.\n"
	for _, s := range sections {
		if b.against != "" {
			text += s.pairs()
		} else {
			text += s.markdown(b.programs)
		}
	}
	return text, errors.Join(failed...)
}

// build builds initd and initctl as they are released, and finds what they are compared with.
func (b *bench) build() error {
	b.initctl = filepath.Join(b.dir, "initctl")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-ldflags=server-starter/cmd/initd=-s -w "+entry.Flag, "-o", b.dir, "server-starter/cmd/initd", "server-starter/cmd/initctl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(build.Args, " "), err, out)
	}
	b.programs = find(filepath.Join(b.dir, "initd"))
	if b.against != "" {
		before := b.programs[0]
		before.name, before.path = other, b.against
		b.programs = []program{b.programs[0], before}
		_, err := os.Stat(b.against)
		return err
	}
	return nil
}
