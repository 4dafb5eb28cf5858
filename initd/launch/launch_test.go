package launch

import (
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"runtime"
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
	outcome = <-outcomes
	if _, more := <-outcomes; more {
		t.Error("the outcome came twice")
	}
	return string(text), wait(t, pid), outcome
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
		want := "<nil>\n<nil>\nsetgroups: operation not permitted\nsetresgid: operation not permitted\nsetresuid: operation not permitted\n"
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
		fmt.Println(<-outcome)
		syscall.Wait4(pid, nil, 0, nil)
	}
}

// The kernel sends the death signal when the thread that forked ends; here the whole mother is killed. Her child becomes
// ours, as we are a subreaper, and so tells us of its end.
func TestDeathSignal(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	for _, how := range []string{"direct", "staged", "user"} {
		t.Run(how, func(t *testing.T) {
			if how == "user" {
				needRoot(t)
			}
			read, write := pipe(t)
			c := role("mother")
			c.Environ = append(c.Environ, "HOW="+how)
			c.Files[1] = uintptr(write)
			mother, _, err := Start(c)
			unix.Close(write)
			if err != nil {
				t.Fatal(err)
			}
			var child int
			if _, err := fmt.Fscan(read, &child); err != nil {
				t.Fatal(err)
			}
			syscall.Kill(mother, syscall.SIGKILL)
			wait(t, mother)
			if status := wait(t, child); status.Signal() != syscall.SIGUSR2 {
				t.Errorf("the child ended with %#x, want USR2", status)
			}
		})
	}
}

func playMother() {
	runtime.LockOSThread()
	c := command("sleep", "600")
	c.DeathSignal = syscall.SIGUSR2
	switch os.Getenv("HOW") {
	case "direct":
		c.Direct = true
	case "user":
		c.Credential = &Credential{UID: 12345, GID: 12345}
	}
	pid, outcome, err := Start(c)
	if err != nil || <-outcome != nil {
		os.Exit(1)
	}
	fmt.Println(pid)
	syscall.Pause()
}

