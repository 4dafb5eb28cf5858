package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// restarts measures how long a script waits that asks for a swap and wants to know when it is done: the command
// --restart, from its start to its end. The worker is ready as soon as it runs, and ends as soon as it is asked to.
func (b *bench) restarts() ([]row, error) {
	took := make(samples)
	var keepers []*keeper
	asks := make(map[*keeper][]string)
	for _, p := range b.keepers() {
		files := []string{
			"--pid-file=" + filepath.Join(b.dir, p.name+".pid"),
			"--status-file=" + filepath.Join(b.dir, p.name+".status"),
		}
		k, err := start(p.name, p.keep(append(files, "--port=127.0.0.1:0"), b.self, "worker"))
		if err != nil {
			return nil, err
		}
		defer k.kill()
		keepers = append(keepers, k)
		asks[k] = append([]string{p.path, "--restart"}, files...)
	}
	time.Sleep(2 * time.Second) // start_server sleeps on after its first start, and has no status file until then
	for round := range b.rounds(20) {
		for _, k := range inTurn(round, keepers) {
			ask := exec.Command(asks[k][0], asks[k][1:]...)
			asked := monotonic()
			if out, err := ask.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("%v: %w\n%s", ask.Args, err, out)
			}
			took.of(k.name).add(monotonic() - asked)
			for range 3 { // began, ready, term
				if _, err := k.next(); err != nil {
					return nil, err
				}
			}
			pause()
		}
	}
	if err := stopAll(keepers); err != nil {
		return nil, err
	}
	r := row{what: "`--restart`, from the request to its being done"}
	r.fill(took, milliseconds)
	return []row{r}, nil
}
