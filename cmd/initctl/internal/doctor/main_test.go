package doctor

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write anew what README.md quotes")

// patience is how long any one event may take before a test gives up on it.
const patience = 4 * time.Minute

// workshop is a directory that everyone may enter, for the programs of the tests.
var workshop string

// TestMain plays the parts of this binary: its first argument may name one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch args := os.Args[2:]; os.Args[1] {
		case "server":
			os.Exit(newServer(args).run())
		case "unprivileged":
			os.Exit(runUnprivileged(args))
		case "isolated":
			os.Exit(runIsolated(args))
		}
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "doctor")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	workshop = dir
	flag.Parse()
	flag.VisitAll(func(f *flag.Flag) {
		if f.Name == "test.parallel" && f.Value.String() == f.DefValue {
			f.Value.Set("4") // most of the time the tests wait
		}
	})
	return m.Run()
}

var built = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", workshop+"/", "./cmd/initd", "./cmd/initctl", "./cmd/hello")
	cmd.Dir = "../../../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(workshop, "test"), program, 0o755)
})

// program is the path of initd, of initctl, of hello, or of this test.
func program(t *testing.T, name string) string {
	t.Helper()
	if err := built(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(workshop, name)
}

// A run says how to start an initctl check.
type run struct {
	unprivileged bool // without the capability by which root makes namespaces
	user         int  // as this user instead of root
	environ      []string
	args         []string // after check
}

// command is not started yet. Its environment is small and known.
func (r run) command(t *testing.T) *exec.Cmd {
	t.Helper()
	argv := append([]string{program(t, "initctl"), "check"}, r.args...)
	if r.unprivileged {
		argv = append([]string{program(t, "test"), "unprivileged"}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "GORACE=atexit_sleep_ms=0"}, r.environ...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if r.user != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(r.user), Gid: uint32(r.user)}
	}
	return cmd
}

// check runs it to its end, and returns its exit status and its report.
func (r run) check(t *testing.T) (status int, report string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := r.command(t)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &stdout, &stderr, patience
	err := cmd.Start()
	if err == nil {
		late := time.AfterFunc(patience, func() { cmd.Process.Signal(syscall.SIGTERM) })
		defer late.Stop()
		err = cmd.Wait()
	}
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	t.Logf("%q: %v\n%s%s", r.args, cmd.ProcessState, &stdout, &stderr)
	return cmd.ProcessState.ExitCode(), stdout.String()
}

// flags are arguments of which each setting is one, and a command.
func flags(command []string, settings ...string) (args []string) {
	for _, s := range settings {
		args = append(args, "--"+s)
	}
	return slices.Concat(args, []string{"--"}, command)
}

// needNamespaces skips a test where nobody can have a network of its own.
func needNamespaces(t *testing.T) {
	t.Helper()
	if err := tryNamespaces(); err != nil {
		t.Skipf("needs root or user namespaces, for a network of its own: %v", err)
	}
}

var tryNamespaces = sync.OnceValue(func() error {
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	return cmd.Run()
})

// runUnprivileged becomes the program in its arguments, without what Docker does
// not give to root either.
func runUnprivileged(argv []string) int {
	err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0)
	if err == nil {
		err = syscall.Exec(argv[0], argv, os.Environ())
	}
	fmt.Fprintf(os.Stderr, "cannot become %q: %v\n", argv, err)
	return 99
}

// listing is what is in a directory, with the contents of regular files.
func listing(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		if info.Mode().IsRegular() {
			content, _ := os.ReadFile(filepath.Join(dir, e.Name()))
			text = string(content)
		}
		all = append(all, fmt.Sprint(e.Name(), " ", info.Mode(), " ", text))
	}
	return all
}