// A parent that is gone before the stage asks for the death signal is as good as one that dies after.
func TestDeathSignalOfGoneParent(t *testing.T) {
	for _, parent := range []int{os.Getpid(), 1 << 30} {
		argv := []string{stage, "2", fmt.Sprintf("pdeathsig=%d %d", syscall.SIGUSR2, parent), "--", "true"}
		pid, err := command().fork(self, argv, &everySignal, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
		if err != nil {
			t.Fatal(err)
		}
		status := wait(t, pid)
		if gone := parent != os.Getpid(); gone != (status.Signal() == syscall.SIGUSR2) || !gone && status != 0 {
			t.Errorf("parent gone: %v, status: %#x", gone, status)
		}
	}
}

// dirt is what a process may have inherited; CHLD ignored would only make children unwaitable.
func dirt() (ignored []int) {
	for n := 1; n <= signals; n++ {
		switch syscall.Signal(n) {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD:
		default:
			ignored = append(ignored, n)
		}
	}
	return ignored
}

func playDirty() {
	runtime.LockOSThread()
	c := command("cat", "/proc/self/status")
	c.Direct = os.Getenv("DIRECT") != ""
	if os.Getenv("DIRT") == "ignored" {
		for _, n := range dirt() {
			rtSigaction(n, &sigaction{1}, nil)
		}
		if !ignored(40) || !ignoring() {
			os.Exit(2)
		}
	} else {
		signal.Notify(make(chan os.Signal, 1))
	}
	var before, after unix.Sigset_t
	set := unix.Sigset_t{}
	for _, n := range []int{10, 13, 14, 40, 64} {
		set.Val[(n-1)/bits.UintSize] |= 1 << ((n - 1) % bits.UintSize)
	}
	unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
	unix.PthreadSigmask(unix.SIG_BLOCK, nil, &before)
	pid, outcome, err := Start(c)
	if err != nil || <-outcome != nil {
		os.Exit(3)
	}
	if unix.PthreadSigmask(unix.SIG_BLOCK, nil, &after); before != after {
		os.Exit(4)
	}
	syscall.Wait4(pid, nil, 0, nil)
}

func TestSignalsAreClean(t *testing.T) {
	for way, direct := range ways {
		for _, dirt := range []string{"ignored", "caught"} {
			t.Run(dirt+"/"+way, func(t *testing.T) {
				c := role("dirty")
				c.Environ = append(c.Environ, "DIRT="+dirt)
				if direct {
					c.Environ = append(c.Environ, "DIRECT=1")
				}
				status := procStatus(runs(t, c))
				for _, set := range []string{"SigIgn", "SigBlk", "SigCgt", "SigPnd", "ShdPnd"} {
					if status[set] != "0000000000000000" {
						t.Errorf("%s is %q", set, status[set])
					}
				}
			})
		}
	}
}

// Whenever a signal comes after Start has returned, it does to the child what it does to any program.
func TestEarlySignal(t *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	tests := map[syscall.Signal]int{
		syscall.SIGTERM: 200, syscall.SIGHUP: 50, syscall.SIGUSR1: 50, syscall.Signal(40): 50, syscall.SIGKILL: 20,
	}
	for sent, times := range tests {
		t.Run(sent.String(), func(t *testing.T) {
			before, took := 0, time.Hour
			for i := range times {
				c := command("sleep", "600")
				c.Files = []uintptr{uintptr(null), uintptr(null), 2}
				start := time.Now()
				pid, outcome, err := Start(c)
				if err != nil {
					t.Fatal(err)
				}
				if i < 3 { // the first come after the program was executed, and show how long that takes
					<-outcome
					took = min(took, time.Since(start))
				}
				for until := took * time.Duration(i) / time.Duration(times); time.Since(start) < until; {
				}
				if i >= 3 && len(outcome) == 0 {
					before++
				}
				syscall.Kill(pid, sent)
				if status := wait(t, pid); !status.Signaled() || status.Signal() != sent {
					t.Fatalf("no. %d ended with %#x", i, status)
				}
				if err := <-outcome; err != nil {
					t.Errorf("outcome of the killed child: %v", err)
				}
			}
			if before < times/10 {
				t.Errorf("only %d of %d signals came before the program was executed", before, times)
			}
		})
	}
}

// withoutLoader is a dynamic program with the name of its loader spoiled.
func withoutLoader(t *testing.T) string {
	t.Helper()
	program, err := elf.Open("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			text, err := os.ReadFile("/bin/sh")
			if err != nil {
				t.Fatal(err)
			}
			text[p.Off+1] = '~'
			return string(text)
		}
	}
	t.Fatal("/bin/sh has no dynamic loader")
	return ""
}

