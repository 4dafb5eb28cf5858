package doctor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"server-starter/initd/socket"
)

// coverDirectories covers each directory in which a unix socket is to be with a
// copy that only this mount namespace sees, which has all that is in there but
// the sockets.
func coverDirectories(specs []socket.Spec) error {
	absent := map[string][]string{} // the sockets, by directory
	for _, spec := range specs {
		if !onDisk(spec) {
			continue
		}
		dir, err := filepath.Abs(filepath.Dir(spec.Path))
		if err != nil {
			return err
		}
		absent[dir] = append(absent[dir], filepath.Base(spec.Path))
	}
	if len(absent) == 0 {
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	for dir, sockets := range absent {
		if err := cover(dir, sockets); err != nil {
			return err
		}
	}
	return os.Chdir(here) // which may be one of them
}

// cover mounts a directory in memory over one, and binds what is in the latter to
// the same names in the former.
func cover(dir string, without []string) error {
	const most = 1000
	if dir == "/" {
		return errors.New("cannot mount over the root directory")
	}
	covered, err := os.Open(dir) // by which it can still be reached
	if err != nil {
		return err
	}
	defer covered.Close()
	info, err := covered.Stat()
	if err != nil {
		return err
	}
	entries, err := covered.ReadDir(most)
	if err != nil && err != io.EOF {
		return err
	}
	if len(entries) == most {
		return fmt.Errorf("%s has too many entries", dir)
	}
	owner := info.Sys().(*syscall.Stat_t)
	options := fmt.Sprintf("mode=%o", owner.Mode&0o7777)
	if os.Geteuid() == 0 { // else others are unknown here
		options += fmt.Sprintf(",uid=%d,gid=%d", owner.Uid, owner.Gid)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	for _, e := range entries {
		if slices.Contains(without, e.Name()) {
			continue
		}
		from := fmt.Sprintf("/proc/self/fd/%d/%s", covered.Fd(), e.Name())
		if err := bind(e, from, filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// bind makes an entry of a directory appear at another path, too.
func bind(e fs.DirEntry, from, to string) (err error) {
	switch {
	case e.Type() == fs.ModeSymlink:
		link, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(link, to)
	case e.IsDir():
		err = os.Mkdir(to, 0o700)
	default:
		err = os.WriteFile(to, nil, 0o600)
	}
	if err == nil {
		err = unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err != nil {
		return fmt.Errorf("bind %s: %w", to, err)
	}
	return nil
}
