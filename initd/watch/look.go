package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"slices"
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
	local bool            // inotify tells of it
	all   bool            // every name in it counts, less those passed over
	names map[string]bool // these names in it count
}

func (p *point) has(name string) bool {
	return p != nil && (p.names[name] || p.all && !passedOver(name))
}

// file is what is known of a regular file.
type file struct {
	state
	sum         uint64    // of its content
	first, last time.Time // when it was first seen in this state, and last read
}

// state is what differs once a file was written to.
type state struct {
	inode
	size         int64
	mtime, ctime unix.Timespec
}

// look is a look at what a source has; it is taken once.
type look struct {
	hash   maphash.Hash
	files  map[string]*file // as they were last seen
	kept   map[string]*file
	points map[inode]*point
	local  map[uint64]bool   // by device
	passed map[string]passed // what the paths led through
	torn   bool              // that has changed meanwhile
	bytes  int64             // that may yet be read
	names  int               // that may yet be looked at
	inside []inode           // the directories that are being looked at
	errs   []error           // what could not be looked at
	failed error             // the file system has failed
	buffer []byte
}

// passed is a directory or symbolic link as it was when it was passed.
type passed struct {
	inode
	kind   uint32
	ctime  unix.Timespec // of a link: each is made once
	target string        // of a link
}

func newLook(files map[string]*file) *look {
	l := &look{
		files:  files,
		kept:   map[string]*file{},
		points: map[inode]*point{},
		local:  map[uint64]bool{},
		passed: map[string]passed{},
		bytes:  maxBytes,
		names:  maxNames,
	}
	l.hash.SetSeed(seed)
	return l
}

// source looks at one path of a source. An error is a file system's that has
// failed: then nothing is known. That permission is missing is known.
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

// denied passes an error on that is the file system's, and takes note of one
// that is about the file.
func (l *look) denied(err error) error {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENAMETOOLONG):
		l.errs = append(l.errs, err)
		l.write('?', "")
		return nil
	}
	return err
}

// resolve follows a path from a directory, as path_resolution(7) says, and
// notes all it leads through. It returns the path without links of what is
// there, whose mode is 0 if nothing is.
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

// gone reports whether an error says that a file is not there. Of a server's
// file that may come late.
func (l *look) gone(err error) bool {
	if errors.Is(err, unix.ESTALE) {
		l.torn = true
		return true
	}
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}

// pass takes note of a directory or link that a path leads through.
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

// intact reports whether all that was looked at was there at one time, as far
// as that can be known: whether each path still leads where it led.
//
// The kubelet (AtomicWriter) writes each version into a directory of its own,
// renames a symbolic link over ..data, which leads there, and only then removes
// the old version. As long as ..data is what it was nothing of that has been.
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

// point is where a file or directory is to be watched.
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

// write adds to the sum what something is, and its name in a directory.
func (l *look) write(kind byte, name string) {
	l.number(uint64(len(name)))
	l.hash.WriteString(name)
	l.hash.WriteByte(kind)
}

func (l *look) number(n uint64) {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], n)
	l.hash.Write(b[:])
}

// content adds what is at a path that leads through no link. A file whose
// directory does not tell of it is watched itself: one that is mounted there,
// or has other names.
func (l *look) content(path string, stat unix.Stat_t, itself bool) error {
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if itself || stat.Nlink > 1 {
			l.point(path, stat)
		}
		return l.file(path, stat)
	case unix.S_IFDIR:
		return l.directory(path, stat)
	}
	l.write('o', "") // a device, FIFO or socket has no content, and is not opened
	return nil
}

// directory adds what is in one.
func (l *look) directory(path string, stat unix.Stat_t) error {
	if slices.Contains(l.inside, node(stat)) {
		l.write('l', "") // a link leads back to it
		return nil
	}
	l.inside = append(l.inside, node(stat))
	defer func() { l.inside = l.inside[:len(l.inside)-1] }()
	l.pass(path, stat, "")

	data, err := l.stat(path + "/..data")
	if errors.Is(err, unix.EACCES) {
		err = &os.PathError{Op: "open", Path: path, Err: unix.EACCES}
	}
	if err != nil {
		return l.denied(err)
	}
	if data.Mode&unix.S_IFMT == unix.S_IFLNK {
		at, stat, err := l.resolve(path, stat, "..data")
		if err != nil {
			return l.denied(err)
		}
		if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
			return l.directory(at, stat)
		}
	}

	p := l.point(path, stat)
	p.all = true
	names, err := l.list(path)
	if errors.Is(err, errMany) {
		l.errs = append(l.errs, fmt.Errorf("%s: %w", path, err))
		l.write('m', "")
		l.number(stat.Ino)
		l.time(stat.Mtim)
		return nil
	}
	if err != nil {
		return l.denied(err)
	}
	l.write('d', "")
	for _, name := range names {
		if err := l.entry(path, stat, name); err != nil {
			return err
		}
	}
	l.write('e', "")
	return nil
}

