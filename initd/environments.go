package initd

import (
	"fmt"
	"time"

	"server-starter/initd/envdir"
	"server-starter/initd/settings"
)

// environments are those of the generations that may still start workers, by number.
type environments map[int]environ

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

// readEnvdir has the loop prepare a generation with what the envdir has, once a channel is
// closed. A goroutine reads it; where there is nothing to wait for the loop goes on at once.
func (l *loop) readEnvdir(generation int, after <-chan struct{}) {
	if l.programs.envdir == "" && after == nil {
		l.prepared(generation, envdirContent{settings: l.settings})
		return
	}
	l.inbox.start(func() { l.inbox.post(envdirRead{l.envdirWithin(readLimit, after), generation}) })
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

// newest is the number of the newest of these generations that has workers; 0: none.
func (l *loop) newest() (newest int) {
	for g := range l.environments {
		if l.children.hasWorker(g) {
			newest = max(newest, g)
		}
	}
	return newest
}
