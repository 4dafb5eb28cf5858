package initd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"server-starter/initd/proc"
)

// noteLauncher notes that another program is PID 1 of the container and has started initd, as the shell of an ENTRYPOINT
// in the shell form. The kernel drops signals to PID 1 for which it has no handler, pid_namespaces(7), and few programs
// have one that passes them on.
func (up *setup) noteLauncher() {
	if up.programs.background {
		return
	}
	var files proc.Reader
	for pid := os.Getppid(); pid > 1; { // up the shells and su, which pass nothing on either
		s, err := files.Stat(pid)
		if name, _ := launcher(arguments(pid)); err != nil || !slices.Contains(shells, name) && !slices.Contains(wrappers, name) {
			return
		}
		pid = s.Parent
		if pid < 1 {
			return // started by docker exec, for instance
		}
	}
	name, runs := launcher(arguments(1))
	switch {
	case os.Getppid() == 0 || !runs || slices.Contains(inits, name):
	case slices.Contains(shells, name):
		up.notes = append(up.notes, fmt.Sprintf("%s is PID 1: use the JSON form of ENTRYPOINT and CMD, or put exec before initd; "+
			"the shell passes no signals on, neither HUP nor that of docker stop", name))
	default:
		up.notes = append(up.notes, fmt.Sprintf("%s is PID 1: unless it passes signals on, neither HUP nor that of docker stop reaches initd; "+
			"make initd the ENTRYPOINT of the image, in the JSON form, or have %s execute it in its own place", name, name))
	}
}

// What may be PID 1: shells; inits, which pass signals on, or have services that are none of a container's business;
// and what stands between a shell and a program.
var (
	shells   = strings.Fields("sh dash bash rbash ash zsh ksh ksh93 mksh yash fish")
	inits    = strings.Fields("init systemd openrc-init runit runsvdir s6-svscan supervisord tini tini-static docker-init dumb-init catatonit podman-init conmon pause initd start_server")
	wrappers = strings.Fields("su sudo runuser doas gosu su-exec setpriv env nohup time timeout")
)

// arguments are those of a process, nil where it has none.
func arguments(pid int) []string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if len(line) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
}

// launcher is the name of a program, and whether it runs something, as an interactive shell does not by itself.
func launcher(argv []string) (name string, runs bool) {
	if len(argv) == 0 {
		return "", false
	}
	if filepath.Base(argv[0]) == "busybox" && len(argv) > 1 {
		argv = argv[1:]
	}
	name, _, _ = strings.Cut(strings.TrimPrefix(filepath.Base(argv[0]), "-"), " ") // "init [2]"
	if !slices.Contains(shells, name) {
		return name, name != ""
	}
	for i := 1; i < len(argv); i++ {
		switch option := argv[i]; {
		case option == "-o" || option == "+o" || option == "-O" || option == "+O" || option == "--rcfile" || option == "--init-file":
			i++ // it has a value
		case strings.HasPrefix(option, "--"):
		case !strings.HasPrefix(option, "-") && !strings.HasPrefix(option, "+"), strings.HasPrefix(option, "-") && strings.Contains(option, "c"):
			return name, true // a script, or -c
		}
	}
	return name, false
}
