package launch

import (
	"cmp"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// defaultPath is searched where the environment has no PATH: execvp(3), confstr(3).
const defaultPath = "/bin:/usr/bin"

const shell = "/bin/sh"

// program is the name by which argv asks for its program.
func program(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	return argv[0]
}

// Candidates are the files that argv may mean, in the order of execvp(3).
func Candidates(argv, environ []string) (paths []string) {
	name := program(argv)
	switch {
	case name == "":
		return nil
	case strings.Contains(name, "/"):
		return []string{name}
	}
	for dir := range strings.SplitSeq(searchPath(environ), ":") {
		if dir == "" {
			dir = "."
		}
		paths = append(paths, dir+"/"+name)
	}
	return paths
}

func searchPath(environ []string) string {
	for _, variable := range environ {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			return value
		}
	}
	return defaultPath
}

// find is the file that execute would execute in the directory dir, if that can be found out from outside.
func find(argv, environ []string, dir string) (string, bool) {
	for _, file := range Candidates(argv, environ) {
		seen := file
		if !path.IsAbs(file) {
			seen = path.Join(dir, file)
		}
		switch unix.Access(seen, unix.X_OK) {
		case nil:
			return file, true
		case unix.ENOENT, unix.ENOTDIR:
		default:
			return "", false
		}
	}
	return "", false
}

// execute replaces this process with the program argv, as execvp(3) does; it returns if it cannot.
func execute(argv, environ []string) *Failure {
	var failure *Failure
	for _, file := range Candidates(argv, environ) {
		f := failed("exec", file, syscall.Exec(file, argv, environ))
		switch f.Errno {
		case syscall.ENOENT:
			f.Hint = missing(file)
		case syscall.ENOEXEC:
			// A script without a #! line is for the shell. A program for another machine is not.
			if strings.HasPrefix(head(file), "\x7fELF") {
				f.Hint = "it is for another architecture, and this machine is " + runtime.GOOS + "/" + runtime.GOARCH
			} else {
				syscall.Exec(shell, append([]string{shell, file}, argv[1:]...), environ)
			}
			return f
		case syscall.EACCES:
			f.Hint = denied(file)
		case syscall.ENOTDIR, syscall.ENODEV, syscall.ESTALE, syscall.ETIMEDOUT:
		default:
			return f
		}
		// The search goes on; the first file that exists and cannot be executed is remembered.
		if failure == nil && (file == argv[0] || f.Hint != "" || f.Errno == syscall.EACCES) {
			failure = f
		}
	}
	if failure == nil {
		failure = &Failure{Stage: "exec", Path: program(argv), Errno: syscall.ENOENT}
		failure.Hint = cmp.Or(misread(argv), "PATH is "+strconv.Quote(searchPath(environ)))
	}
	if failure.Errno == syscall.ENOENT {
		failure.Hint = cmp.Or(failure.Hint, misread(argv))
	}
	return failure
}

// Executable returns nil for a file that can be executed, and else a *Failure.
func Executable(file string) error {
	err := unix.Access(file, unix.X_OK)
	if err == nil {
		return nil
	}
	f := failed("exec", file, err)
	if f.Errno == syscall.EACCES {
		f.Hint = denied(file)
	}
	return f
}

// misread explains why a command that does not exist may not be what was meant: in a Dockerfile, one string is not split
// into words in a JSON array, and is a command for a shell elsewhere.
func misread(argv []string) string {
	switch name := program(argv); {
	case name == "":
		return "the command is empty"
	case name == shell && len(argv) > 1 && argv[1] == "-c":
		return "there is no shell here, and a command that is a JSON array needs none"
	case strings.Contains(name, " "):
		return "it contains a space: pass the program and each argument as separate words"
	}
	return ""
}

// denied explains EACCES of execve(2) where the reason is the file or its mount, whoever the user is.
func denied(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return ""
	}
	var where unix.Statfs_t
	switch {
	case info.IsDir():
		return "it is a directory"
	case info.Mode().Perm()&0o111 == 0:
		return "it has no execute permission (chmod +x)"
	case unix.Statfs(file, &where) == nil && where.Flags&unix.ST_NOEXEC != 0:
		return "it is on a file system that is mounted noexec"
	}
	return ""
}

// missing explains why execve(2) does not find a file that exists: what it is to be run by does not.
func missing(file string) string {
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	first := head(file)
	if line, ok := strings.CutPrefix(first, "#!"); ok {
		line, _, _ = strings.Cut(line, "\n")
		name, _, _ := strings.Cut(strings.Trim(line, " \t"), " ")
		return "its interpreter " + strconv.Quote(name) + " is missing" // quoted: a CR at its end is the usual cause
	}
	return "its dynamic loader is missing; link it statically (Go: CGO_ENABLED=0), or run it in an image with the C library that it was built for"
}

// head is the beginning of a file, as much as the kernel looks at.
func head(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	buffer := make([]byte, 256)
	n, _ := f.Read(buffer)
	return string(buffer[:n])
}