func TestFailures(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	plain := write("denied/prog", "#!/bin/sh\n", 0o644)
	crlf := write("crlf", "#!/bin/sh\r\necho no\r\n", 0o755)
	gone := write("gone/prog", "#! /no/such -x\n", 0o755)
	foreign := write("foreign", "\x7fELF garbage", 0o755)
	loaderless := write("loaderless", withoutLoader(t), 0o755)
	in := func(path string) func(*Command) {
		return func(c *Command) { c.Environ = []string{"PATH=" + path} }
	}
	tests := []struct {
		argv   string
		change func(*Command)
		want   string
		status int
	}{
		{"/no/such", nil, "exec /no/such: no such file or directory", 127},
		{"./no-such", nil, "exec ./no-such: no such file or directory", 127},
		{"no-such", in("/bin:"), `exec no-such: no such file or directory: PATH is "/bin:"`, 127},
		{"no-such", func(c *Command) { c.Environ = nil }, `exec no-such: no such file or directory: PATH is "/bin:/usr/bin"`, 127},
		{"no-such", in(plain), `exec no-such: no such file or directory: PATH is "` + plain + `"`, 127},
		{"", nil, "exec: no such file or directory", 127},
		{"", func(c *Command) { c.Argv = nil }, "exec: no such file or directory", 127},
		{plain + "/x", nil, "exec " + plain + "/x: not a directory", 127},
		{plain, nil, "exec " + plain + ": permission denied", 126},
		{dir, nil, "exec " + dir + ": permission denied", 126},
		{"prog", in("/no:" + dir + "/denied:/bin"), "exec " + plain + ": permission denied", 126},
		{crlf, nil, "exec " + crlf + `: no such file or directory: its interpreter "/bin/sh\r" is missing`, 127},
		{gone, nil, "exec " + gone + `: no such file or directory: its interpreter "/no/such" is missing`, 127},
		{"prog", in(dir + "/gone:/bin"), "exec " + gone + `: no such file or directory: its interpreter "/no/such" is missing`, 127},
		{loaderless, nil, "exec " + loaderless + ": no such file or directory: its dynamic loader is missing", 127},
		{foreign, nil, "exec " + foreign + ": exec format error: it is a program for another machine", 126},
		{"true", func(c *Command) { c.Dir = "/no/such=dir" }, "chdir /no/such=dir: no such file or directory", 125},
		{"true", func(c *Command) { c.DeathSignal = 99 }, "", 125},
	}
	for way, direct := range ways {
		for _, test := range tests {
			t.Run(fmt.Sprintf("%q/%s/%s", test.argv, test.want, way), func(t *testing.T) {
				c := command(test.argv)
				c.Direct = direct
				if test.change != nil {
					test.change(c)
				}
				if test.want == "" { // the fork itself refuses
					if _, _, err := Start(c); !errors.Is(err, syscall.EINVAL) {
						t.Errorf("Start: %v", err)
					}
					return
				}
				output, status, outcome := run(t, c)
				var failure *Failure
				if !errors.As(outcome, &failure) || failure.Error() != test.want {
					t.Errorf("outcome: %v\nwant:    %s", outcome, test.want)
				} else if failure.ExitStatus() != test.status {
					t.Errorf("its exit status is %d, want %d", failure.ExitStatus(), test.status)
				}
				if status.ExitStatus() != test.status || output != "" {
					t.Errorf("the child exited with %#x, and wrote %q", status, output)
				}
			})
		}
	}
}

// A command that is too large is not the fork's fault.
func TestTooLarge(t *testing.T) {
	for _, direct := range ways {
		c := command("true", strings.Repeat("x", 1<<20)) // one argument is at most 128 KiB, execve(2)
		c.Direct = direct
		_, _, err := Start(c)
		var failure *Failure
		if !errors.As(err, &failure) || failure.Error() != "exec true: argument list too long" || failure.ExitStatus() != 126 {
			t.Errorf("Start: %v", err)
		}
	}
}

