package ownfile

import (
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
)

// A place is where a file is: a name in a directory.
type place struct {
	dir   int    // O_PATH
	name  string // without a slash
	magic bool   // the name is one of the kernel's links in /proc, which leads to an open file; proc_pid_fd(5)

	exposed bool // another user can rename a directory on the way, or a link

	linked bool   // a link of another user is being followed
	author uint32 // that user
	after  int    // bytes of the path that come after it
	links  int    // that were followed
}

// maxLinks are followed for a path; path_resolution(7).
const maxLinks = 40

// in calls f with the place that path leads to, which is closed afterwards. If follow,
// a link that path itself is was followed.
func in(path string, follow bool, f func(place) error) error {
	p, err := locate(path, follow)
	if err != nil {
		return err
	}
	defer unix.Close(p.dir)
	return f(p)
}

// locate returns the place that path leads to; its directory is to be closed.
func locate(path string, follow bool) (place, error) {
	p := place{dir: -1}
	err := p.walk(path, follow)
	if err != nil && p.dir >= 0 {
		unix.Close(p.dir)
	}
	return p, err
}

// walk follows a path as in path_resolution(7), name by name, so that it is known
// whose links lead on.
func (p *place) walk(path string, follow bool) error {
	if path == "" {
		return unix.ENOENT
	}
	if err := p.start(path); err != nil {
		return err
	}
	for {
		path = strings.TrimLeft(path, "/")
		if p.linked && len(path) <= p.after {
			if err := p.arrive(); err != nil {
				return err
			}
		}
		p.name, path, _ = strings.Cut(path, "/")
		path = strings.TrimLeft(path, "/")
		last := path == ""
		if p.name == "" {
			return unix.EISDIR
		}
		if last && !follow {
			return nil
		}
		linked := p.linked
		target, err := p.step(last)
		if err != nil {
			return err
		}
		if target == "" {
			if last && p.linked { // the link was to the file
				return p.arrive()
			}
			if last {
				return nil
			}
			continue
		}
		if !linked {
			p.after = len(path)
		}
		path = target + "/" + path
		if target[0] == '/' {
			if err := p.start(target); err != nil {
				return err
			}
		}
	}
}

// Directory opens the directory that path is in, by O_PATH and close-on-exec, and returns
// the name of path in it. It is exposed if another user can have path lead elsewhere
// later. The error is an fs.PathError.
func Directory(path string) (fd int, name string, exposed bool, err error) {
	p, err := locate(path, false)
	if err != nil {
		return -1, "", false, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return p.dir, p.name, p.exposed, nil
}

// start begins at the root or the working directory.
func (p *place) start(path string) error {
	from := "."
	if strings.HasPrefix(path, "/") {
		from = "/"
	}
	if p.dir >= 0 {
		unix.Close(p.dir)
		p.dir = -1
	}
	return p.enter(unix.AT_FDCWD, from, 0)
}

// enter opens a directory in place of that of p.
func (p *place) enter(at int, name string, flags int) error {
	fd, err := open(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return err
	}
	if p.dir >= 0 {
		p.expose(fd)
		unix.Close(p.dir)
	}
	p.dir = fd
	return nil
}

// expose notes whether another user can rename what is open in the directory of p; sticky
// directories are described in inode(7).
func (p *place) expose(fd int) {
	var dir, entry unix.Stat_t
	if unix.Fstat(p.dir, &dir) != nil || unix.Fstat(fd, &entry) != nil {
		p.exposed = true
		return
	}
	anybody := dir.Mode&0o022 != 0 && (dir.Mode&unix.S_ISVTX == 0 || !trusted(entry.Uid))
	p.exposed = p.exposed || !trusted(dir.Uid) || anybody
}

// step enters the directory of the name of p, or returns where the link of that name
// leads. The last name need not be either.
func (p *place) step(last bool) (target string, err error) {
	if !last {
		// O_DIRECTORY has autofs mount what belongs there.
		if err := p.enter(p.dir, p.name, unix.O_NOFOLLOW); err != unix.ENOTDIR {
			return "", err
		}
	}
	fd, err := open(p.dir, p.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT && last {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var link unix.Stat_t
	if err := unix.Fstat(fd, &link); err != nil {
		return "", err
	}
	if link.Mode&unix.S_IFMT != unix.S_IFLNK {
		if last {
			return "", nil
		}
		return "", unix.ENOTDIR
	}
	if p.links++; p.links > maxLinks {
		return "", unix.ELOOP
	}
	if p.inProc() {
		return p.stepMagic(last)
	}
	p.expose(fd)
	if err := p.follow(link); err != nil {
		return "", err
	}
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buffer)
	if err == nil && n == 0 {
		err = unix.ENOENT
	}
	return string(buffer[:max(n, 0)]), err
}

func (p *place) inProc() bool {
	var system unix.Statfs_t
	err := eintr.Retry(func() error { return unix.Fstatfs(p.dir, &system) })
	return err == nil && system.Type == unix.PROC_SUPER_MAGIC
}

// stepMagic follows one of the kernel's links in /proc, whose text need not be a path.
func (p *place) stepMagic(last bool) (string, error) {
	if p.linked {
		return "", p.errProc()
	}
	if last {
		p.magic = true
		return "", nil
	}
	return "", p.enter(p.dir, p.name, 0)
}

// follow notes whose link is followed. A link of several names may have been taken
// from elsewhere: link(2).
func (p *place) follow(link unix.Stat_t) error {
	switch {
	case trusted(link.Uid) && link.Nlink <= 1: // none if it has been replaced since
		return nil
	case trusted(link.Uid):
		return fmt.Errorf("the symbolic link %q has other names, so anybody may have put it there: it is not followed", p.name)
	case p.linked && p.author != link.Uid:
		return fmt.Errorf("symbolic links of uid %d and uid %d lead to it: they are not followed", p.author, link.Uid)
	}
	p.linked, p.author = true, link.Uid
	return nil
}

func (p *place) errProc() error {
	return fmt.Errorf("a symbolic link of uid %d leads to /proc: it is not followed", p.author)
}

// arrive is called where another user's link leads to, which must be a directory of
// that user. What is beneath it that user can change anyway. Not so in /proc, where that
// user's processes have directories.
func (p *place) arrive() error {
	p.linked = false
	if p.inProc() {
		return p.errProc()
	}
	var dir unix.Stat_t
	if err := unix.Fstat(p.dir, &dir); err != nil {
		return err
	}
	if dir.Uid != p.author {
		return fmt.Errorf("a symbolic link of uid %d leads to a directory of uid %d: it is not followed; use the path without it, or let root own it", p.author, dir.Uid)
	}
	return nil
}
