// Package socket makes the listeners that initd holds for its workers.
//
// A Spec is one item of the settings port and path; parsing it is pure. Open
// binds every Spec, or adopts the socket that another superdaemon already made
// for it, and returns the Set, which has the worker's file descriptors (Files) and
// the variables that describe them to workers (Environ). With ReusePort each slot
// has a socket of its own at every address, and so its own accept queue, and Steer
// chooses those that new connections go to.
//
// Two rules hold from Open to exit. Sockets are raw, blocking, close-on-exec
// descriptors; initd never accepts from them and never closes them. And the flags
// of their open file descriptions are never changed, whether they were made here or
// adopted: O_NONBLOCK is shared with every worker that holds the socket (fcntl(2),
// F_SETFL), so that clearing it for a new worker would block the event loops of
// those that run.
package socket
