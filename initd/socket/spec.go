package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

const (
	portForm = "[host:][u]port[=fd], such as 8080, *:8080, 127.0.0.1:8080, [::1]:8080, u53 or 8080=3"
	httpForm = "[host:]port, such as :9100, 127.0.0.1:9100 or [::1]:9100"
	pathForm = "path[=fd] or @name[=fd], such as /run/app.sock"

	// maxPath is the size of sun_path without its final NUL, in bytes (unix(7)).
	maxPath = 107
	// maxFD is the highest descriptor that select(2) can handle, and that any server
	// can therefore use; FD_SETSIZE is 1024.
	maxFD = 1023

	// everywhere is the host that stands for all addresses of IPv6 and IPv4, on one socket.
	everywhere = "*"
)

// A Spec is where to listen: one item of the settings port and path.
type Spec struct {
	Network string // "tcp", "udp" or "unix"
	Host    string // as given, IPv6 without brackets; "" is 0.0.0.0, "*" all addresses of IPv6 and IPv4
	Port    int    // 0 to 65535; the kernel chooses for 0
	Path    string // of a unix socket; "@name" is an abstract one
	FD      int    // the worker's file descriptor, -1 for the next free one

	// Handed means a unix socket that is in the port setting as PATH=fd.
	// start_server hands sockets down in the very variable that is initd's port
	// setting, and lists paths in it too. Such a socket is adopted, never made.
	Handed bool

	// Setting is the name of the setting, where it is neither port nor path.
	Setting string
}

// ParsePort parses an item of the port setting, [host:][u]port[=fd]. IPv6
// addresses need no brackets. It also accepts PATH=fd, see Spec.Handed. The
// error names the setting, the text and the form that is expected.
func ParsePort(text string) (Spec, error) {
	spec, err := parsePort(text)
	if err != nil {
		return Spec{}, fmt.Errorf("%s %q: %w; expected %s", setting(false), text, err, portForm)
	}
	return spec, nil
}

// ParsePath parses an item of the path setting: a path of at most 107 bytes, or
// @name for an abstract socket, either with =fd. The error is as ParsePort's.
func ParsePath(text string) (Spec, error) {
	spec, err := parsePath(text)
	if err != nil {
		return Spec{}, fmt.Errorf("%s %q: %w; expected %s", setting(true), text, err, pathForm)
	}
	return spec, nil
}

// Key is the Spec's name in SERVER_STARTER_PORT: the text given, trimmed, with
// neither u nor =fd.
func (s Spec) Key() string {
	port := strconv.Itoa(s.Port)
	switch {
	case s.Network == "unix":
		return s.Path
	case s.Host == "":
		return port
	}
	return net.JoinHostPort(s.Host, port)
}

// String is the text that parses to s.
func (s Spec) String() string {
	text := s.Key()
	if s.Network == "udp" {
		port := strings.LastIndexByte(text, ':') + 1
		text = text[:port] + "u" + text[port:]
	}
	if s.FD >= 0 {
		text += "=" + strconv.Itoa(s.FD)
	}
	return text
}

// ParseHTTP parses the http setting, [host:]port or :port: a TCP listener that is
// not for workers. The error is as ParsePort's.
func ParseHTTP(text string) (Spec, error) {
	spec, err := parsePort(text)
	if err == nil && (spec.Network != "tcp" || spec.FD >= 0) {
		err = errors.New("it must be a TCP port without u or =fd")
	}
	spec.Setting = "SERVER_STARTER_HTTP (--http)"
	if err != nil {
		return Spec{}, fmt.Errorf("%s %q: %w; expected %s", spec.Setting, text, err, httpForm)
	}
	return spec, nil
}

// ParseControl parses the control-socket setting, a path of at most 107 bytes. The
// error is as ParsePort's.
func ParseControl(path string) (Spec, error) {
	spec := Spec{Network: "unix", Path: path, FD: -1, Setting: "SERVER_STARTER_CONTROL_SOCKET (--control-socket)"}
	err := checkPath(path)
	if err == nil && abstract(path) {
		err = errors.New("an abstract socket has no file mode to restrict access")
	}
	if err != nil {
		return Spec{}, fmt.Errorf("%s %q: %w; expected a path, such as /run/initd.sock, or none", spec.Setting, path, err)
	}
	return spec, nil
}

