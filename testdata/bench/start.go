package main

import (
	"os"
	"os/exec"
	"syscall"
)

// starts measures how much longer a short command takes where an init is put before it.
func (b *bench) starts() ([]row, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	nothing, err := exec.LookPath("true")
	if err != nil {
		return nil, err
	}
	bare, took := new(sample), make(samples)
	for round := range b.rounds(500) {
		if err := bare.wall([]string{nothing}, null.Fd()); err != nil {
			return nil, err
		}
		for _, p := range inTurn(round, b.inits()) {
			if err := took.of(p.name).wall(p.run("true"), null.Fd()); err != nil {
				return nil, err
			}
		}
	}
	long := row{what: "`-- true`, start to end; with no init " + bare.in(milliseconds)}
	long.fill(took, milliseconds)
	return []row{long, took.ratio("the same against tini's", 4)}, nil
}

// wall adds how long a program takes. It is started with no signal ignored, for Go programs ignore none.
func (s *sample) wall(argv []string, null uintptr) error {
	from := monotonic()
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{null, null, null}})
	if err != nil {
		return &os.PathError{Op: "start", Path: argv[0], Err: err}
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return err
	}
	s.add(monotonic() - from)
	return nil
}
