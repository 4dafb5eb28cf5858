// Mutate shows that the simulation of initd/machine can fail: it puts one defect after the other into a copy of the machine,
// and the simulation has to find each of them, by one of the invariants.
//
//	go run ./testdata/mutate [-run REGEXP] [-parallel N]
//
// It prints a line for each defect and a summary. The exit status is 1 if one was not found, or could not be tried.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"sync"
	"syscall"
)

func main() {
	log.SetFlags(0)
	run := flag.String("run", "", "try only the defects whose name matches this regular expression")
	parallel := flag.Int("parallel", runtime.GOMAXPROCS(0), "try so many defects at the same time")
	flag.Parse()
	only, err := regexp.Compile(*run)
	if err != nil || flag.NArg() > 0 || *parallel < 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := tryAll(ctx, only, *parallel)
	switch {
	case err != nil:
		log.Fatal("mutate: ", err)
	case failed > 0:
		os.Exit(1)
	}
}

// tryAll tries the mutations whose name matches, and returns how many were not found.
func tryAll(ctx context.Context, only *regexp.Regexp, parallel int) (failed int, err error) {
	source, err := findPackage(ctx)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	var (
		wait   sync.WaitGroup
		mutex  sync.Mutex
		passed int
		turn   = make(chan struct{}, parallel)
	)
	for _, m := range mutations {
		if !only.MatchString(m.name) {
			continue
		}
		turn <- struct{}{}
		wait.Go(func() {
			defer func() { <-turn }()
			how, err := m.try(ctx, source, dir)
			if ctx.Err() != nil {
				return
			}
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				failed++
				fmt.Printf("FAIL  %s: %v\n", m.name, err)
				return
			}
			passed++
			fmt.Printf("ok    %s: %s\n", m.name, how)
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return failed, fmt.Errorf("interrupted after %d", passed+failed)
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if passed+failed == 0 {
		return 0, fmt.Errorf("no defect matches %q", only)
	}
	return failed, nil
}
