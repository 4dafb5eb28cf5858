package worker

import (
	"os"
	"strconv"
)

// Generation is the number of the worker's generation: 1, 2, 3 … It is 0 if it is not
// known.
func Generation() int { return number("SERVER_STARTER_GENERATION") }

// Slot is the worker's place in its generation, from 0 up.
func Slot() int { return number("SERVER_STARTER_WORKER") }

func number(variable string) int {
	n, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		return 0
	}
	return n
}
