// Package watch tells when the content of files and directories has changed.
//
// Content is what who reads by name gets: a file's bytes and whether it may be
// executed; of a directory the names, and what is behind each of them. Symbolic
// links are followed, and where a link leads is no content. Neither are times,
// owners and inode numbers: a file that is touched, written again or replaced
// by its equal has not changed.
//
// A directory with a ..data, as Kubernetes mounts a ConfigMap or a Secret, is
// what ..data leads to, so that a new version is one change. In any directory
// the names ..*, .git, *~, .#* and .*.sw? are passed over: volumes, version
// control and editors keep what is theirs under them.
//
// inotify(7) says when to look, and what is found then decides. All that a path
// leads through is watched, link by link and directory by directory, so that
// something may be missing, be removed and come back, or be replaced at any
// level. Where inotify does not reach, a look is taken every five seconds.
//
// # Bounds
//
// Of a source 64 MiB are read; files that do not fit are judged by size, time
// of modification and inode. 10,000 names are looked at; a directory with which
// they would be more is judged by its own time and inode. Both are reported.
//
// A file that was looked at before is read again only if its inode, size or
// times differ, or if the last reading was less than two seconds after these
// were first seen (a time stamp may be as coarse as that).
//
// Not noticed are: what is mounted over a path, or unmounted, until something
// else happens there; a write through mmap(2), until the same, as inotify(7)
// says; and a change that a layer of an overlay is given behind its back.
package watch
