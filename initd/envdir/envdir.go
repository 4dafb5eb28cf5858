// Package envdir reads a directory of files named for environment variables,
// as daemontools' envdir and start_server know it and as Kubernetes mounts a
// ConfigMap or a Secret.
package envdir

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
	"server-starter/initd/ownfile"
)

const (
	maxVariable = 128 << 10 // bytes of one K=V and its NUL: MAX_ARG_STRLEN in execve(2)
	maxTotal    = 6 << 20   // bytes of all: execve(2) never takes more, arguments included
	attempts    = 50        // to read a directory that is changed meanwhile
)

var errChanged = errors.New("it changed during every attempt to read it")

// Read returns the variables in dir as K=V, sorted by name, and the names of files that
// are ignored since no variable can have them, or since they are no regular files.
//
// The value is the file's first line without its newline, otherwise byte for
// byte; an empty file adds nothing. Symbolic links are followed, those of another user
// only where that user can put files anyway: see package ownfile. A name that begins
// with a dot is ignored as well, and so is a directory. A directory or file that cannot be read, and a value that execve(2) would
// refuse, is an error, which names it and never contains a value.
//
// In a volume that Kubernetes maintains, and in a directory that is itself
// replaced by renaming a symbolic link, all values are of one version.
func Read(dir string) (environ, ignored []string, err error) {
	for range attempts {
		environ, ignored, err = attempt(dir)
		// A file may have been replaced since it was listed, or the whole
		// directory: then all is to be read again.
		if !errors.Is(err, errChanged) && !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("envdir: %w", err)
	}
	return environ, ignored, nil
}

func attempt(dir string) (environ, ignored []string, err error) {
	d, err := open(dir)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	return snapshot(d)
}

// open opens the directory that holds the files: ..data in dir if there is
// such a directory, else dir.
func open(dir string) (*os.File, error) {
	data := dir + "/..data"
	d, err := ownfile.Follow(data, unix.O_DIRECTORY)
	switch {
	case errors.Is(err, os.ErrNotExist):
		// Its target may have been removed after the link was followed.
		if _, err := os.Lstat(data); err == nil {
			return nil, &os.PathError{Op: "open", Path: data, Err: unix.ENOENT}
		}
	case !errors.Is(err, unix.ENOTDIR):
		return d, err
	}
	return ownfile.Follow(dir, unix.O_DIRECTORY)
}

// snapshot reads d, or fails with errChanged where d has been replaced since.
//
// The kubelet (AtomicWriter) writes each version into a directory of its own,
// then renames a symbolic link over ..data, which leads there, and only then
// removes the old version. So ..data is resolved once, everything is read
// beneath what was found, and as long as ..data still leads there nothing of
// that has been removed. The check is needed: a listing that the removal cut
// short is no error by itself.
func snapshot(d *os.File) (environ, ignored []string, err error) {
	environ, ignored, err = variables(d)
	opened, err1 := d.Stat()
	current, err2 := os.Stat(d.Name())
	if err1 != nil || err2 != nil || !os.SameFile(opened, current) {
		return nil, nil, &os.PathError{Op: "read", Path: d.Name(), Err: errChanged}
	}
	return environ, ignored, err
}

// variables reads all files of d.
func variables(d *os.File) (environ, ignored []string, err error) {
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(names)
	total := 0
	for _, name := range names {
		if !isVariable(name) {
			if name[0] != '.' && !isDirectory(d, name) {
				ignored = append(ignored, name)
			}
			continue
		}
		path := d.Name() + "/" + name
		f, err := openRegular(d, name)
		if errors.Is(err, os.ErrNotExist) && removed(d, name) {
			continue
		}
		if err != nil {
			return nil, nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		if f == nil {
			if !isDirectory(d, name) {
				ignored = append(ignored, name)
			}
			continue
		}
		value, err := firstLine(f)
		f.Close()
		if err == nil && len(name)+len("=")+len(value)+len("\x00") > maxVariable {
			err = fmt.Errorf("the first line is too long: name and value together may have at most %d bytes", maxVariable-len("\x00"))
		}
		if err != nil {
			return nil, nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		if value == nil {
			continue
		}
		variable := name + "=" + string(value)
		if total += len(variable); total > maxTotal {
			return nil, nil, &os.PathError{Op: "read", Path: d.Name(), Err: fmt.Errorf("more than %d bytes in total", maxTotal)}
		}
		environ = append(environ, variable)
	}
	return environ, ignored, nil
}

// isVariable reports whether name is the name of a variable as in a shell: letters,
// digits and underscores, of which the first is no digit. ..data and its like are not.
func isVariable(name string) bool {
	for i, c := range []byte(name) {
		switch {
		case c == '_', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		case i > 0 && '0' <= c && c <= '9':
		default:
			return false
		}
	}
	return name != ""
}

// isDirectory reports whether name is a directory in d, or leads to one.
func isDirectory(d *os.File, name string) bool {
	var stat unix.Stat_t
	err := eintr.Retry(func() error { return unix.Fstatat(int(d.Fd()), name, &stat, 0) })
	return err == nil && stat.Mode&unix.S_IFMT == unix.S_IFDIR
}

// openRegular opens a file in d for reading, nil if it is not a regular one.
// It looks first, since opening a device can have effects, and again
// afterwards.
func openRegular(d *os.File, name string) (*os.File, error) {
	at := int(d.Fd())
	var stat unix.Stat_t
	err := eintr.Retry(func() error { return unix.Fstatat(at, name, &stat, 0) })
	if err != nil || stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, err
	}
	f, err := ownfile.Follow(fmt.Sprintf("/proc/self/fd/%d/%s", at, name), 0) // beneath what was found
	if failure := (*os.PathError)(nil); errors.As(err, &failure) {
		return nil, failure.Err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, err
	}
	return f, nil
}

// removed reports whether name is not in d any more. Then it can be ignored, as if it
// had been removed before d was listed; if d itself is being removed, snapshot finds
// that out. A symbolic link that leads nowhere is still there.
func removed(d *os.File, name string) bool {
	var stat unix.Stat_t
	err := eintr.Retry(func() error { return unix.Fstatat(int(d.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW) })
	return err == unix.ENOENT
}

// firstLine returns the first line of f without its newline, nil if f is
// empty. Of a longer one it reads maxVariable bytes.
func firstLine(f *os.File) ([]byte, error) {
	line, err := bufio.NewReader(io.LimitReader(f, maxVariable)).ReadBytes('\n')
	if err != nil && err != io.EOF {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, err
	}
	if len(line) == 0 {
		return nil, nil
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	if bytes.IndexByte(line, 0) >= 0 {
		return nil, errors.New("the first line has a NUL byte, which a variable cannot contain")
	}
	return line, nil
}
