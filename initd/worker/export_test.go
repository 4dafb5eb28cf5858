package worker

// NewGrace is for tests to shorten.
var NewGrace = &newGrace
