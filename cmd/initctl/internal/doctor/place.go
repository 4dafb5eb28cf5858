package doctor

import (
	"os"
	"strings"

	"server-starter/initd/socket"
)

// A place is where the program is examined.
type place struct {
	about       []string               // lines of the report
	isolated    bool                   // in namespaces of its own
	isElsewhere func(socket.Spec) bool // the listeners that cannot be at their address here
}

// here is the place where namespaces of its own are not possible, or not enough.
func here(refusal string) place {
	if os.Getpid() == 1 && nobodyListens(openSockets()) {
		return place{isElsewhere: onDisk, about: []string{
			"in this container's network, where nothing else listens", refusal}}
	}
	return place{isElsewhere: everywhere, about: []string{
		"in this network, on other sockets than those configured",
		refusal,
		"a server that checks the addresses of its sockets may reject them, and one that binds a port itself binds the real port",
	}}
}

// nobodyListens reports whether there is no listening socket in a network, as in
// that of a container that was made for the examination. Docker has its name
// server in some.
func nobodyListens(sockets []openSocket) bool {
	for _, s := range sockets {
		if !strings.HasPrefix(s.address, "127.0.0.11:") && s.network != "unix" {
			return false
		}
	}
	return true
}
