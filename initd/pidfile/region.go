package pidfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// A region is a part of the file, beyond its content, that is locked; fcntl(2). Locks
// are for writing, and only those are looked at: to lock for reading, it is enough to
// be able to read the file.
type region struct{ start, length int64 }

// The locks of the first two belong to the open file description, so that they stay
// where initd opens and closes the file elsewhere, as to watch its directory. The last
// belongs to the process: that is whose pid F_GETLK returns.
var (
	attempts = region{0, 1 << 60}
	givenUp  = region{1 << 60, 1 << 60}
	numbers  = region{0, 1 << 61} // both
	process  = region{1 << 61, 1}
)

// lock locks the region for the open file description, by F_OFD_SETLK, or for the
// process, by F_SETLK.
func (r region) lock(file *os.File, command int) error { return r.set(file, command, unix.F_WRLCK) }

// advance unlocks the region up to a number: its lock begins there. So a number can
// only grow, and nobody who locks what is free can keep it from that.
func (r region) advance(file *os.File, number int) {
	if number > 0 {
		region{r.start, int64(number)}.set(file, unix.F_OFD_SETLK, unix.F_UNLCK)
	}
}

func (r region) set(file *os.File, command int, kind int16) error {
	return control(file, func(fd int) error {
		return unix.FcntlFlock(uintptr(fd), command, &unix.Flock_t{Type: kind, Start: r.start, Len: r.length})
	})
}

// get returns the lock that another open file description, or process, has.
func (r region) get(file *os.File) (lock unix.Flock_t, locked bool, err error) {
	lock = unix.Flock_t{Type: unix.F_RDLCK, Start: r.start, Len: r.length}
	err = control(file, func(fd int) error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &lock) })
	return lock, err == nil && lock.Type == unix.F_WRLCK, err
}

// number is that at which the region's lock begins.
func (r region) number(file *os.File) (number int, ok bool) {
	lock, ok, _ := r.get(file)
	return int(max(lock.Start-r.start, 0)), ok
}
