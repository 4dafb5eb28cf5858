// Package socket makes the listeners that initd holds for its workers.
//
// A Spec is one item of the settings port and path; parsing it is pure. Open
// binds every Spec, or adopts the socket that another superdaemon already made
// for it, and returns the Set, which knows the worker's file descriptors
// (Files) and how workers are told of them (Environ). With ReusePort each slot has
// a socket, and so a queue, of its own at every address, and Steer says which of
// them new connections go to.
//
// Two rules hold from Open to exit. Sockets are raw, blocking, close-on-exec
// descriptors of which initd never accepts, and which it never closes. And the
// flags of their open file descriptions are never changed, neither those of
// sockets made here nor those of adopted ones: O_NONBLOCK is shared with every
// worker that holds the socket (fcntl(2), F_SETFL), so that clearing it for a
// new worker would block the event loops of those that run.
package socket
