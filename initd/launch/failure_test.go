package launch

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

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
		{"", nil, "exec: no such file or directory: the command is empty", 127},
		{"", func(c *Command) { c.Argv = nil }, "exec: no such file or directory: the command is empty", 127},
		{"/no/such --x", nil, "exec /no/such --x: no such file or directory: it contains a space: pass the program and each argument as separate words", 127},
		{"no-such --x", in("/bin"), "exec no-such --x: no such file or directory: it contains a space: pass the program and each argument as separate words", 127},
		{plain + "/x", nil, "exec " + plain + "/x: not a directory", 127},
		{plain, nil, "exec " + plain + ": permission denied: it has no execute permission (chmod +x)", 126},
		{dir, nil, "exec " + dir + ": permission denied: it is a directory", 126},
		{"prog", in("/no:" + dir + "/denied:/bin"), "exec " + plain + ": permission denied: it has no execute permission (chmod +x)", 126},
		{crlf, nil, "exec " + crlf + `: no such file or directory: its interpreter "/bin/sh\r" is missing`, 127},
		{gone, nil, "exec " + gone + `: no such file or directory: its interpreter "/no/such" is missing`, 127},
		{"prog", in(dir + "/gone:/bin"), "exec " + gone + `: no such file or directory: its interpreter "/no/such" is missing`, 127},
		{loaderless, nil, "exec " + loaderless + ": no such file or directory: its dynamic loader is missing; link it statically (Go: CGO_ENABLED=0), or run it in an image with the C library that it was built for", 127},
		{foreign, nil, "exec " + foreign + ": exec format error: it is for another architecture, and this machine is linux/" + runtime.GOARCH, 126},
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

// TestNoShell: an image may have none, which the shell form of CMD needs.
func TestNoShell(t *testing.T) {
	const want = "there is no shell here, and a command that is a JSON array needs none"
	if got := misread([]string{shell, "-c", "/app --x"}); got != want {
		t.Errorf("hint %q, want %q", got, want)
	}
	if got := misread([]string{shell, "script"}); got != "" {
		t.Errorf("hint %q", got)
	}
}

// TestNoexec: a program on a file system that is mounted noexec, mount(2).
func TestNoexec(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("launch-test", dir, "tmpfs", unix.MS_NOEXEC, ""); err != nil {
		t.Skipf("mounting needs root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	program := filepath.Join(dir, "prog")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	want := "exec " + program + ": permission denied: it is on a file system that is mounted noexec"
	for way, direct := range ways {
		t.Run(way, func(t *testing.T) {
			c := command(program)
			c.Direct = direct
			var failure *Failure
			if _, _, outcome := run(t, c); !errors.As(outcome, &failure) || failure.Error() != want || failure.ExitStatus() != 126 {
				t.Errorf("outcome: %v\nwant:    %s", outcome, want)
			}
		})
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

// The report of a path that is nearly as long as an argument can be.
func TestLongPath(t *testing.T) {
	output, status, outcome := run(t, command("/"+strings.Repeat("x", 120_000)))
	var failure *Failure
	if !errors.As(outcome, &failure) || failure.Errno != syscall.ENAMETOOLONG || status.ExitStatus() != 126 || output != "" {
		t.Errorf("outcome: %.100v, status %#x, output %q", outcome, status, output)
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

// The number of processes is limited by user, for all but root: setrlimit(2). The stage is not started if
// its threads could not be.
func TestForkFails(t *testing.T) {
	needRoot(t)
	for left := range Processes {
		c := role("limited")
		c.Credential = &Credential{UID: 34567, GID: 34567}
		c.Environ = append(c.Environ, fmt.Sprint("LEFT=", left))
		got := runs(t, c)
		for _, want := range []string{
			"fork/exec /proc/self/exe: resource temporarily unavailable: 4 more processes or threads are needed, but RLIMIT_NPROC (",
			fmt.Sprintf(") leaves only %d: raise it to at least ", left), "(ulimit -u ", "), EAGAIN: true, status 125\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("with %d left got %q, without %q", left, got, want)
			}
		}
	}
}

func playLimited() {
	runtime.LockOSThread() // before the limit: at the first time the runtime makes a thread, or dies
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		fmt.Println(err)
	}
	left, _ := strconv.Atoi(os.Getenv("LEFT"))
	limit := uint64(len(tasks) + left)
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		fmt.Println(err)
	}
	c := command("true")
	c.Direct = left == 0
	_, _, err = Start(c)
	var failure *Failure
	if !errors.As(err, &failure) {
		fmt.Println("Start:", err)
		return
	}
	fmt.Printf("%v, EAGAIN: %v, status %d\n", err, errors.Is(err, syscall.EAGAIN), failure.ExitStatus())
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