func (s Spec) setting() string {
	if s.Setting != "" {
		return s.Setting
	}
	return setting(s.Network == "unix" && !s.Handed)
}

func setting(path bool) string {
	if path {
		return "SERVER_STARTER_PATH (--path)"
	}
	return "SERVER_STARTER_PORT (--port)"
}

func parsePort(text string) (Spec, error) {
	body, fd, err := cutFD(text)
	if err != nil {
		return Spec{}, err
	}
	if strings.HasPrefix(body, "@") || strings.Contains(body, "/") {
		if fd < 0 {
			return Spec{}, fmt.Errorf("a path belongs in %s", setting(true))
		}
		return Spec{Network: "unix", Path: body, FD: fd, Handed: true}, checkPath(body)
	}

	spec := Spec{Network: "tcp", FD: fd}
	host, port := "", body
	if colon := strings.LastIndexByte(body, ':'); colon >= 0 {
		host, port = strings.TrimSpace(body[:colon]), strings.TrimSpace(body[colon+1:])
	}
	if digits, found := strings.CutPrefix(port, "u"); found {
		spec.Network, port = "udp", digits
	}
	if spec.Port, err = number(port, 65535); err != nil {
		return Spec{}, fmt.Errorf("port %w", err)
	}
	spec.Host, err = parseHost(host)
	return spec, err
}

func parsePath(text string) (Spec, error) {
	body, fd, err := cutFD(text)
	if err != nil {
		return Spec{}, err
	}
	return Spec{Network: "unix", Path: body, FD: fd}, checkPath(body)
}

func checkPath(path string) error {
	switch {
	case path == "" || path == "@":
		return errors.New("the name is missing")
	case len(path) > maxPath:
		return fmt.Errorf("%d bytes are too many: the path of a unix socket has at most %d", len(path), maxPath)
	}
	return nil
}

func parseHost(host string) (string, error) {
	if inner, found := strings.CutPrefix(host, "["); found {
		if inner, found = strings.CutSuffix(inner, "]"); !found {
			return "", errors.New("the bracket [ is not closed before the port")
		}
		host = strings.TrimSpace(inner)
	}
	if host == everywhere {
		return host, nil
	}
	name := host
	if strings.Contains(host, ":") {
		address, err := netip.ParseAddr(host)
		if err != nil {
			return "", fmt.Errorf("%q is not an IPv6 address", host)
		}
		name = address.Zone()
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", r) {
			return "", fmt.Errorf("%q is not allowed in a host name", r)
		}
	}
	return host, nil
}

// cutFD cuts =fd off and trims. The equals sign and the semicolon are the
// punctuation of SERVER_STARTER_PORT, in which nothing is escaped: a path that
// has one could not be passed to a worker.
func cutFD(text string) (body string, fd int, err error) {
	body, digits, found := strings.Cut(strings.TrimSpace(text), "=")
	body = strings.TrimSpace(body)
	if i := strings.IndexAny(body, ";\n\x00"); i >= 0 {
		return "", -1, fmt.Errorf("%q is not allowed in an address", body[i])
	}
	if !found {
		return body, -1, nil
	}
	if fd, err = number(strings.TrimSpace(digits), maxFD); err != nil {
		return "", -1, fmt.Errorf("the file descriptor after = %w", err)
	}
	if fd == 1 || fd == 2 {
		return "", -1, fmt.Errorf("the file descriptor after = is %d, which is the worker's standard output or error", fd)
	}
	return body, fd, nil
}

// number parses decimal digits and nothing else: no sign, no underscore.
func number(digits string, most int) (int, error) {
	n, err := strconv.ParseUint(digits, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax) && digits == "":
		return 0, errors.New("is missing")
	case errors.Is(err, strconv.ErrSyntax):
		return 0, fmt.Errorf("%q is not a number", digits)
	case err != nil || n > uint64(most):
		return 0, fmt.Errorf("%s is above %d", digits, most)
	}
	return int(n), nil
}
