package debian_test

import (
	"os/exec"
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestTerminal runs a shell as the command of a plain init, as `docker run -it` does, and uses job
// control in it as a person would.
func TestTerminal(t *testing.T) {
	t.Parallel()
	images := images(t)
	terminal := initdtest.OpenTerminal(t)
	name := initdtest.Unique()
	cmd := exec.Command("docker", "run", "--interactive", "--tty", "--name", name, "--network", "none",
		"--env", "SERVER_STARTER_RESPAWN=never", "--env", "PS1=$ ", images.Tag, "bash", "--norc", "--noprofile")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal.Line, terminal.Line, terminal.Line
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Line.Close()
	t.Cleanup(func() {
		cmd.Wait()
		if t.Failed() {
			t.Logf("the screen:\n%s", terminal.Screen)
		}
	})

	initdtest.Undo(t, "docker", "rm", "--force", name)

	const (
		interrupt = "\x03" // Ctrl-C
		suspend   = "\x1a" // Ctrl-Z
	)
	terminal.Expect("$ ")

	// What is typed is echoed, so that a word to wait for must not stand in it.
	terminal.Enter(`sh -c 'echo start""ed; exec sleep 1000'`)
	terminal.Expect("started")
	terminal.Press(interrupt)
	terminal.Expect("$ ")
	terminal.Enter(`echo status=$?`)
	terminal.Expect("status=130")
	terminal.Expect("$ ")

	// A stopped job gives the terminal back to the shell; fg gives it to the job again.
	terminal.Enter(`sh -c 'echo start""ed; exec sed --unbuffered s/ping/pong/'`)
	terminal.Expect("started")
	terminal.Press(suspend)
	terminal.Expect("Stopped")
	terminal.Expect("$ ")
	terminal.Enter(`jobs | wc -l | sed s/^/jobs=/`)
	terminal.Expect("jobs=1")
	terminal.Expect("$ ")
	terminal.Enter("fg")
	terminal.Expect("exec sed --unbuffered s/ping/pong/'")
	terminal.Enter("ping")
	terminal.Expect("pong")
	terminal.Press(interrupt)
	terminal.Expect("$ ")
	terminal.Enter(`echo status=$?`)
	terminal.Expect("status=130")

	terminal.Enter("exit 7")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("the shell exited 7, docker run says %v", err)
	}
	for _, complaint := range []string{"cannot set terminal process group", "no job control"} {
		if strings.Contains(terminal.Screen.String(), complaint) {
			t.Errorf("the shell complains: %s", complaint)
		}
	}
}
