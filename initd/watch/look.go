package watch

import (
	"errors"
	"hash/maphash"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
)

const (
	maxBytes   = 64 << 20        // of a source's files are read
	maxNames   = 10_000          // of a source's directories are looked at
	maxLinks   = 40              // are followed for a path: path_resolution(7)
	coarseness = 2 * time.Second // of time stamps, at worst those of FAT
)

// inode is one of a file or directory.
type inode struct{ device, number uint64 }

// point is a file or directory that is to be watched.
type point struct {
	path  string
	local bool            // all its changes bring events
	all   bool            // every name in it counts, except those ignored
	names map[string]bool // these names in it count
}

func (p *point) has(name string) bool {
	return p != nil && (p.names[name] || p.all && !ignored(name))
}

// file is what is known of a regular file.
type file struct {
	state
	sum         uint64    // of its content
	first, last time.Time // when it was first seen in this state, and last read
}

// state is what differs when a file has been written to.
type state struct {
	inode
	size         int64
	mtime, ctime unix.Timespec
}

// look is one look at the content of a source.
type look struct {
	hash   *maphash.Hash
	files  map[string]*file // as they were last seen
	kept   map[string]*file
	points map[inode]*point
	local  map[uint64]bool   // by device
	passed map[string]passed // what the paths led through
	torn   bool              // one of them, or a file, changed during the look
	bytes  int64             // that may still be read
	names  int               // that may still be looked at
	inside []inode           // the directories that are being looked at
	before map[string]uint64 // hashes of what is in directories, by path, as of the last look
	sums   map[string]uint64 // and as of this one
	errs   []error           // what could not be looked at
	failed error             // the file system has failed
	parts  bool              // or did so for something in a directory
	buffer []byte
}

// passed is a directory or symbolic link that a path led through, as it was then.
type passed struct {
	inode
	kind   uint32
	ctime  unix.Timespec // of a link, which is never modified, only replaced
	target string        // of a link
}

func newLook(files map[string]*file) *look {
	l := &look{
		files:  files,
		kept:   map[string]*file{},
		points: map[inode]*point{},
		local:  map[uint64]bool{},
		passed: map[string]passed{},
		sums:   map[string]uint64{},
		hash:   newHash(),
		bytes:  maxBytes,
		names:  maxNames,
	}
	return l
}

func newHash() *maphash.Hash {
	h := new(maphash.Hash)
	h.SetSeed(seed)
	return h
}

// source looks at one path of a source. The error is that of a file system that has
// failed: then nothing is known. Missing permission is part of what is found.
func (l *look) source(path string) error {
	if err := check(path); err != nil {
		l.errs = append(l.errs, err)
		return nil
	}
	root, err := l.stat("/")
	if err != nil {
		return err
	}
	at, stat, err := l.resolve("/", root, path)
	if err != nil || stat.Mode == 0 {
		return l.denied(err)
	}
	return l.content(at, stat, true)
}

// denied returns an error of the file system, and notes one that is about the file.
func (l *look) denied(err error) error {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENAMETOOLONG):
		l.errs = append(l.errs, err)
		l.write('?', "")
		return nil
	}
	return err
}

// resolve follows a path from a directory, as in path_resolution(7), and notes what it
// leads through. It returns where it leads, as a path without links, and the status
// of what is there, with mode 0 if there is nothing.
func (l *look) resolve(at string, stat unix.Stat_t, path string) (string, unix.Stat_t, error) {
	links := 0
	for {
		name, rest, _ := strings.Cut(path, "/")
		switch name {
		case "", ".":
			if rest == "" {
				return at, stat, nil
			}
			path = rest
			continue
		}
		if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
			return at, unix.Stat_t{}, nil // ENOTDIR
		}
		l.pass(at, stat, "")
		if name == ".." {
			var err error
			at = filepath.Dir(at)
			if stat, err = l.stat(at); err != nil || stat.Mode == 0 {
				return at, stat, err
			}
			path = rest
			continue
		}
		l.point(at, stat).names[name] = true
		next := filepath.Join(at, name)
		entry, err := l.stat(next)
		if err != nil || entry.Mode == 0 {
			return next, entry, err
		}
		if entry.Mode&unix.S_IFMT != unix.S_IFLNK {
			at, stat, path = next, entry, rest
			continue
		}
		target, err := l.readlink(next)
		if err != nil || target == "" {
			return next, unix.Stat_t{}, err
		}
		l.pass(next, entry, target)
		if links++; links > maxLinks {
			return next, unix.Stat_t{}, &os.PathError{Op: "open", Path: next, Err: unix.ELOOP}
		}
		if target[0] == '/' {
			at = "/"
			if stat, err = l.stat(at); err != nil {
				return at, stat, err
			}
		}
		path = target + "/" + rest
	}
}

// stat is lstat(2); the mode is 0 if there is nothing.
func (l *look) stat(path string) (stat unix.Stat_t, err error) {
	err = eintr.Retry(func() error { return unix.Lstat(path, &stat) })
	if l.gone(err) {
		return unix.Stat_t{}, nil
	}
	if err != nil {
		return unix.Stat_t{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return stat, nil
}

// readlink is readlink(2); "" if there is no link any more.
func (l *look) readlink(path string) (string, error) {
	target, err := os.Readlink(path)
	if l.gone(err) || errors.Is(err, unix.EINVAL) {
		l.torn = true
		return "", nil
	}
	return target, err
}

// gone reports whether an error means that a file is not there. ESTALE means that a
// server's file was removed after it was looked up.
func (l *look) gone(err error) bool {
	if errors.Is(err, unix.ESTALE) {
		l.torn = true
		return true
	}
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}

// pass notes a directory or link that a path leads through.
func (l *look) pass(path string, stat unix.Stat_t, target string) {
	p := passed{inode: node(stat), kind: stat.Mode & unix.S_IFMT, target: target}
	if p.kind == unix.S_IFLNK {
		p.ctime = stat.Ctim
	}
	if before, ok := l.passed[path]; ok && before != p {
		l.torn = true
	}
	l.passed[path] = p
}

// intact reports whether everything that was looked at existed at the same time, as
// far as that can be known: whether each path still leads where it led.
//
// The kubelet (AtomicWriter) writes each version into a directory of its own,
// renames a symbolic link over ..data, which leads there, and only then removes
// the old version. As long as ..data has not changed, nothing was removed.
func (l *look) intact() bool {
	for path, before := range l.passed {
		if l.torn {
			return false
		}
		stat, err := l.stat(path)
		if err != nil {
			l.failed = err
			return true
		}
		target := ""
		if before.kind == unix.S_IFLNK && stat.Mode&unix.S_IFMT == unix.S_IFLNK {
			target, _ = l.readlink(path)
		}
		l.pass(path, stat, target)
	}
	return !l.torn
}

// point returns the point at which a file or directory is to be watched.
func (l *look) point(path string, stat unix.Stat_t) *point {
	p := l.points[node(stat)]
	if p == nil {
		known, ok := l.local[stat.Dev]
		if !ok {
			known = local(path)
			l.local[stat.Dev] = known
		}
		p = &point{path: path, local: known, names: map[string]bool{}}
		l.points[node(stat)] = p
	}
	return p
}

func node(stat unix.Stat_t) inode { return inode{uint64(stat.Dev), stat.Ino} }
