//go:build race

package machine

// There is nothing to race for in here, and the race detector makes a step
// take eight times as long.
func init() { *schedules = 3000 }
