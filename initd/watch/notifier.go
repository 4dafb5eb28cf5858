package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"server-starter/initd/eintr"
)

// notifier has inotify(7) send events. A nil notifier is none.
//
// What is watched is known by inode, for inotify has one watch for an inode and
// fsnotify one path for a watch: the same volume may be mounted at two places.
type notifier struct {
	*fsnotify.Watcher
	paths  map[inode]string // by which it was given to fsnotify
	inodes map[string]inode
}

func newNotifier() (*notifier, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, remedy(err)
	}
	return &notifier{watcher, map[inode]string{}, map[string]inode{}}, nil
}

// remedy adds to an error what can be done about it; inotify_init(2),
// inotify_add_watch(2).
func remedy(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("%w: polling every few seconds instead; raise fs.inotify.max_user_instances by sysctl, or the limit of open files", err)
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("%w: polling every few seconds instead; raise fs.inotify.max_user_watches by sysctl", err)
	}
	return fmt.Errorf("%w: polling every few seconds instead", err)
}

func (n *notifier) close() {
	if n != nil {
		n.Close()
	}
}

func (n *notifier) channels() (<-chan fsnotify.Event, <-chan error) {
	if n == nil {
		return nil, nil
	}
	return n.Events, n.Errors
}

// concerns marks the sources that an event matters to, and reports whether there are any.
func (n *notifier) concerns(e fsnotify.Event, sources []*source) (matters bool) {
	dir, name := filepath.Split(e.Name)
	dir = filepath.Clean(dir)
	for _, s := range sources {
		if s.points[n.inodes[e.Name]] != nil || s.points[n.inodes[dir]].has(name) {
			s.dirty, matters = true, true
		}
	}
	// What was watched here no longer is, or will soon not be what is here.
	if e.Op&(fsnotify.Create|fsnotify.Remove|fsnotify.Rename) != 0 {
		n.forget(e.Name)
	}
	return matters
}

func (n *notifier) forget(path string) {
	if node, ok := n.inodes[path]; ok {
		delete(n.inodes, path)
		delete(n.paths, node)
		n.Remove(path) // an error is that the kernel has done so
	}
}

// watch watches the points of all sources, and nothing else. What is added may have
// changed before that: the source has to be looked at again, and so have the others
// that it matters to.
func (n *notifier) watch(sources []*source, looking *source) (added bool, errs []error) {
	if n == nil {
		return false, nil
	}
	newest := map[string]inode{}
	for node, p := range looking.points {
		newest[p.path] = node
	}
	stale := func(path string, node inode) bool {
		now, ok := newest[path]
		return ok && now != node
	}
	wanted := map[string]inode{}
	for node, path := range n.paths { // the path it is known by, if that is still one
		for _, s := range sources {
			if p := s.points[node]; p != nil && p.path == path && !stale(path, node) {
				wanted[path] = node
			}
		}
	}
	for path := range n.inodes {
		if _, ok := wanted[path]; !ok {
			n.forget(path)
		}
	}
	var paths []string
	for _, s := range sources {
		for node, p := range s.points {
			if _, ok := n.paths[node]; ok || stale(p.path, node) {
				continue
			}
			if _, ok := wanted[p.path]; !ok {
				wanted[p.path] = node
				paths = append(paths, p.path)
			}
		}
	}
	// A directory comes before what is in it: while a path is being watched it
	// already shows if that becomes another's.
	slices.Sort(paths)
	for _, path := range paths {
		node := wanted[path]
		if _, ok := n.paths[node]; ok {
			continue // by another path
		}
		err := n.Add(path)
		if err == nil {
			n.paths[node], n.inodes[path] = path, node
		}
		its := looking.points[node] != nil
		switch {
		case err == nil, errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP): // it is another's
			added = added || its
			for _, s := range sources {
				s.dirty = s.dirty || s != looking && s.points[node] != nil
			}
		case its: // otherwise the other source will report it
			if !errors.Is(err, unix.ENOSPC) { // which is about no path
				err = &os.PathError{Op: "inotify", Path: path, Err: err}
			}
			errs = append(errs, remedy(err))
		}
	}
	return added, errs
}

// covers reports whether all changes of these points bring events.
func (n *notifier) covers(points map[inode]*point) bool {
	if n == nil {
		return false
	}
	for node, p := range points {
		if _, ok := n.paths[node]; !ok || !p.local {
			return false
		}
	}
	return true
}

// local reports whether all changes of the file system of a path are made through this
// kernel, so that inotify(7) has events for them: not by a server (NFS, SMB, 9p,
// virtiofs and other FUSE, between which statfs(2) does not distinguish), and not by
// the kernel itself (proc, sysfs). Of an unknown file system that is not assumed. An
// overlay has events as of Linux 4.19.
func local(path string) bool {
	var stat unix.Statfs_t
	if eintr.Retry(func() error { return unix.Statfs(path, &stat) }) != nil {
		return false
	}
	switch uint32(stat.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC,
		unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
		unix.SQUASHFS_MAGIC, unix.EROFS_SUPER_MAGIC_V1, unix.ISOFS_SUPER_MAGIC,
		unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC,
		0x2fc12fc1, // ZFS
		0xca451a4e: // bcachefs
		return true
	}
	return false
}
