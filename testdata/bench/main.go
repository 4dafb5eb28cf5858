// Bench measures initd beside the programs it is compared with: Perl's start_server, which swaps workers, and tini,
// dumb-init and catatonit, which are plain inits; and as the keeper of pools beside servers that fork their processes
// themselves, Starlet and gunicorn. It builds initd, takes the others from PATH, measures all of them in turn in one run
// and prints a table in Markdown:
//
//	go run ./testdata/bench [-short] [-only REGEXP]
//
// It needs root, for pid namespaces, and a machine that has nothing else to do. A bar that is missed is said in the table
// and is no failure: exit status 1 means that something could not be measured.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		switch args := os.Args[2:]; os.Args[1] {
		case "worker":
			playWorker()
			return
		case "idler":
			playIdler()
			return
		case "loner":
			playLoner()
			return
		case "scorer":
			playScorer()
			return
		case "server":
			if err := playServer(); err != nil {
				log.Fatal(err)
			}
			return
		case "prefork":
			log.Fatal(playPrefork(args[0], args[1:]))
		case "counter":
			log.Fatal(playCounter())
		case "shrinker":
			log.Fatal(playShrinker(args))
		case "namespace":
			log.Fatal(playNamespace(args))
		}
	}
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	short := flag.Bool("short", false, "a tenth of everything, to see that it works")
	only := flag.String("only", "", "measure only what matches this `regexp`")
	flag.Parse()
	filter, err := regexp.Compile(*only)
	if err != nil || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if os.Geteuid() != 0 {
		log.Fatal("needs root, for pid namespaces")
	}
	if err := run(*short, filter); err != nil {
		log.Fatal(err)
	}
}

// measures are what there is to measure, each with the rows it has for the table.
var measures = []struct {
	name string
	rows func(*bench) ([]row, error)
}{
	{"swap", (*bench).swaps},
	{"restart", (*bench).restarts},
	{"start", (*bench).starts},
	{"orphans", (*bench).orphans},
	{"idle", (*bench).idle},
	{"memory", (*bench).memory},
	{"size", (*bench).sizes},
	{"load", (*bench).loads},
	{"reuseport", (*bench).reuseport},
	{"crew", (*bench).crews},
	{"surge", (*bench).surges},
	{"growth", (*bench).growths},
	{"prefork", (*bench).preforks},
	{"scoreboard", (*bench).scores},
	{"control", (*bench).controls},
}

// bench is what the measures share.
type bench struct {
	dir      string // for what they need to write
	self     string // this program, for its roles
	initctl  string // initd's tool
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

func run(short bool, filter *regexp.Regexp) (err error) {
	b := &bench{short: short}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	initd := filepath.Join(b.dir, "initd")
	b.initctl = filepath.Join(b.dir, "initctl")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.dir, "server-starter/cmd/initd", "server-starter/cmd/initctl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(build.Args, " "), err, out)
	}
	b.programs = find(initd)

	var table []row
	load, began := loadAverage(), time.Now().UTC().Format("2006-01-02 15:04 UTC")
	for _, m := range measures {
		if !filter.MatchString(m.name) {
			continue
		}
		log.Printf("%s …", m.name)
		rows, err := m.rows(b)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		table = append(table, rows...)
	}
	fmt.Printf("%s, %s, load average %s at the start.\nMedians, with the quartiles in brackets.\n\n%s",
		began, machine(), load, markdown(table, b.programs))
	return nil
}
