// Package bindfilter gives a program the listeners of its parent in place of the sockets that it binds itself, without
// the program's help: seccomp_unotify(2).
//
// The program is executed under a seccomp filter that stops it in bind(2), listen(2) and, where there are Unix sockets,
// unlink(2) and unlinkat(2), until the parent has answered, and lets all other calls pass. Install is the side of the
// program, which execve(2) and fork(2) keep; Serve is the side of the parent:
//
//   - bind(2) of an address that is a listener's replaces the socket by the listener, under the same file descriptor
//     (SECCOMP_IOCTL_NOTIF_ADDFD), and returns 0.
//   - listen(2) on such a socket returns 0 and changes nothing: it would set the backlog for all who share it.
//   - unlink(2) of a listener's path returns 0 and removes nothing.
//   - Every other call is continued as it was made.
//
// Nothing is enforced by this. The kernel reads the arguments of a call that is continued once more, and a program may
// have changed them since, or may bind by io_uring(7), which no filter sees. All that comes of it is that it binds a
// socket of its own, as it could without the filter.
//
// What is lost is what the program had done to its own socket before bind(2): its options, and its registrations with
// epoll(7) and copies by dup(2), which still mean the old socket. Of its flags O_NONBLOCK is set on the listener if the
// program had set it, and close-on-exec is as the program had it. O_NONBLOCK is never cleared: it belongs to the open
// file description, which others share.
package bindfilter
