package socket

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// The protocols by which workers learn of their listeners. Each has its own
// variables; see Environ.
const (
	ServerStarter = "server-starter"
	Systemd       = "systemd"
	Nginx         = "nginx"
	PHPFPM        = "php-fpm"
	Unicorn       = "unicorn"
	Puma          = "puma"
	Bind          = "bind" // it has no variable: see Bindable
)

// Environ returns the variables of the chosen protocols as K=V. A variable that
// would name no listener is left out, except SERVER_STARTER_PORT. LISTEN_PID is
// missing: only the worker itself knows its pid.
func (s *Set) Environ(protocols []string) []string {
	var environ []string
	set := func(name, value string) { environ = append(environ, name+"="+value) }
	for _, protocol := range protocols {
		switch protocol {
		case ServerStarter:
			set("SERVER_STARTER_PORT", s.list(";", func(l Listener) string {
				if l.Network == "" {
					return ""
				}
				return fmt.Sprintf("%s=%d", l.Key, l.Number)
			}))
		case Systemd:
			if names := s.run(); len(names) > 0 {
				set("LISTEN_FDS", strconv.Itoa(len(names)))
				set("LISTEN_FDNAMES", strings.Join(names, ":"))
			}
		case Nginx:
			// NGINX_VAR of nginx.c: each number ends in a semicolon. nginx asks the
			// socket for its type and address.
			if numbers := s.list("", func(l Listener) string {
				if l.Network != "tcp" && l.Network != "udp" && l.Network != "unix" {
					return ""
				}
				return strconv.Itoa(l.Number) + ";"
			}); numbers != "" {
				set("NGINX", numbers)
			}
		case PHPFPM:
			if sockets := s.list(",", fpmSocket); sockets != "" {
				set("FPM_SOCKETS", sockets)
			}
		case Unicorn:
			if numbers := s.list(",", func(l Listener) string {
				if l.Network != "tcp" && l.Network != "unix" {
					return ""
				}
				return strconv.Itoa(l.Number)
			}); numbers != "" {
				set("UNICORN_FD", numbers)
			}
		case Puma:
			n := 0
			for _, l := range s.all() {
				if url := pumaURL(l); url != "" {
					set("PUMA_INHERIT_"+strconv.Itoa(n), strconv.Itoa(l.Number)+":"+url)
					n++
				}
			}
		}
	}
	return environ
}

// list joins the items of the listeners. Empty ones are left out.
func (s *Set) list(separator string, itemOf func(Listener) string) string {
	var items []string
	for _, l := range s.all() {
		if item := itemOf(l); item != "" {
			items = append(items, item)
		}
	}
	return strings.Join(items, separator)
}

// run returns the names of the listeners from 3 up to the first gap: LISTEN_FDS can
// name no others (sd_listen_fds(3)).
func (s *Set) run() []string {
	byNumber := map[int]Listener{}
	for _, l := range s.all() {
		byNumber[l.Number] = l
	}
	var names []string
	for {
		l, found := byNumber[listenFDsStart+len(names)]
		if !found {
			return names
		}
		names = append(names, l.fdName())
	}
}

// fdName is the listener's name in LISTEN_FDNAMES: the one it came with, or
// network-host-port, or network-path. A name has at most 255 characters of
// printable ASCII without the colon (sd_pid_notify_with_fds(3), FDNAME).
func (l Listener) fdName() string {
	name := l.name
	switch {
	case name != "":
	case l.Network == "":
		name = "unknown"
	default:
		name = l.Key
		if l.at.IsValid() {
			if colon := strings.LastIndexByte(name, ':'); colon >= 0 {
				name = strings.Trim(name[:colon], "[]") + "-" + name[colon+1:]
			}
		}
		name = l.Network + "-" + name
	}
	clean := []byte(name)
	for i, c := range clean {
		if c < ' ' || c >= 0x7f || c == ':' {
			clean[i] = '_'
		}
	}
	return string(clean[:min(len(clean), 255)])
}

// fpmSocket is an item of FPM_SOCKETS. php-fpm compares it with the address
// that its own listen resolves to, as inet_ntop(3) and a port, IPv6 without
// brackets (fpm_sockets.c, fpm_sockets_hash_op). Unix sockets are left out: a
// retiring php-fpm unlinks the path at which its successor is to be reached, and
// one that does not use an inherited path unlinks it at once.
func fpmSocket(l Listener) string {
	if l.Network != "tcp" {
		return ""
	}
	return fmt.Sprintf("%s:%d=%d", l.at.Addr().WithZone(""), l.at.Port(), l.Number)
}

// pumaURL is what puma compares with the text of its own bind (binder.rb), so that
// it has the host as it was given.
func pumaURL(l Listener) string {
	switch {
	case l.Network == "tcp" && l.host != "":
		return "tcp://" + net.JoinHostPort(l.host, strconv.Itoa(int(l.at.Port())))
	case l.Network == "tcp":
		return "tcp://" + l.Address
	case l.Network == "unix":
		return "unix://" + strings.ReplaceAll(l.Address, " ", "%20")
	}
	return ""
}

// Scrub returns environ without the variables of all protocols: those by which
// another superdaemon described its sockets to initd name none that workers have.
func Scrub(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		switch {
		case name == "SERVER_STARTER_PORT", name == "SERVER_STARTER_GENERATION",
			name == "LISTEN_PID", name == "LISTEN_PIDFDID", name == "LISTEN_FDS", name == "LISTEN_FDNAMES",
			name == "NGINX", name == "UNICORN_FD",
			name == "FPM_SOCKETS", strings.HasPrefix(name, "FPM_SOCKETS_"),
			strings.HasPrefix(name, "PUMA_INHERIT_"):
		default:
			kept = append(kept, entry)
		}
	}
	return kept
}
