package launch

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// highestGroup is nogroup in most systems: no files are to belong to it.
const highestGroup = 65534

// Apart is the same user in a group that is none of its own, and in no other. Whoever has c
// cannot trace a process that has these: for that all its group ids would have to be the
// same as well, and only a group of its own is one that it can get into; ptrace(2),
// "Ptrace access mode checking". It is c where the user namespace has no such group.
func (c *Credential) Apart() *Credential {
	text, _ := os.ReadFile("/proc/self/gid_map")
	return c.apart(string(text))
}

func (c *Credential) apart(mapped string) *Credential {
	for gid := uint32(highestGroup); gid > 0; gid-- {
		if gid != c.GID && !slices.Contains(c.Groups, gid) && hasID(mapped, gid) {
			return &Credential{UID: c.UID, GID: gid}
		}
	}
	return c
}

// hasID reports whether an id is in a map of ids: user_namespaces(7).
func hasID(mapped string, id uint32) bool {
	for line := range strings.Lines(mapped) {
		var inside, outside, length uint64
		if n, _ := fmt.Sscan(line, &inside, &outside, &length); n == 3 && uint64(id) >= inside && uint64(id) < inside+length {
			return true
		}
	}
	return false
}
