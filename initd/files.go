package initd

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"server-starter/initd/pidfile"
	"server-starter/initd/statusfile"
)

// openFiles opens what the settings name, relative to the directory that initd
// was started in. The pid file comes first: where another instance runs,
// nothing of its is touched.
func (in *instance) openFiles() (err error) {
	defer func() {
		if err != nil {
			in.removeFiles()
		}
	}()
	if path := in.settings.PidFile; path != "" {
		if in.pidFile, err = pidfile.Lock(absolute(path)); err != nil {
			return settingError("pid-file", err)
		}
	}
	if path := in.settings.StatusFile; path != "" {
		if sameFile(path, in.settings.PidFile) {
			return settingError("status-file", fmt.Errorf("%s is the pid-file, too: name a file of its own", path))
		}
		tell := in.teller("status-file", "it may be wrong until then")
		if in.statusFile, err = statusfile.Open(absolute(path), tell); err != nil {
			return settingError("status-file", err)
		}
	}
	in.logs, err = in.openLogs()
	return err
}

// removeFiles removes those that name this process.
func (in *instance) removeFiles() {
	if in.statusFile != nil {
		in.statusFile.Remove(time.Second)
	}
	if in.pidFile != nil {
		in.pidFile.Remove()
	}
}

// publish says in the files what there is.
func (in *instance) publish(attempt, givenUp int, workers string) {
	if in.statusFile != nil {
		in.statusFile.Write(workers)
	}
	if in.pidFile != nil {
		in.pidFile.Publish(attempt, givenUp)
	}
}

// sameFile reports whether two paths lead to one file that is there.
func sameFile(path, other string) bool {
	this, err := os.Stat(path)
	if err != nil {
		return false
	}
	that, err := os.Stat(other)
	return err == nil && os.SameFile(this, that)
}

// absolute is the path from the root, which initd changes to; empty stays so.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}
