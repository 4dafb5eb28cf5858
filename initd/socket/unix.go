package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"server-starter/initd/ownfile"
)

// bindUnix makes a unix stream socket and binds it, with the mode and owner of
// o. It does not listen: until then connect(2) is refused, so that nobody can connect
// before mode and owner are right. The node is valid with an error, too.
func bindUnix(path string, o Options) (fd int, made node, err error) {
	bind := func(fd int) error { return unix.Bind(fd, &unix.SockaddrUnix{Name: path}) }
	if abstract(path) {
		fd, err = newUnix(bind)
		return fd, node{}, err
	}
	d, err := openDirectory(path)
	if err != nil {
		return -1, node{}, err
	}
	return d.make(bind, o)
}

// newUnix makes a unix stream socket and binds it.
func newUnix(bind func(fd int) error) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	if err = bind(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// make makes a socket, which bind binds in the directory.
func (d directory) make(bind func(fd int) error, o Options) (fd int, made node, err error) {
	made = node{in: d}
	if err = vacate(d.at(d.name)); err != nil {
		return -1, made, err
	}
	if fd, err = newUnix(bind); err != nil {
		return -1, made, err
	}
	if err = made.own(o); err != nil {
		unix.Close(fd)
		return -1, made, err
	}
	return fd, made, nil
}

func abstract(path string) bool { return strings.HasPrefix(path, "@") }

// own sets the mode of the socket's file, whatever the umask was, and its owner. The
// file is opened by O_PATH for that, so that a symlink that is put in its place cannot
// lead root to another file; chmod(2) reaches such a descriptor by /proc/self/fd.
// The descriptor stays open: the inode is this file's for as long as that is.
func (n *node) own(o Options) (err error) {
	path := n.in.at(n.in.name)
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return errReplaced
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
			n.opened = 0
		}
	}()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errReplaced
	}
	if n.id, err = ownfile.Held(fd); err != nil {
		return err
	}
	n.path, n.opened = path, fd
	n.keep()
	if o.UID >= 0 || o.GID >= 0 {
		if err := unix.Fchownat(fd, "", o.UID, o.GID, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("chown: %w", err)
		}
	}
	if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), uint32(o.Mode.Perm())); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return nil
}

var errReplaced = errors.New("another process has put its own file in this place meanwhile")

// vacate removes a socket at path on which nobody listens, and nothing else.
func vacate(path string) error {
	file, err := os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return reason(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	id, err := ownfile.Held(int(file.Fd()))
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w: the path is a %s, which is left alone; remove it or use another path", unix.EADDRINUSE, kind(info.Mode()))
	}
	switch err := probe(fmt.Sprintf("/proc/self/fd/%d", file.Fd())); err { // however long the path
	case unix.ECONNREFUSED:
		if err := id.Remove(path); err != nil {
			return fmt.Errorf("unlink the stale socket there: %w", reason(err))
		}
		return nil
	case nil, unix.EAGAIN:
		return fmt.Errorf("%w: a process listens on the path; stop it or use another path", unix.EADDRINUSE)
	default:
		return fmt.Errorf("%w: the path is a socket that may be in use, which is left alone: connect: %w; remove it or use another path", unix.EADDRINUSE, err)
	}
}

// probe connects to a unix socket. Only ECONNREFUSED means that nobody listens
// (unix(7)): EAGAIN is a full queue, EPROTOTYPE a datagram socket. The probing
// socket does not block, or a full queue would hold initd for ever.
func probe(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

func kind(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "regular file"
	case fs.ModeDir:
		return "directory"
	case fs.ModeSymlink:
		return "symbolic link"
	case fs.ModeNamedPipe:
		return "named pipe"
	}
	return "device"
}
