// Package notify implements the protocol of sd_notify(3), by which a worker
// notifies initd that it is ready: one datagram of newline-separated assignments
// to the unix socket that NOTIFY_SOCKET names.
//
// [Sockets] is initd's side towards its workers, a [Server] for each generation.
// [Send] is the worker's side, and initd's own towards its [Supervisor]. Who has
// sent a datagram is known from the kernel alone (SCM_CREDENTIALS in unix(7)).
package notify