// entry adds what a directory has under a name.
func (l *look) entry(dir string, stat unix.Stat_t, name string) error {
	path := filepath.Join(dir, name)
	entry, err := l.stat(path)
	if err == nil && entry.Mode == 0 {
		return nil // removed since it was listed, and so an event
	}
	l.write('n', name)
	itself := entry.Dev != stat.Dev
	if err == nil && entry.Mode&unix.S_IFMT == unix.S_IFLNK {
		path, entry, err = l.resolve(dir, stat, name)
		itself = true
	}
	if err != nil {
		return l.denied(err)
	}
	if entry.Mode == 0 {
		l.write('a', "") // a link that leads nowhere
		return nil
	}
	return l.content(path, entry, itself)
}

// passedOver reports whether a name in a directory does not count.
func passedOver(name string) bool {
	n := len(name)
	return strings.HasPrefix(name, "..") || strings.HasPrefix(name, ".#") || strings.HasSuffix(name, "~") || name == ".git" ||
		n > 5 && name[0] == '.' && strings.HasPrefix(name[n-4:], ".sw")
}

var errMany = fmt.Errorf("more than %d names in all: what is in it is not looked at; watch what matters of it", maxNames)

// list returns the sorted names in a directory that count.
func (l *look) list(path string) ([]string, error) {
	d, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if l.gone(err) {
		l.torn = true
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var names []string
	for {
		some, err := d.Readdirnames(256)
		names = append(names, slices.DeleteFunc(some, passedOver)...)
		switch {
		case len(names) > l.names:
			return nil, errMany
		case err == io.EOF:
			slices.Sort(names)
			l.names -= len(names)
			return names, nil
		case l.gone(err):
			l.torn = true
			return nil, nil
		case err != nil:
			return nil, err
		}
	}
}

// file adds a regular file.
func (l *look) file(path string, stat unix.Stat_t) error {
	now := state{node(stat), stat.Size, stat.Mtim, stat.Ctim}
	f := l.files[path]
	if f == nil || f.state != now {
		f = &file{state: now, first: time.Now()}
	}
	kind := byte('f')
	if stat.Mode&0o111 != 0 {
		kind = 'x'
	}
	large := now.size > l.bytes
	// The files of proc and the like have no size, but content.
	if !large && (now.size == 0 || f.last.Sub(f.first) < coarseness) {
		sum, n, err := l.read(path)
		switch {
		case err != nil:
			return l.denied(err)
		case l.torn:
			return nil
		}
		if large = n > l.bytes; !large {
			f.sum, f.last, now.size = sum, time.Now(), n
		}
	}
	l.kept[path] = f
	l.write(kind, "")
	if large {
		l.errs = append(l.errs, fmt.Errorf("%s: with it more than %d MiB are to be read: it is judged by size, time and inode", path, maxBytes>>20))
		l.write('s', "")
		l.number(uint64(stat.Size))
		l.number(stat.Ino)
		l.time(stat.Mtim)
		return nil
	}
	l.bytes -= now.size
	l.number(f.sum)
	return nil
}

func (l *look) time(t unix.Timespec) {
	l.number(uint64(t.Sec))
	l.number(uint64(t.Nsec))
}

// read returns the sum of a file's bytes, and how many there are, more than
// l.bytes if they are too many. O_NONBLOCK is for the FIFO that took its place
// since: fifo(7).
func (l *look) read(path string) (sum uint64, n int64, err error) {
	var fd int
	err = eintr.Retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if l.gone(err) || err == unix.ENXIO || err == unix.ELOOP { // it is another's
		l.torn = true
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFREG {
		l.torn = true
		return 0, 0, nil
	}
	if l.buffer == nil {
		l.buffer = make([]byte, 32<<10)
	}
	var h maphash.Hash
	h.SetSeed(seed)
	for n <= l.bytes {
		var some int
		err := eintr.Retry(func() (err error) {
			some, err = unix.Read(fd, l.buffer)
			return err
		})
		if l.gone(err) {
			return 0, 0, nil
		}
		if err != nil {
			return 0, 0, &os.PathError{Op: "read", Path: path, Err: err}
		}
		if some == 0 {
			break
		}
		h.Write(l.buffer[:some])
		n += int64(some)
	}
	return h.Sum64(), n, nil
}
