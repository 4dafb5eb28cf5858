// Package scoreboard keeps the shared memory in which workers tell initd, without a
// system call, whether they are idle or busy and how many requests they have finished.
// docs/SCOREBOARD.md is the contract with workers in any language, package layout the
// same in constants.
//
// A [Board] is initd's. A row of it is a live worker's, not a slot's: of a slot there
// are two while it is swapped or recycled. All generations share the one board, and
// each worker can write anywhere in it. So initd keeps in its own memory what it has
// to rely on, and takes from the board only what a worker may say, within bounds.
//
// A [Reader] is for anyone else. A worker in Go writes by package worker.
package scoreboard
