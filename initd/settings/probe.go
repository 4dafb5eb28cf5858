package settings

import (
	"regexp"
	"strings"
)

// ProbedListener is the listener that the probe names, by its port or its path, as it
// is set; empty for none. All generations accept there, so that the old one may
// answer instead of the one that is probed.
func (s *Settings) ProbedListener() string {
	command := strings.Join(s.Probe, " ")
	if command == "" {
		return ""
	}
	for _, text := range s.Port {
		address, _, _ := strings.Cut(text, "=")
		port := address[strings.LastIndexByte(address, ':')+1:]
		if strings.HasPrefix(port, "u") || port == "0" || port == "" {
			continue
		}
		if namesPort(command, port) {
			return text
		}
	}
	for _, text := range s.Path {
		if path, _, _ := strings.Cut(text, "="); path != "" && strings.Contains(command, path) {
			return text
		}
	}
	return ""
}

// numbers are those of a command that may be ports, and origins those of its URLs.
var (
	numbers = regexp.MustCompile(`(?:^|[\s:=/"'])([0-9]+)(?:$|[\s/?#"';)&|])`)
	origins = regexp.MustCompile(`(https?)://[^/\s"']*?(:[0-9]+)?(?:[/\s"'?#]|$)`)
)

// namesPort reports whether a command names a port, by its number or by a URL without
// one.
func namesPort(command, port string) bool {
	// A blank that ends a number may begin the next.
	for _, number := range numbers.FindAllStringSubmatch(strings.ReplaceAll(command, " ", "  "), -1) {
		if number[1] == port {
			return true
		}
	}
	for _, origin := range origins.FindAllStringSubmatch(command, -1) {
		if origin[2] == "" && port == map[string]string{"http": "80", "https": "443"}[origin[1]] {
			return true
		}
	}
	return false
}
