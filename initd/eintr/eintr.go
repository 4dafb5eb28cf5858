// Package eintr repeats system calls that a signal interrupts.
package eintr

import "golang.org/x/sys/unix"

// Retry calls f until its error is another one than EINTR, and returns that.
//
// The Go runtime installs its handlers with SA_RESTART, but on a slow file system
// (FUSE, NFS) open(2), read(2), stat(2) and others may fail with EINTR all the
// same (signal(7)). Package os repeats them, package unix does not. Close(2) is
// not for Retry: after EINTR the descriptor is closed.
func Retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
