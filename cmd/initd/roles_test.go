package main_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"server-starter/initd/environment"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// playNamespace is process 1 of a new namespace before it becomes the program in its arguments: it sees
// to it that /proc is that namespace's.
func playNamespace(args []string) int {
	err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "")
	if err == nil {
		err = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
	return become(args, err)
}

// playGiven does what the words before "--" say to its surroundings and becomes the program behind it.
func playGiven(args []string) int {
	runtime.LockOSThread() // the signal mask is the thread's
	end := slices.Index(args, "--")
	var err error
	for _, word := range args[:end] {
		what, value, _ := strings.Cut(word, "=")
		if err = surround(what, value); err != nil {
			err = fmt.Errorf("%s: %w", word, err)
			break
		}
	}
	return become(args[end+1:], err)
}

func become(argv []string, err error) int {
	if err == nil {
		err = syscall.Exec(argv[0], argv, append(environment.Environ(), again...))
	}
	fmt.Fprintf(os.Stderr, "cannot become %q: %v\n", argv, err)
	return 99
}

// again are variables that are appended to the environment, even if it has them already.
var again []string

// surround changes something that the program about to be executed inherits.
func surround(what, value string) error {
	number, _ := strconv.Atoi(value)
	switch what {
	case "group": // that of the parent instead of its own
		group, err := unix.Getpgid(os.Getppid())
		if err != nil {
			return err
		}
		return unix.Setpgid(0, group)
	case "blocked": // every signal
		set := unix.Sigset_t{}
		for i := range set.Val {
			set.Val[i] = ^set.Val[i]
		}
		return unix.PthreadSigmask(unix.SIG_SETMASK, &set, nil)
	case "ignored": // every signal that can be
		for n := syscall.Signal(1); n <= 64; n++ {
			setAction(n, 1) // SIG_IGN
		}
	case "open": // so many more files
		for range number {
			if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
				return err
			}
		}
	case "files": // the limit of open files, soft
		return syscall.Setrlimit(unix.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(number), Max: 4096})
	case "file-size": // a limit in bytes
		return syscall.Setrlimit(unix.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(number), Max: uint64(number)})
	case "stack": // a limit in bytes
		return syscall.Setrlimit(unix.RLIMIT_STACK, &syscall.Rlimit{Cur: uint64(number), Max: uint64(number)})
	case "activated": // by sockets at these addresses, as systemd.socket(5) has it
		return activate(strings.Split(value, ","))
	case "termination-log": // the file that Kubernetes makes
		return terminationLog(value)
	case "closed": // no standard streams
		for fd := range 3 {
			unix.CloseOnExec(fd)
		}
	case "refused":
		return refuse(value)
	case "again":
		again = append(again, value)
	case "dir":
		return os.Chdir(value)
	case "small": // a file system of one page there
		return unix.Mount("tmpfs", value, "tmpfs", 0, "size=4096")
	case "mounted": // a file system with a file there
		err := unix.Mount("tmpfs", value, "tmpfs", 0, "")
		return errors.Join(err, os.WriteFile(value+"/file", []byte("one\n"), 0o644))
	case "blind": // root who may not look into others
		return unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_PTRACE, 0, 0, 0)
	case "powerless": // root who may not signal others
		return unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_KILL, 0, 0, 0)
	case "unprivileged": // root without what Docker does not give it either
		return unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0)
	default:
		return fmt.Errorf("no such surroundings")
	}
	return nil
}

// refuse has the kernel refuse a system call with that first argument from here on: seccomp(2).
func refuse(what string) error {
	var call, argument, with uint32
	switch what {
	case "AF_UNIX": // as RestrictAddressFamilies= of systemd.exec(5)
		call, argument, with = unix.SYS_SOCKET, unix.AF_UNIX, uint32(unix.EAFNOSUPPORT)
	case "PR_SET_CHILD_SUBREAPER":
		call, argument, with = unix.SYS_PRCTL, unix.PR_SET_CHILD_SUBREAPER, uint32(unix.EPERM)
	case "PR_SET_PDEATHSIG":
		call, argument, with = unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uint32(unix.EPERM)
	default:
		return errors.ErrUnsupported
	}
	const number, first = 0, 16 // struct seccomp_data, with the low half of an argument first
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unless := func(value uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jf: skip}
	}
	filter := []unix.SockFilter{
		load(number), unless(call, 3), load(first), unless(argument, 1),
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | with},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	return nil
}

// activate passes on listening sockets from file descriptor 3 up.
func activate(addresses []string) error {
	for i, address := range addresses {
		network := "tcp"
		if strings.HasPrefix(address, "/") {
			network = "unix"
		}
		l, err := net.Listen(network, address)
		if err != nil {
			return err
		}
		file, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			return err
		}
		if err := unix.Dup2(int(file.Fd()), 100+i); err != nil {
			return err
		}
	}
	for i := range addresses {
		if err := unix.Dup2(100+i, 3+i); err != nil {
			return err
		}
		unix.CloseOnExec(100 + i)
	}
	os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	os.Setenv("LISTEN_FDS", strconv.Itoa(len(addresses)))
	return nil
}

// terminationLog puts a file where a container says why it ended, in a mount namespace of its own: the
// machine's /dev stays as it is.
func terminationLog(file string) error {
	const log = "/dev/termination-log"
	for _, mount := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"", "/", "", unix.MS_PRIVATE | unix.MS_REC},
		{"tmpfs", "/dev", "tmpfs", 0},
	} {
		if err := unix.Mount(mount.source, mount.target, mount.kind, mount.flags, ""); err != nil {
			return err
		}
	}
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		return err
	}
	return unix.Mount(file, log, "", unix.MS_BIND, "")
}
