// Package watch reports changes of the content of files and directories.
//
// Content is what a program gets that reads by name: for a file its bytes and whether
// it may be executed, for a directory the names in it and the content behind each of
// them. Symbolic links are followed; the path that a link contains does not count. Nor
// do times, owners and inode numbers: a file that is touched, rewritten with the same
// bytes or replaced by a copy has not changed.
//
// Of a directory with a ..data, as Kubernetes mounts a ConfigMap or a Secret, the
// content is what ..data leads to, so that a new version is one change. In any
// directory the names ..*, .git, *~, .#* and .*.sw? are ignored: they belong to
// volumes, version control and editors.
//
// An event of inotify(7) starts a look, and what the look finds decides. Everything
// that a path leads through is watched, link by link and directory by directory, so
// that something may be missing, be removed and come back, or be replaced at any
// level. Where inotify sends no events, there is a look every five seconds.
//
// # Bounds
//
// At most 64 MiB of a source are read; files that do not fit are compared by size,
// time of modification and inode. At most 10,000 names are looked at; a directory with
// which there would be more is compared by its own time and inode. Both are reported.
//
// A file that was looked at before is read again only if its inode, size or
// times differ, or if the last reading was less than two seconds after these
// were first seen (a time stamp may be as coarse as that).
//
// These are not noticed: what is mounted over a path, or unmounted, and a write
// through mmap(2) (inotify(7)), until something else happens there; and a change that
// is made directly in a layer of an overlay.
package watch
