package proc

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
)

// Sockets appends to inodes those of the sockets that a process has open, one
// for each descriptor: the N of the links socket:[N] in /proc/PID/fd
// (proc_pid_fd(5)). It is what sock_diag(7) and fstat(2) know a socket by.
func (r *Reader) Sockets(pid int, inodes []uint32) ([]uint32, error) {
	have := len(inodes)
	err := r.AsOwner(pid, func() error {
		inodes = inodes[:have]
		var link [32]byte
		return r.entries(path(pid, "fd"), func(dir int, name *byte) error {
			// unix.Readlinkat would make a string of each name and a name of each
			// string.
			n, _, err := unix.Syscall6(unix.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(name)),
				uintptr(unsafe.Pointer(&link[0])), uintptr(len(link)), 0, 0)
			switch {
			case err == unix.ENOENT: // closed meanwhile
			case err != 0:
				return &fs.PathError{Op: "readlink", Path: path(pid, "fd/"+unix.BytePtrToString(name)), Err: err}
			default:
				if inode, ok := socketInode(link[:n]); ok {
					inodes = append(inodes, inode)
				}
			}
			return nil
		})
	})
	return inodes, err
}

// socketInode reads socket:[N].
func socketInode(link []byte) (uint32, bool) {
	link, begins := bytes.CutPrefix(link, []byte("socket:["))
	link, ends := bytes.CutSuffix(link, []byte("]"))
	if !begins || !ends {
		return 0, false
	}
	n, err := strconv.ParseUint(string(link), 10, 32)
	return uint32(n), err == nil
}

// entries calls visit with each name that begins with a digit in a directory,
// and its descriptor. The name ends with a zero byte.
func (r *Reader) entries(path string, visit func(dir int, name *byte) error) error {
	dir, err := open(path, unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if r.list == nil {
		r.list = make([]byte, 8192)
	}
	for {
		var n int
		err := eintr.Retry(func() (err error) {
			n, err = unix.Getdents(dir, r.list)
			return err
		})
		if err != nil {
			return &fs.PathError{Op: "getdents", Path: path, Err: err}
		}
		if n == 0 {
			return nil
		}
		for rest := r.list[:n]; len(rest) > 0; {
			// struct linux_dirent64 of getdents(2): inode and offset of 8 bytes each,
			// the length of the entry, 2, its type, 1, and its name.
			const length, name = 16, 19
			if c := rest[name]; '0' <= c && c <= '9' {
				if err := visit(dir, &rest[name]); err != nil {
					return err
				}
			}
			rest = rest[binary.NativeEndian.Uint16(rest[length:]):]
		}
	}
}
