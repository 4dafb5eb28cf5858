package initd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"server-starter/initd/eventlog"
	"server-starter/initd/launch"
	"server-starter/initd/settings"
	"server-starter/initd/watch"
)

// openWatch opens the watch of what the setting watch names; it is nil where that
// names nothing. It reads the files now, before the first generation does: what
// changes in between is a change.
func (p *programs) openWatch() (*watch.Watch, error) {
	var sources []watch.Source
	for _, name := range p.settings.Watch {
		switch name {
		case settings.WatchEnvdir:
			sources = append(sources, watch.Source{Name: name, Paths: func() []string { return []string{p.envdir} }})
		case settings.WatchCommand:
			sources = append(sources, watch.Source{Name: name, Paths: p.commandPaths})
		default:
			path, err := filepath.Abs(name)
			if err != nil {
				return nil, settingError("watch", err)
			}
			sources = append(sources, watch.Source{Name: name, Paths: func() []string { return []string{path} }})
		}
	}
	if len(sources) == 0 {
		return nil, nil
	}
	w, err := watch.New(sources)
	if err != nil {
		return nil, settingError("watch", err)
	}
	return w, nil
}

// noteWatched notes what is watched and is not there: it may be misspelt.
func (up *setup) noteWatched() {
	for _, name := range up.settings.Watch {
		if name == settings.WatchEnvdir || name == settings.WatchCommand || up.programs.plain() {
			continue
		}
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		note := fmt.Sprintf("watch: %s does not exist; there is a swap when it appears", absolute(name))
		if word := settings.WatchMeant(name); word != "" {
			note += fmt.Sprintf("; did you mean %s?", word)
		}
		up.notes = append(up.notes, note)
	}
}

// commandPaths are the files that are the program, or would be: all places in
// PATH up to the one where it is found, for one may appear before that.
func (p *programs) commandPaths() (paths []string) {
	for _, path := range launch.Candidates(p.settings.Command, p.base) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(cmp.Or(p.dir, p.started), path)
		}
		paths = append(paths, path)
		if unix.Access(path, unix.X_OK) == nil {
			break
		}
	}
	return paths
}

// startWatch starts the watch, which sends the loop a message for each change.
func (in *instance) startWatch() {
	if in.watch == nil {
		return
	}
	in.inbox.start(func() { in.watch.Run(context.Background()) })
	in.inbox.start(func() {
		for r := range in.watch.Reports() {
			if r.Err != nil {
				in.inbox.post(warning{eventlog.Watch, r.Err.Error()})
				continue
			}
			in.inbox.post(changed{r.Name})
		}
	})
}
