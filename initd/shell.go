package initd

import (
	"bytes"
	"fmt"
	"os"
)

// noteShell notes that PID 1 is a shell that waits for initd, as after an ENTRYPOINT in the shell form. The kernel
// drops signals to it for which it has no handler: pid_namespaces(7).
func (up *setup) noteShell() {
	if os.Getppid() != 1 || up.programs.background {
		return
	}
	line, _ := os.ReadFile("/proc/1/cmdline")
	if words := bytes.Split(line, []byte{0}); len(words) > 2 && string(words[1]) == "-c" {
		up.notes = append(up.notes, fmt.Sprintf("PID 1 is %s -c, which passes no signals on, not even that of docker stop; "+
			"write ENTRYPOINT as a JSON array, or put exec before initd", words[0]))
	}
}
