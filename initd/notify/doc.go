// Package notify speaks the protocol of sd_notify(3), by which a worker says
// of itself that it is ready: one datagram of newline-separated assignments to
// the unix socket that NOTIFY_SOCKET names.
//
// [Listen] and [Server.Receive] are the superdaemon's side, [Send] is the
// worker's. A datagram is believed for what the kernel says of its sender
// (SCM_CREDENTIALS in unix(7)), never for what it says itself.
package notify
