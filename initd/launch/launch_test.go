package launch

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is every program of these tests: the stage, and by the variable ROLE the ones below.
func TestMain(m *testing.M) {
	if play := roles[os.Getenv("ROLE")]; play != nil {
		play()
		os.Exit(0)
	}
	// Under nohup(1) a direct start would rightly never happen.
	for n := 1; n <= signals; n++ {
		if ignored(n) {
			rtSigaction(n, new(sigaction), nil)
		}
	}
	for fd := 3; fd < 1000; fd++ { // what the shell left open
		unix.CloseOnExec(fd)
	}
	os.Exit(m.Run())
}

var roles = map[string]func(){
	"report":     playReport,
	"mother":     playMother,
	"dirty":      playDirty,
	"limited":    playLimited,
	"raised":     playRaised,
	"unentitled": playUnentitled,
	"entitled":   playEntitled,
	"rights":     playRights,
	"leader":     playLeader,
	"terminal":   playTerminal,
}

// command runs argv with a small environment and everything else as ours.
func command(argv ...string) *Command {
	return &Command{Argv: argv, Environ: []string{"PATH=/usr/bin:/bin"}, Files: []uintptr{0, 1, 2}, Umask: -1}
}

// role runs this binary as the role.
func role(name string) *Command {
	c := command(self)
	c.Environ = append(c.Environ, "ROLE="+name, "GORACE=atexit_sleep_ms=0") // else each takes a second to end
	return c
}

// ways are the two ways of a start, which must come to the same.
var ways = map[string]bool{"staged": false, "direct": true}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
}

func pipe(t *testing.T) (read *os.File, write int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	read = os.NewFile(uintptr(p[0]), "pipe")
	t.Cleanup(func() { read.Close() })
	return read, p[1]
}

// bound kills a process that does not end in time, which no correct one comes near.
func bound(pid int) (stop func() bool) {
	return time.AfterFunc(30*time.Second, func() { syscall.Kill(pid, syscall.SIGKILL) }).Stop
}

func wait(t *testing.T, pid int) (status syscall.WaitStatus) {
	t.Helper()
	defer bound(pid)()
	for {
		switch _, err := syscall.Wait4(pid, &status, 0, nil); err {
		case nil:
			return status
		case syscall.EINTR:
		default:
			t.Fatalf("wait4 %d: %v", pid, err)
		}
	}
}

// run starts c with a pipe for its standard output and returns what it wrote, its exit, and the outcome of the start.
func run(t *testing.T, c *Command) (output string, status syscall.WaitStatus, outcome error) {
	t.Helper()
	read, write := pipe(t)
	c.Files = slices.Clone(c.Files)
	c.Files[1] = uintptr(write)
	pid, outcomes, err := Start(c)
	unix.Close(write)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	defer bound(pid)()
	text, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), wait(t, pid), outcomes.Wait()
}

// runs is run for what must succeed.
func runs(t *testing.T, c *Command) string {
	t.Helper()
	output, status, outcome := run(t, c)
	if outcome != nil {
		t.Fatalf("outcome: %v", outcome)
	}
	if status != 0 {
		t.Fatalf("status: %#x, output: %s", status, output)
	}
	return output
}

// A Report is what a program finds when it is executed.
type Report struct {
	Argv, Environ []string
	Files         map[int]string // device:inode
	Dir           string
	Umask         int
	UID, GID      []int // real, effective, saved
	Groups        []int
	PID, Group    int
	NoNewPrivs    int
}

func playReport() {
	r := Report{Argv: os.Args, Environ: os.Environ(), Files: map[int]string{}, Umask: syscall.Umask(0), PID: os.Getpid(), Group: syscall.Getpgrp()}
	for fd := range 100 {
		// What this process opened itself is close-on-exec, and nothing that came through an execve(2) is.
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			r.Files[fd] = identity(fd)
		}
	}
	r.Dir, _ = os.Getwd()
	r.UID, r.GID = make([]int, 3), make([]int, 3)
	r.UID[0], r.UID[1], r.UID[2] = unix.Getresuid()
	r.GID[0], r.GID[1], r.GID[2] = unix.Getresgid()
	r.Groups, _ = syscall.Getgroups()
	r.NoNewPrivs, _ = unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	json.NewEncoder(os.Stdout).Encode(r)
}

