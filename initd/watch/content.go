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

// content adds what is at a path that leads through no link. A file is watched itself
// if its directory does not get all of its events: one that is mounted there, or has
// other names.
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

// directory adds what is in a directory.
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
		l.entry(path, stat, name)
	}
	l.write('e', "")
	return nil
}

// entry adds what is in a directory under a name. If a file system fails, what was
// known of it stays, and is nothing at first: the other names are still watched.
func (l *look) entry(dir string, stat unix.Stat_t, name string) {
	path := filepath.Join(dir, name)
	entry, err := l.stat(path)
	if err == nil && entry.Mode == 0 {
		return // removed since it was listed, and so an event
	}
	l.write('n', name)
	whole := l.hash
	l.hash = newHash()
	if err == nil {
		err = l.behind(dir, stat, name, entry)
	}
	err = l.denied(err)
	sum, known := l.hash.Sum64(), true
	if l.hash = whole; err != nil {
		l.errs, l.parts = append(l.errs, err), true
		sum, known = l.before[path]
	}
	if known {
		l.sums[path] = sum
	}
	l.number(sum)
}

// behind adds what is behind a name in a directory.
func (l *look) behind(dir string, stat unix.Stat_t, name string, entry unix.Stat_t) error {
	path, itself := filepath.Join(dir, name), entry.Dev != stat.Dev
	if entry.Mode&unix.S_IFMT == unix.S_IFLNK {
		var err error
		if path, entry, err = l.resolve(dir, stat, name); err != nil {
			return err
		}
		itself = true
	}
	if entry.Mode == 0 {
		l.write('a', "") // a link that leads nowhere
		return nil
	}
	return l.content(path, entry, itself)
}

// ignored reports whether a name in a directory does not count.
func ignored(name string) bool {
	n := len(name)
	return strings.HasPrefix(name, "..") || strings.HasPrefix(name, ".#") || strings.HasSuffix(name, "~") || name == ".git" ||
		n > 5 && name[0] == '.' && strings.HasPrefix(name[n-4:], ".sw")
}

var errMany = fmt.Errorf("more than %d files in total: their contents are not watched; watch only the part that matters", maxNames)

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
		names = append(names, slices.DeleteFunc(some, ignored)...)
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
	// Files of proc and the like have size 0, but content.
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
		l.errs = append(l.errs, fmt.Errorf("%s: with this file there are more than %d MiB to read: changes to it are detected by size, time and inode", path, maxBytes>>20))
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

// read returns the hash of a file's bytes, and how many there are, or more than
// l.bytes if there are more. O_NONBLOCK is for a FIFO that has taken the file's place
// since: fifo(7).
func (l *look) read(path string) (sum uint64, n int64, err error) {
	var fd int
	err = eintr.Retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if l.gone(err) || err == unix.ENXIO || err == unix.ELOOP { // another file is there by now
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

// write adds to the hash what kind of thing something is, and its name in a directory.
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
