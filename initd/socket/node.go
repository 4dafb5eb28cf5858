package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"server-starter/initd/ownfile"
)

// A node is the file of a unix socket that was made here. The path leads through the
// descriptor of the directory. The zero node is no file.
type node struct {
	in     directory
	path   string
	id     ownfile.ID
	spare  string // another name of it, in the same directory; empty: there is none
	opened int    // an O_PATH descriptor of it, so that no other file gets its inode; 0: none
}

// there reports whether the path still is the file that was made.
func (n node) there() bool { return n.id.At(n.path) }

// keep gives the file a second name. A path that is removed can be restored by it, for
// the socket that workers hold: a file without any name can get none; link(2). Where
// there can be no such link, there is none.
func (n *node) keep() {
	spare := n.in.at("." + n.in.name + ".initd")
	if vacate(spare) == nil && os.Link(n.path, spare) == nil {
		n.spare = spare
	}
}

// restore gives the file its path back, if nothing else is there. It is an error if
// something is, and it is errNoSpare if the file has no other name.
func (n node) restore() error {
	if _, err := os.Lstat(n.path); !errors.Is(err, fs.ErrNotExist) {
		return errReplaced
	}
	if n.spare == "" || !n.id.At(n.spare) {
		return errNoSpare
	}
	if err := os.Link(n.spare, n.path); err != nil {
		return fmt.Errorf("its path was removed: %w", err)
	}
	return nil
}

var errNoSpare = errors.New("its path was removed, and so was the other name of its file")

// remove unlinks the file if it is still there.
func (n node) remove() error {
	return errors.Join(n.id.Remove(n.path), n.id.Remove(n.spare))
}

// close closes the descriptor of the file.
func (n node) close() {
	if n.opened > 0 {
		unix.Close(n.opened)
	}
}

// discard removes a file that was made in vain.
func (n node) discard() error {
	defer n.close()
	return n.remove()
}