func TestSearch(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain/prog": 0o644, "script/prog": 0o755, "script/-n": 0o755} {
		os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755)
		// No #! line: such a script is the shell's, execvp(3).
		text := `echo "$0" "$#" "$1" "$2"; exit 0`
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	os.Mkdir(filepath.Join(dir, "prog"), 0o755)
	tests := []struct{ name, path, dir, want string }{
		{dir + "/script/prog", "", "", dir + "/script/prog"},
		{"script/prog", "", dir, "script/prog"},
		{"prog", "/no/such:" + dir + "/script:/bin", "", dir + "/script/prog"},
		{"prog", dir + ":" + dir + "/plain:" + dir + "/script", "", dir + "/script/prog"}, // EACCES goes on
		{"prog", "/bin:script", dir, "script/prog"},
		{"prog", "", dir + "/script", "./prog"},
		{"-n", "/bin:", dir + "/script", "./-n"},
	}
	for way, direct := range ways {
		for _, test := range tests {
			t.Run(test.name+" in "+test.path+"/"+way, func(t *testing.T) {
				c := command(test.name, "a b", "c")
				c.Environ, c.Dir, c.Direct = []string{"PATH=" + test.path, "PATH=/usr/bin"}, test.dir, direct
				if got, want := runs(t, c), test.want+" 2 a b c\n"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
		t.Run("argv0/"+way, func(t *testing.T) {
			bin := t.TempDir()
			if err := os.Symlink("/proc/self/exe", filepath.Join(bin, "reporter")); err != nil {
				t.Fatal(err)
			}
			c := role("report")
			c.Argv, c.Direct = []string{"reporter"}, direct
			c.Environ[0] = "PATH=" + bin
			if got := report(t, c); got.Argv[0] != "reporter" {
				t.Errorf("argv[0] is %q", got.Argv[0])
			}
		})
		t.Run("default path/"+way, func(t *testing.T) {
			c := command("sh", "-c", "exit 0")
			c.Environ, c.Direct = nil, direct
			runs(t, c)
		})
	}
}

// A direct start happens where it makes no difference, and only there.
func TestDirect(t *testing.T) {
	tests := map[string]struct {
		change func(*Command)
		want   bool
	}{
		"plain":        {func(c *Command) {}, true},
		"dir":          {func(c *Command) { c.Dir = "/" }, true},
		"relative":     {func(c *Command) { c.Dir, c.Argv[0] = "/bin", "./true" }, true},
		"in PATH":      {func(c *Command) { c.Dir, c.Environ = "/", []string{"PATH=bin"} }, true},
		"not in dir":   {func(c *Command) { c.Dir, c.Argv[0] = "/", "./true" }, false},
		"death signal": {func(c *Command) { c.DeathSignal = syscall.SIGTERM }, true},
		"unasked":      {func(c *Command) { c.Direct = false }, false},
		"umask":        {func(c *Command) { c.Umask = 0 }, false},
		"user":         {func(c *Command) { c.Credential = &Credential{} }, false},
		"privileges":   {func(c *Command) { c.NoNewPrivs = true }, false},
		"listen pid":   {func(c *Command) { c.ListenPID = true }, false},
		"not there":    {func(c *Command) { c.Argv[0] = "/no/such" }, false},
		"ignoring":     {func(c *Command) { rtSigaction(40, &sigaction{1}, nil) }, false},
		"posix_spawn":  {func(c *Command) { rtSigaction(32, &sigaction{1}, nil) }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			defer rtSigaction(40, new(sigaction), nil)
			defer rtSigaction(32, new(sigaction), nil)
			c := command("true")
			c.Direct = true
			test.change(c)
			pid, ok := c.direct()
			if ok != test.want {
				t.Errorf("started directly: %v, want %v", ok, test.want)
			}
			if ok {
				if status := wait(t, pid); status != 0 {
					t.Errorf("status %#x", status)
				}
			}
		})
	}
}

// The number of processes is limited by user, for all but root: setrlimit(2).
func TestForkFails(t *testing.T) {
	needRoot(t)
	c := role("limited")
	c.Credential = &Credential{UID: 34567, GID: 34567}
	want := "fork/exec /proc/self/exe: resource temporarily unavailable, EAGAIN: true, status 125\n"
	if got := runs(t, c); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func playLimited() {
	runtime.LockOSThread() // before the limit: at the first time the runtime makes a thread, or dies
	none := &unix.Rlimit{}
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, none); err != nil {
		fmt.Println(err)
	}
	c := command("true")
	c.Direct = true
	_, _, err := Start(c)
	var failure *Failure
	if !errors.As(err, &failure) {
		fmt.Println("Start:", err)
		return
	}
	fmt.Printf("%v, EAGAIN: %v, status %d\n", err, errors.Is(err, syscall.EAGAIN), failure.ExitStatus())
}

// The Go runtime raises its own limit of open files, which must not reach the program: select(2) may be all it knows.
func TestOpenFilesLimit(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := role("raised")
	c.Argv = []string{"sh", "-c", "ulimit -Sn 99; exec " + binary}
	if got := runs(t, c); got != "99\n99\n" {
		t.Errorf("the limits are %q", got)
	}
}

func playRaised() {
	var ours unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &ours); ours.Cur <= 99 {
		fmt.Println("not raised")
	}
	for _, direct := range ways {
		c := command("sh", "-c", "ulimit -Sn")
		c.Direct = direct
		pid, _, err := Start(c)
		if err != nil {
			fmt.Println("Start:", err)
		}
		syscall.Wait4(pid, nil, 0, nil)
	}
}

