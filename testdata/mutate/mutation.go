package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// machine is the package that the defects are put into.
const machine = "server-starter/initd/machine"

// limit is for one defect: a simulation that hangs has not found it.
const limit = 20 * time.Minute

// schedules is how many schedules find a defect, at most. The simulation ends with the first that fails, most often among
// the first hundred.
const schedules = "20000"

// mutation is a defect: in a file of the package one text, which is there once, is replaced by another.
type mutation struct{ name, file, old, new string }

// found is how the simulation reports the invariant that was broken.
var found = regexp.MustCompile(`seed \d+: ([IL]\d*): .*`)

// findPackage returns the directory of the package.
func findPackage(ctx context.Context) (dir string, err error) {
	output, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", machine).Output()
	if err != nil {
		return "", fmt.Errorf("go list %s: %w", machine, reason(err))
	}
	return strings.TrimSpace(string(output)), nil
}

// try builds the tests of the package in a directory with the defect, and runs the simulation. It returns how that has
// found the defect.
func (m mutation) try(ctx context.Context, source, dir string) (how string, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if dir, err = os.MkdirTemp(dir, ""); err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(source, dir)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "machine.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o="+binary, "-overlay="+overlay, "-vet=off", "-ldflags=-s -w", ".")
	build.Dir = source
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go test -c: %w\n%s", err, output)
	}
	simulation := exec.CommandContext(ctx, binary, "-test.run=^TestSimulation$", "-schedules="+schedules, "-brief")
	simulation.Dir = source
	output, err := simulation.CombinedOutput()
	if err == nil {
		return "", fmt.Errorf("the simulation has not found it")
	}
	if how = found.FindString(string(output)); how == "" {
		return "", fmt.Errorf("the simulation has failed, but not by an invariant: %w\n%s", err, output)
	}
	return how, nil
}

// overlay puts the defect into a copy of the file, and returns what makes the build take the copy for the file; go help
// build.
func (m mutation) overlay(source, dir string) (path string, err error) {
	file := filepath.Join(source, m.file)
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("%q is %d times in %s: adapt the list of mutations", m.old, n, m.file)
	}
	mutant := filepath.Join(dir, m.file)
	if err := os.WriteFile(mutant, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o666); err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{file: mutant}})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, replace, 0o666)
}

// reason adds to an error what the program has written about it.
func reason(err error) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}
