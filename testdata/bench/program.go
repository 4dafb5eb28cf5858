package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
)

// A program is one of those that are compared.
type program struct {
	name string
	path string // empty: not installed
	// The flags with which it is a plain init of one command, and those with which it keeps a worker on a listener.
	// nil: it cannot be that.
	plain, keeper []string
}

// find finds the programs, initd first, in the order of the table's columns.
func find(initd string) []program {
	programs := []program{
		{name: "initd", plain: []string{"--respawn=never"}, keeper: []string{}},
		{name: "start_server", keeper: []string{}},
		{name: "tini", plain: []string{"-s"}},
		{name: "dumb-init", plain: []string{}},
		{name: "catatonit", plain: []string{}},
	}
	for i := range programs {
		programs[i].path, _ = exec.LookPath(programs[i].name)
	}
	programs[0].path = initd
	return programs
}

// inits are the installed programs that can be a plain init.
func (b *bench) inits() []program {
	return slices.DeleteFunc(slices.Clone(b.programs), func(p program) bool { return p.path == "" || p.plain == nil })
}

// keepers are the installed programs that can keep workers.
func (b *bench) keepers() []program {
	return slices.DeleteFunc(slices.Clone(b.programs), func(p program) bool { return p.path == "" || p.keeper == nil })
}

// run is the command line of the program as a plain init of command.
func (p program) run(command ...string) []string {
	return slices.Concat([]string{p.path}, p.plain, []string{"--"}, command)
}

// keep is the command line of the program that keeps a worker, with flags that all of them know.
func (p program) keep(flags []string, worker ...string) []string {
	return slices.Concat([]string{p.path}, p.keeper, flags, []string{"--"}, worker)
}

// initds are those of the programs that are initd: one, or the two that are compared.
func (b *bench) initds() []program {
	return slices.DeleteFunc(slices.Clone(b.programs), func(p program) bool { return !isInitd(p.name) })
}

func isInitd(name string) bool { return name == "initd" || name == other }

// sizes measures the files. initd's and catatonit's are static: there is nothing else to them.
func (b *bench) sizes() ([]row, error) {
	size := row{what: "size of the stripped binary", bar: "≤ 5.5 MB"}
	for _, p := range b.programs {
		if p.path == "" {
			continue
		}
		file, err := os.ReadFile(p.path)
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(file, []byte("#!")) {
			size.set(p.name, "a script")
			continue
		}
		megabytes := float64(len(file)) / 1e6
		size.set(p.name, fmt.Sprintf("%.2f MB", megabytes))
		size.compare(p.name, sample{megabytes})
		if p.name == "initd" {
			size.verdict(megabytes <= 5.5)
		}
	}
	return []row{size}, nil
}
