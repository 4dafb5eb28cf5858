//go:build !amd64 && !arm64 && !arm

package accepting

// kinds are not known here, so that it is never certain what a process waits for.
var kinds map[int]kind
