//go:build race

package machine

// There is nothing to race for in here, and the race detector makes a step
// take eight times as long. The mutations are built without it, and have their
// turn where the tests are.
func init() { *schedules, mutate = 3000, false }
