package reaper

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// All children of these tests run one program, the link. It reads standard input
// byte by byte. For a byte it forks and exits, and the fork, an orphan now, reads
// on; at the end of the input it exits. Its status is the first byte of argv[0].
// So a link with an empty input is a child that exits at once, one with a pipe is a child
// that lives until the pipe is closed, and each byte sheds one orphan.
//
// As a Go program it takes milliseconds to start, too long for the many starts
// of a storm; where we speak the machine's language it is an executable of 175 bytes.
// link is the path of the program, at first in Go.
var link = self

const self = "/proc/self/exe"

var linkCode = map[string][]byte{"amd64": {
	0x31, 0xff, // read: xor edi, edi
	0x48, 0x8d, 0x74, 0x24, 0xf8, // lea rsi, [rsp-8]
	0xba, 1, 0, 0, 0, // mov edx, 1
	0x31, 0xc0, // xor eax, eax
	0x0f, 0x05, // syscall read(0, rsp-8, 1)
	0x85, 0xc0, // test eax, eax
	0x7e, 11, // jle exit
	0xb8, 57, 0, 0, 0, // mov eax, 57
	0x0f, 0x05, // syscall fork()
	0x85, 0xc0, // test eax, eax
	0x74, 0xe1, // jz read
	0x48, 0x8b, 0x7c, 0x24, 0x08, // exit: mov rdi, [rsp+8]
	0x0f, 0xb6, 0x3f, // movzx edi, byte [rdi]
	0xb8, 60, 0, 0, 0, // mov eax, 60
	0x0f, 0x05, // syscall exit(argv[0][0])
}}

// executable wraps code that needs no data in an ELF file (elf(5)).
func executable(code []byte) []byte {
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(code))
	file := new(bytes.Buffer)
	binary.Write(file, binary.LittleEndian, elf.Header64{
		Ident:   [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:    uint16(elf.ET_EXEC),
		Machine: uint16(elf.EM_X86_64),
		Version: uint32(elf.EV_CURRENT),
		Entry:   base + headers,
		Phoff:   64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	})
	binary.Write(file, binary.LittleEndian, elf.Prog64{
		Type:  uint32(elf.PT_LOAD),
		Flags: uint32(elf.PF_R | elf.PF_X),
		Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000,
	})
	file.Write(code)
	return file.Bytes()
}

// roles are what the test binary does where it is its own child.
var roles = map[string]func() int{
	"link": func() int {
		if n, _ := syscall.Read(0, make([]byte, 1)); n == 1 {
			start(os.Args[0], 0)
		}
		return int((os.Args[0] + "\x00")[0])
	},
	// A parent that ignores SIGCHLD, and executes what is then "reaping".
	"ignoring": func() int {
		signal.Ignore(syscall.SIGCHLD)
		err := syscall.Exec(self, os.Args, environ("reaping"))
		fmt.Fprintln(os.Stderr, err)
		return 1
	},
	"reaping": func() int {
		pid, err := start("\x2a", 0)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		status := 1
		Drain(0, func(e Exit) { status = e.Status.ExitStatus() })
		return status
	},
	// PID 1 of a namespace with the /proc of another.
	"stranger": func() int {
		if pids, err := Children(); err == nil {
			fmt.Fprintf(os.Stderr, "children of %d: %v\n", os.Getpid(), pids)
			return 1
		}
		return 0
	},
}

const roleVariable = "REAPER_TEST_ROLE"

func environ(role string) []string {
	// The race detector would have each of them linger for a second.
	return []string{roleVariable + "=" + role, "GORACE=atexit_sleep_ms=0"}
}

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		os.Exit(role())
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// Children that die of SIGQUIT and its like leave no core files.
	syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	if code := linkCode[runtime.GOARCH]; code != nil {
		dir, err := os.MkdirTemp("", "reaper")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		link = filepath.Join(dir, "link")
		if err := os.WriteFile(link, executable(code), 0o755); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// start starts a link that reads from fd stdin.
func start(argv0 string, stdin int) (pid int, err error) {
	return syscall.ForkExec(link, []string{argv0}, &syscall.ProcAttr{
		Env:   environ("link"),
		Files: []uintptr{uintptr(stdin), 1, 2},
	})
}

// play starts the test binary in a role.
func play(role string, sys *syscall.SysProcAttr) (pid int, err error) {
	return syscall.ForkExec(self, os.Args[:1], &syscall.ProcAttr{
		Env:   environ(role),
		Files: []uintptr{0, 1, 2},
		Sys:   sys,
	})
}
