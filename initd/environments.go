package initd

import (
	"fmt"
	"time"

	"server-starter/initd/envdir"
	"server-starter/initd/machine"
	"server-starter/initd/settings"
)

// environments are those of the generations that may still start workers, and
// the last that was given up: the hook that gets the outcome of an attempt runs
// with its environment.
type environments struct {
	of    map[int]environ
	over  []int                  // generations that start no worker any more
	hooks map[machine.Hook]*hook // those that run when theirs has been read
}

// drop removes those that have been released.
func (e *environments) drop() {
	for _, generation := range e.over {
		delete(e.of, generation)
	}
	e.over = nil
}

// release is for a generation that starts no worker any more.
func (e *environments) release(generation int) { e.over = append(e.over, generation) }

// envdirContent is what the envdir has at a time: assignments, and the settings as they
// are with these.
type envdirContent struct {
	assignments []string
	ignored     []string // files that are no variables
	longer      []string // variables whose files have more than a line
	settings    *settings.Settings
	err         error
}

// readLimit is how long reading the envdir may take: it may be on a file system that
// hangs.
const readLimit = 10 * time.Second

// readEnvdir has the loop go on with what the envdir has, once a channel is closed. A
// goroutine reads it; where there is nothing to wait for the loop goes on at once.
func (l *loop) readEnvdir(after <-chan struct{}, then func(envdirContent)) {
	if l.programs.envdir == "" && after == nil {
		then(envdirContent{settings: l.settings})
		return
	}
	l.inbox.start(func() { l.inbox.post(envdirRead{l.envdirWithin(readLimit, after), then}) })
}

func (l *loop) envdirWithin(limit time.Duration, after <-chan struct{}) (content envdirContent) {
	until := time.Now().Add(limit)
	if after != nil {
		select {
		case <-after:
		case <-time.After(limit):
			return envdirContent{err: settingError("pid-file", fmt.Errorf("%s has not been written within %v: does the file system hang?", l.settings.PidFile, limit))}
		}
	}
	read := make(chan envdirContent, 1)
	if !l.programs.gate.pass(time.Until(until), func() { read <- l.programs.readEnvdir() }) {
		return envdirContent{err: settingError("envdir", fmt.Errorf("%s has not been read within %v: does the file system hang?", l.programs.envdir, limit))}
	}
	return <-read
}

// readEnvdir may block for ever.
func (p *programs) readEnvdir() envdirContent {
	if p.envdir == "" {
		return envdirContent{settings: p.settings}
	}
	assignments, ignored, err := p.read(p.envdir)
	if err != nil {
		return envdirContent{err: settingError("envdir", err)}
	}
	content := envdirContent{assignments: assignments, ignored: ignored, longer: envdir.Longer(p.envdir, assignments), settings: p.settings}
	if p.plain() { // there they are the command's
		return content
	}
	overrides, err := settings.Reload(assignments)
	if err != nil {
		return envdirContent{err: settingError("envdir", err)}
	}
	content.settings = p.settings.With(overrides)
	return content
}

// environmentFor is that of a generation, or of the newest that has workers.
func (l *loop) environmentFor(generation int) environ {
	if env, ok := l.environments.of[generation]; ok {
		return env
	}
	newest := 0
	for g := range l.environments.of {
		if l.children.hasWorker(g) {
			newest = max(newest, g)
		}
	}
	return l.environments.of[newest]
}