func identity(fd int) string {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

func report(t *testing.T, c *Command) (r Report) {
	t.Helper()
	output := runs(t, c)
	if err := json.Unmarshal([]byte(output), &r); err != nil {
		t.Fatalf("%v in %q", err, output)
	}
	return r
}

func TestFiles(t *testing.T) {
	const hole = ^uintptr(0)
	var file [3]uintptr // low and high numbers of ours, to collide with the child's
	for i, at := range []int{0, 40, 60} {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, at)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		defer unix.Close(fd)
		file[i] = uintptr(fd)
	}
	a, b, c := file[0], file[1], file[2]
	tests := map[string][]uintptr{
		"none":     {0, 1, 2},
		"two":      {0, 1, 2, b, c},
		"holes":    {0, 1, 2, hole, a, hole, hole, c},
		"pinned 0": {b, 1, 2, c},
		"crossed":  {0, 1, 2, c, a, b, a},
		"far":      append(slices.Repeat([]uintptr{hole}, 70), a),
	}
	copy(tests["far"], []uintptr{0, 1, 2})
	for name, files := range tests {
		for way, direct := range ways {
			t.Run(name+"/"+way, func(t *testing.T) {
				c := role("report")
				c.Files, c.Direct = files, direct
				got := report(t, c).Files
				want := map[int]string{1: got[1]} // the pipe
				for i, fd := range files {
					if fd != hole && i != 1 {
						want[i] = identity(int(fd))
					}
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("files are %v, want %v", got, want)
				}
			})
		}
	}
}

func TestEnvironment(t *testing.T) {
	for way, direct := range ways {
		t.Run(way, func(t *testing.T) {
			c := role("report")
			c.Argv = append(c.Argv, "", "--", "-x", "two words")
			// The last is one that the stage itself has another value of.
			c.Environ = append(c.Environ, "Z=1", "A=", "M=a=b\nc", "GOMAXPROCS=3")
			c.Direct = direct
			got := report(t, c)
			if !slices.Equal(got.Argv, c.Argv) {
				t.Errorf("argv is %q, want %q", got.Argv, c.Argv)
			}
			if !slices.Equal(got.Environ, c.Environ) {
				t.Errorf("environment is %q, want %q", got.Environ, c.Environ)
			}
			if got.Group != got.PID {
				t.Errorf("process %d is in group %d", got.PID, got.Group)
			}
			c.ListenPID = true
			got = report(t, c)
			if want := append(c.Environ, "LISTEN_PID="+strconv.Itoa(got.PID)); !slices.Equal(got.Environ, want) {
				t.Errorf("environment is %q, want %q", got.Environ, want)
			}
		})
	}
}

// Variables that tune the Go runtime are for the program: the stage, a Go program itself, does not obey them and hands
// them on in the same order.
func TestTuning(t *testing.T) {
	for way, direct := range ways {
		t.Run(way, func(t *testing.T) {
			c := command("env")
			c.Environ = []string{"A=1", "GOMEMLIMIT=half", "GOMAXPROCS=3", "GODEBUG=inittrace=1", "GOGC=off", "GOTRACEBACK=crash", "Z=1"}
			c.Direct = direct
			read, write := pipe(t)
			c.Files = []uintptr{0, 1, uintptr(write)}
			output, status, outcome := run(t, c)
			unix.Close(write)
			stderr, err := io.ReadAll(read)
			if want := strings.Join(c.Environ, "\n") + "\n"; output != want || status != 0 || outcome != nil || len(stderr) > 0 || err != nil {
				t.Errorf("the environment is\n%sand not\n%sthe status %#x, the outcome %v, stderr (%v)\n%s", output, want, status, outcome, err, stderr)
			}
		})
	}
}

func TestSurroundings(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	plain := report(t, role("report"))
	tests := map[string]struct {
		change func(*Command)
		want   func(*Report)
	}{
		"nothing":           {func(c *Command) {}, func(r *Report) {}},
		"dir":               {func(c *Command) { c.Dir = dir }, func(r *Report) { r.Dir = dir }},
		"umask":             {func(c *Command) { c.Umask = 0o137 }, func(r *Report) { r.Umask = 0o137 }},
		"umask 0":           {func(c *Command) { c.Umask = 0 }, func(r *Report) { r.Umask = 0 }},
		"no new privileges": {func(c *Command) { c.NoNewPrivs = true }, func(r *Report) { r.NoNewPrivs = 1 }},
	}
	for name, test := range tests {
		for way, direct := range ways {
			t.Run(name+"/"+way, func(t *testing.T) {
				c, want := role("report"), plain
				c.Direct = direct
				test.change(c)
				test.want(&want)
				got := report(t, c)
				got.PID, got.Group, got.Files = want.PID, want.Group, want.Files
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			})
		}
	}
}

