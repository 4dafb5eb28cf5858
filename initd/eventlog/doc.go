// Package eventlog is initd's log: one line for each event, as JSON or as text
// for people.
//
// The text of a line is made from its JSON by [Event.Line], here as in the
// command `initctl events`: what a terminal shows is the same in both.
//
// Who writes to the log never waits for who reads it: see [Writer].
package eventlog
