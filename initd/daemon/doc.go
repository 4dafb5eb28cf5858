// Package daemon has initd go to the background: a parent starts initd again in
// a session of its own and waits until that is ready, has failed or has ended;
// daemon(7).
//
// [Start] is the parent's side, [Inherited] and [Parent] are the other's.
package daemon

// Variable is the descriptor on which the parent waits for initd. It is for nobody
// else.
const Variable = "_INITD_PARENT"

// What initd writes to its parent. An end without either means that it has ended.
const (
	ready  = "ready"
	failed = "failed " // and why
)
