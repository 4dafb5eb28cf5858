// Package control is how a running initd is observed and controlled: the protocol,
// its server, which is initd's side, and a client.
//
// The protocol is one JSON object a line, over a unix stream socket; the client
// begins. docs/CONTROL.md has it in full.
//
// The loop never waits for a client. A [Server] has a bounded number of connections,
// each with a goroutine, time limits and lines of bounded length. What it has for the
// loop goes to a [Sink], and the loop's answers are always taken.
package control
