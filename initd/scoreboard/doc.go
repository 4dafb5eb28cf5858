// Package scoreboard is the shared memory in which workers report, without a system
// call, whether they are idle or busy and how many requests they have finished.
// docs/SCOREBOARD.md is the contract with workers in any language, and package layout
// the same in constants.
//
// A [Board] is initd's. A row of it belongs to a live worker, not to a slot: while a
// slot is swapped or its worker recycled, it has two. All generations share one board,
// and each worker can write anywhere in it. So initd keeps in its own memory what it
// relies on, and reads from the board only what a worker may report, within bounds.
//
// Anyone else reads it by package reader. Workers in Go write by package worker.
package scoreboard
