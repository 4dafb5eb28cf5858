package pidfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"server-starter/initd/ownfile"
)

// errNobody is that the file is not held by an instance, and yet cannot be used: the
// file, or a lock on it, is that of a user who has nothing to do with it.
var errNobody = errors.New("another user owns it, or has locked it")

// acquire opens the file at path, or makes it, and locks it. With errNobody it returns
// the file as well.
func acquire(path string, mode fs.FileMode) (*File, error) {
	for {
		file, made, err := open(path, mode)
		if err != nil {
			return nil, err
		}
		f := &File{path: path, file: file}
		err = f.take(made)
		// Its holder may have removed it after it was opened and before it was locked.
		if err == nil && !f.id.At(path) {
			file.Close()
			continue
		}
		if err != nil && err != errNobody {
			file.Close()
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		}
		return f, err
	}
}

// open opens a pid file, or makes it.
func open(path string, mode fs.FileMode) (file *os.File, made bool, err error) {
	for {
		file, err = ownfile.Open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) {
			return file, err == nil, err
		}
		file, err = ownfile.Open(path, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed
		}
		if err != nil {
			return nil, false, err
		}
		if !recognise(file) {
			file.Close()
			return nil, false, &fs.PathError{Op: "replace", Path: path, Err: errors.New("it exists and is not a pid file; move it away or use another path")}
		}
		return file, false, nil
	}
}

// recognise reports whether a file has a pid, or nothing.
func recognise(file *os.File) bool {
	buffer := make([]byte, 32)
	n, _ := file.ReadAt(buffer, 0)
	return n < len(buffer) && strings.Trim(strings.TrimSpace(string(buffer[:n])), "0123456789") == ""
}

// take locks the file. The error is errNobody, or that an instance holds it. Record
// locks come first: another initd that is starting has no other sign.
func (f *File) take(made bool) (err error) {
	if err = control(f.file, func(fd int) (err error) { f.id, err = ownfile.Held(fd); return err }); err != nil {
		return err
	}
	free := func(err error) bool { return err != unix.EAGAIN && err != unix.EACCES } // or there are no such locks here
	if free(numbers.lock(f.file, unix.F_OFD_SETLK)) && free(process.lock(f.file, unix.F_SETLK)) &&
		free(control(f.file, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })) {
		if made || f.ours() {
			return nil
		}
		return errNobody
	}
	if pid, held := f.rival(); held && pid > 0 {
		return fmt.Errorf("process %d holds it: another instance is running", pid)
	} else if held {
		return errors.New("another process holds it: another instance is running")
	}
	return errNobody
}

// ours reports whether nobody but root and initd's user can write to the file, and
// nobody knows it by another name.
func (f *File) ours() bool {
	stat, err := status(f.file)
	return err == nil && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid()) && stat.Mode&0o022 == 0 && stat.Nlink == 1
}

// rival returns the other instance that holds the file. Its pid is 0 if it is not known.
func (f *File) rival() (pid int, held bool) {
	pid, _ = read(f.file)
	_, locked, err := numbers.get(f.file)
	if err != nil {
		return pid, true // there are no record locks here, so any flock(2) counts
	}
	if lock, ok, _ := process.get(f.file); locked && ok {
		pid = int(lock.Pid)
	}
	return pid, locked && proves(f.file, pid) || !locked && pid > 0 && pid != os.Getpid() && holds(pid, f.file)
}

// replace puts a new file in place of one of which acquire has returned errNobody, and
// has closed that. Without an error and a file it is to be tried again. Of those that do
// this at a time only the one that has locked the new file does it.
func (f *File) replace() (*File, error) {
	defer f.file.Close()
	next, err := acquire(f.path+".new", 0o600) // which other users cannot lock
	if err != nil {
		if next != nil {
			next.file.Close()
			err = &os.PathError{Op: "lock", Path: next.path, Err: fmt.Errorf("%w: remove it", err)}
		}
		return nil, err
	}
	if _, held := f.rival(); held || !f.id.At(f.path) {
		next.remove()
		next.file.Close()
		return nil, nil
	}
	if err := next.write(); err != nil {
		return nil, err
	}
	if err = next.file.Chmod(0o644); err == nil {
		err = ownfile.Rename(next.path, f.path)
	}
	if err != nil {
		next.remove()
		next.file.Close()
		return nil, err
	}
	next.path = f.path
	return next, nil
}

// status is fstat(2).
func status(file *os.File) (stat unix.Stat_t, err error) {
	err = control(file, func(fd int) error { return unix.Fstat(fd, &stat) })
	return stat, err
}
