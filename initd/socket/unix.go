package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"server-starter/initd/ownfile"
)

// bindUnix makes a unix stream socket and binds it, with the mode and owner of
// o. It does not listen: until then connect(2) is refused, so that nobody can connect
// before mode and owner are right. The node is valid with an error, too.
func bindUnix(path string, o Options) (fd int, made node, err error) {
	if !abstract(path) {
		if err = vacate(path); err != nil {
			return -1, node{}, err
		}
	}
	if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, node{}, err
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err == nil && !abstract(path) {
		made, err = own(path, o)
	}
	if err != nil {
		unix.Close(fd)
		return -1, made, err
	}
	return fd, made, nil
}

func abstract(path string) bool { return strings.HasPrefix(path, "@") }

// own sets the mode of the socket's file, whatever the umask was, and its owner. The
// file is opened by O_PATH for that, so that a symlink that is put in its place cannot
// lead root to another file; chmod(2) reaches such a descriptor by /proc/self/fd.
func own(path string, o Options) (node, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return node{}, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return node{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return node{}, errReplaced
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return node{}, err
	}
	id, err := ownfile.Held(fd) // by the socket, for as long as that is open
	if err != nil {
		return node{}, err
	}
	made := node{path: absolute, id: id}
	made.keep()
	if o.UID >= 0 || o.GID >= 0 {
		if err := unix.Fchownat(fd, "", o.UID, o.GID, unix.AT_EMPTY_PATH); err != nil {
			return made, fmt.Errorf("chown: %w", err)
		}
	}
	if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), uint32(o.Mode.Perm())); err != nil {
		return made, fmt.Errorf("chmod: %w", err)
	}
	return made, nil
}

var errReplaced = errors.New("another process has put its own file in this place meanwhile")

// vacate removes a socket at path on which nobody listens, and nothing else.
func vacate(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // if the directory is missing, bind(2) will fail
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w: the path is a %s, which is left alone; remove it or use another path", unix.EADDRINUSE, kind(info.Mode()))
	}
	switch err := probe(path); err {
	case unix.ECONNREFUSED:
		if err := unix.Unlink(path); err != nil {
			return fmt.Errorf("unlink the stale socket there: %w", err)
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
