package web

import (
	"net/netip"
	"slices"
	"strings"
)

// hosts are the names by which requests are answered, in lower case; * is any. Addresses
// and localhost always are: of these no other site can make a page be at the same origin,
// as it can by having its own name lead here (DNS rebinding).
type hosts []string

func lower(names []string) (h hosts) {
	for _, name := range names {
		h = append(h, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	return h
}

// include reports whether the Host of a request may be answered; RFC 9112, section 3.2.
// HTTP/1.0 has none.
func (h hosts) include(host string) bool {
	name := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[:i], ":") || strings.Contains(host, "]:") {
		name = host[:i]
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || name == "localhost" || slices.Contains(h, "*") || slices.Contains(h, name) {
		return true
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
	return err == nil
}
