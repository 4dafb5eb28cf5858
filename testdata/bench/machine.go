package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine describes what the figures were taken on.
func machine() string {
	var u unix.Utsname
	unix.Uname(&u)
	processor := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			processor = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%d × %s, Linux %s, %s %s", runtime.NumCPU(), processor,
		unix.ByteSliceToString(u.Release[:]), runtime.Version(), runtime.GOARCH)
}

// loadAverage is that of the last minute: above 1, others were at work too.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	average, _, _ := strings.Cut(string(text), " ")
	return average
}
