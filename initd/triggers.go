package initd

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"server-starter/initd/launch"
	"server-starter/initd/settings"
	"server-starter/initd/watch"
)

// openWatch takes note of what the watched files hold now. That is before the
// first generation reads them: what changes while it does is a change.
func (in *instance) openWatch() error {
	var sources []watch.Source
	for _, name := range in.settings.Watch {
		switch name {
		case settings.WatchEnvdir:
			sources = append(sources, watch.Source{Name: name, Paths: func() []string { return []string{in.envdir} }})
		case settings.WatchCommand:
			sources = append(sources, watch.Source{Name: name, Paths: in.commandPaths})
		default:
			path, err := filepath.Abs(name)
			if err != nil {
				return settingError("watch", err)
			}
			sources = append(sources, watch.Source{Name: name, Paths: func() []string { return []string{path} }})
		}
	}
	if len(sources) == 0 {
		return nil
	}
	var err error
	if in.watch, err = watch.New(sources); err != nil {
		return settingError("watch", err)
	}
	return nil
}

// watchFiles tells the loop of what changes.
func (in *instance) watchFiles() {
	if in.watch == nil {
		return
	}
	go func() {
		defer in.breaks()
		in.watch.Run(context.Background())
	}()
	go func() {
		defer in.breaks()
		for r := range in.watch.Reports() {
			if r.Err != nil {
				in.warnings <- warning{"watch", r.Err.Error()}
				continue
			}
			in.changes <- r.Name
		}
	}()
}

// breaks has a goroutine's panic end initd as one of the loop's does.
func (in *instance) breaks() {
	if p := recover(); p != nil {
		in.broken <- fmt.Errorf("%v\n%s", p, debug.Stack())
	}
}

// commandPaths are the files that are the program, or would be: all places in
// PATH up to the one where it is found, for one may appear before that.
func (in *instance) commandPaths() (paths []string) {
	for _, path := range launch.Candidates(in.settings.Command, in.base) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(cmp.Or(in.dir, in.start), path)
		}
		paths = append(paths, path)
		if unix.Access(path, unix.X_OK) == nil {
			break
		}
	}
	return paths
}