// The caller's standard input is the terminal, of a session of its own.
func TestForeground(t *testing.T) {
	ptmx, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ptmx)
	if err := unix.IoctlSetPointerInt(ptmx, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(ptmx, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := unix.Open(fmt.Sprintf("/dev/pts/%d", number), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(terminal)
	read, write := pipe(t)
	pid, err := syscall.ForkExec(self, []string{"leader"}, &syscall.ProcAttr{
		Env:   []string{"ROLE=leader"},
		Files: []uintptr{uintptr(terminal), uintptr(write), 2},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0},
	})
	unix.Close(write)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, pid)
	if want := strings.Repeat("background\nforeground\n", 2); string(got) != want {
		t.Errorf("the children said %q, want %q", got, want)
	}
}

func playLeader() {
	for _, direct := range []bool{true, false} {
		for _, foreground := range []bool{false, true} {
			c := role("terminal")
			c.Direct, c.Foreground = direct, foreground
			pid, outcome, err := Start(c)
			if err != nil {
				fmt.Println("Start:", err)
				continue
			}
			if err := <-outcome; err != nil {
				fmt.Println(err)
			}
			syscall.Wait4(pid, nil, 0, nil)
		}
	}
}

func playTerminal() {
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	switch {
	case err != nil:
		fmt.Println(err)
	case int32(group) == int32(syscall.Getpgrp()):
		fmt.Println("foreground")
	default:
		fmt.Println("background")
	}
}

func TestForegroundWithoutTerminal(t *testing.T) {
	if _, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil {
		t.Skip("standard input is a terminal")
	}
	for _, direct := range ways {
		c := command("true")
		c.Foreground, c.Direct = true, direct
		runs(t, c)
	}
}

// O_NONBLOCK is a flag of the open file description: whoever clears it blocks the event loops of all who share it.
func TestStartLeavesFlagsAlone(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	for way, direct := range ways {
		c := command("true")
		c.Direct = direct
		c.Files = append(c.Files, uintptr(fds[0]))
		runs(t, c)
		flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("%s: flags are %#o, %v", way, flags, err)
		}
	}
}

func TestFailureReport(t *testing.T) {
	want := &Failure{Stage: "exec", Path: "/a: b", Errno: syscall.EACCES, Hint: "because"}
	if got := parseFailure(want.report()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
	if got := parseFailure(nil); got != nil {
		t.Errorf("no report is %v", got)
	}
}

// A descriptor left open in the parent, or one goroutine, would end a long life.
func TestStartLeavesNothing(t *testing.T) {
	count := func() (files int) {
		for fd := range 1000 {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
				files++
			}
		}
		return files
	}
	once := func() {
		for _, c := range []*Command{command("true"), command("/no/such")} {
			pid, outcome, err := Start(c)
			if err != nil {
				t.Fatal(err)
			}
			for range outcome {
			}
			wait(t, pid)
		}
		if _, _, err := Start(command("true", strings.Repeat("x", 1<<20))); err == nil {
			t.Fatal("no error")
		}
	}
	once()
	before := count()
	for range 5 {
		once()
	}
	if after := count(); after != before {
		t.Errorf("%d open files, %d before", after, before)
	}
}
