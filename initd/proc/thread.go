package proc

import (
	"bytes"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
)

// Memory reads what a thread has at an address, up to the first page that it has not (proc_pid_mem(5)). It takes the
// right to attach (PTRACE_MODE_ATTACH_FSCREDS), which Yama leaves to ancestors where it restricts it.
func (r *Reader) Memory(tid int, address uint64, b []byte) (n int, err error) {
	err = r.AsOwner(tid, func() (err error) {
		n, err = r.ReadAt(tid, b, address)
		return err
	})
	return n, err
}

// A File is what a thread has open under a number.
type File struct {
	Inode    uint32 // of a socket, as Sockets has it; 0: it is none
	Protocol string // of a socket: TCP, TCPv6, UDP, UNIX-STREAM …, the name in /proc/net/protocols
	Flags    int    // of open(2), O_CLOEXEC included
}

// File is what a thread has open under a number: proc_pid_fd(5), proc_pid_fdinfo(5).
func (r *Reader) File(tid, fd int) (f File, err error) {
	link := path(tid, "fd/"+strconv.Itoa(fd))
	err = r.AsOwner(tid, func() error {
		var text [64]byte
		n, err := unix.Readlink(link, text[:])
		if err != nil {
			return &fs.PathError{Op: "readlink", Path: link, Err: err}
		}
		f.Inode, _ = socketInode(text[:n])
		if f.Protocol, err = Protocol(link); err != nil {
			return err
		}
		info, err := r.FDInfo(tid, fd)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(info) {
			if digits, found := bytes.CutPrefix(line, []byte("flags:")); found {
				flags, err := strconv.ParseInt(string(bytes.TrimSpace(digits)), 8, 32)
				f.Flags = int(flags)
				return err
			}
		}
		return nil
	})
	return f, err
}

// Protocol is that of the socket that a link of proc_pid_fd(5) leads to. No manual mentions the attribute, which every
// socket has: net/socket.c, sockfs_xattr_get.
func Protocol(link string) (string, error) {
	var name [64]byte
	n, err := unix.Getxattr(link, "system.sockprotoname", name[:])
	if err != nil {
		return "", &fs.PathError{Op: "getxattr", Path: link, Err: err}
	}
	return unix.ByteSliceToString(name[:n]), nil
}

// Node is the device and the inode of the file that a path of a thread leads to, relative to one of its directories: cwd,
// root, or fd/N. A link at its end is not followed.
func (r *Reader) Node(tid int, dir, name string) (device, inode uint64, err error) {
	full := path(tid, dir) + "/" + name
	err = r.AsOwner(tid, func() error {
		var st unix.Stat_t
		if err := eintr.Retry(func() error { return unix.Lstat(full, &st) }); err != nil {
			return &fs.PathError{Op: "lstat", Path: full, Err: err}
		}
		device, inode = uint64(st.Dev), st.Ino
		return nil
	})
	return device, inode, err
}
