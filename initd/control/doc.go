// Package control is how an initd that runs is seen and steered: the protocol,
// what speaks it on initd's side, and a client.
//
// The protocol is one JSON object to a line, over a unix stream socket; who asks
// speaks first. docs/CONTROL.md has it in full.
//
// [Server] never waits for a client where the loop could: it has a bounded number
// of connections, each with a goroutine, a line of bounded length and time limits,
// and asks the loop by a channel whose answers are always taken.
package control
