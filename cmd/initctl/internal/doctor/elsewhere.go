package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"server-starter/initd/socket"
)

// elsewhere are the sockets that are made in place of the real ones: on the
// loopback address, or in a temporary directory. The zero value is none.
type elsewhere struct {
	set *socket.Set
	dir string // of their files, if any
}

// Which listeners are elsewhere.
func nowhere(socket.Spec) bool    { return false }
func everywhere(socket.Spec) bool { return true }
func onDisk(spec socket.Spec) bool {
	return spec.Network == "unix" && !strings.HasPrefix(spec.Path, "@")
}

// open makes a socket for each of the specs.
func (s *elsewhere) open(specs []socket.Spec) (err error) {
	if len(specs) == 0 {
		return nil
	}
	var moved []socket.Spec
	for i, spec := range specs {
		at := socket.Spec{Network: spec.Network, Host: "127.0.0.1", FD: spec.FD}
		switch {
		case spec.Network == "unix":
			if s.dir == "" {
				dir := filepath.Join(os.TempDir(), fmt.Sprint("initctl-check-", os.Getpid()))
				if err := os.Mkdir(dir, 0o700); err != nil {
					return err
				}
				s.dir = dir
			}
			at.Path = filepath.Join(s.dir, fmt.Sprint(i))
		case strings.Contains(spec.Host, ":"):
			at.Host = "::1"
		}
		moved = append(moved, at)
	}
	s.set, err = socket.Open(moved, socket.Options{Mode: 0o600, UID: -1, GID: -1})
	return err
}

// files are those of a process that is passed the sockets, by the descriptor that
// it has each as, with the standard streams of this one. See Set.Files.
func (s *elsewhere) files() []uintptr {
	if s.set == nil {
		return []uintptr{0, 1, 2}
	}
	return s.set.Files(0)
}

func (s *elsewhere) close() {
	if s.set != nil {
		s.set.Close()
	}
	if s.dir != "" {
		os.Remove(s.dir)
	}
}

// listen makes a socket for each spec that is to be elsewhere, and returns the
// settings port and path by which the examined initd listens on all: it adopts
// those, by =fd, and binds the others.
func (e *examined) listen(specs []socket.Spec, isElsewhere func(socket.Spec) bool) (ports, paths []string, err error) {
	var moved []socket.Spec
	for _, spec := range specs {
		if isElsewhere(spec) {
			moved = append(moved, spec)
		}
	}
	if err := e.sockets.open(moved); err != nil {
		return nil, nil, err
	}
	n := 0
	for _, spec := range specs {
		if isElsewhere(spec) {
			l := e.sockets.set.All()[n]
			n++
			e.targets = append(e.targets, &target{key: spec.Key(), network: l.Network, address: l.Address, behaviour: silent})
			spec.FD = l.Number
		}
		if spec.Network == "unix" {
			paths = append(paths, spec.String())
		} else {
			ports = append(ports, spec.String())
		}
	}
	return ports, paths, nil
}