func TestCredential(t *testing.T) {
	needRoot(t)
	tests := []struct {
		id   Credential
		want []int
	}{
		{Credential{UID: 12345, GID: 54321, Groups: []uint32{7, 100000, 8}}, []int{7, 8, 100000}},
		{Credential{UID: 4000000000, GID: 3000000000}, nil}, // more than 16 bits, and than 31
		{Credential{UID: 12345, GID: 0, Groups: []uint32{0}}, []int{0}},
	}
	// A directory that only the old user may enter, and the last thing of the old user's.
	private := t.TempDir()
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.id), func(t *testing.T) {
			c := role("report")
			c.Credential, c.Dir, c.Direct = &test.id, private, true
			got := report(t, c)
			for i := range 3 {
				if uint32(got.UID[i]) != test.id.UID || uint32(got.GID[i]) != test.id.GID {
					t.Fatalf("uids are %v, gids %v", got.UID, got.GID)
				}
			}
			slices.Sort(got.Groups)
			if !slices.Equal(got.Groups, test.want) {
				t.Errorf("groups are %v, want %v", got.Groups, test.want)
			}
		})
	}
	t.Run("capabilities", func(t *testing.T) {
		c := command("cat", "/proc/self/status")
		c.Credential = &Credential{UID: 12345, GID: 12345}
		status := procStatus(runs(t, c))
		for _, set := range []string{"CapPrm", "CapEff", "CapAmb"} {
			if strings.Trim(status[set], "0") != "" {
				t.Errorf("%s is %s", set, status[set])
			}
		}
	})
}

// procStatus reads /proc/pid/status, proc_pid_status(5).
func procStatus(text string) map[string]string {
	status := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		status[key] = strings.TrimSpace(value)
	}
	return status
}

// An unentitled process may still start a program as the user that it is itself, and as no other.
func TestUnentitled(t *testing.T) {
	needRoot(t)
	for _, groups := range [][]uint32{nil, {12345}, {12345, 7}} {
		c := role("unentitled")
		c.Credential = &Credential{UID: 12345, GID: 12345, Groups: groups}
		const hint = ": operation not permitted: initd runs as uid 12345, and only root can run workers as another user: start it as root, or without this setting\n"
		want := "<nil>\n<nil>\nsetgroups" + hint + "setresgid" + hint + "setresuid" + hint
		if got := runs(t, c); got != want {
			t.Errorf("with groups %v: %s, want %s", groups, got, want)
		}
	}
}

func playUnentitled() {
	groups, _ := syscall.Getgroups()
	var others []uint32
	for _, g := range groups {
		if g != 12345 {
			others = append(others, uint32(g))
		}
	}
	with := func(gids ...uint32) []uint32 { return slices.Concat(others, gids) }
	for _, id := range []Credential{
		{12345, 12345, others}, {12345, 12345, with(12345)}, {12345, 12345, with(8)},
		{12345, 0, others}, {0, 12345, others},
	} {
		c := command("true")
		c.Credential = &id
		pid, outcome, err := Start(c)
		if err != nil {
			fmt.Println("Start:", err)
			continue
		}
		fmt.Println(outcome.Wait())
		syscall.Wait4(pid, nil, 0, nil)
	}
}

// Who has been reaped is not waited for, although another process holds its socket; what it has reported counts.
func TestOutcomeOfOneThatHasEnded(t *testing.T) {
	for _, reports := range []bool{true, false} {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		want := error(nil)
		if reports {
			want = &Failure{Stage: "exec", Path: "/app", Errno: syscall.ENOENT}
			unix.Write(ends[1], want.(*Failure).report())
		}
		outcome := newOutcome(ends[0])
		outcome.Ended()
		if got := outcome.Wait(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("outcome %v, want %v", got, want)
		}
		unix.Close(ends[1])
	}
}
