// Package addresses reads the settings that name where to listen, whose grammar is
// that of package socket.
package addresses

import (
	"errors"
	"slices"

	"server-starter/initd/settings"
	"server-starter/initd/socket"
)

// Addresses are where there are to be sockets.
type Addresses struct {
	Workers       []socket.Spec
	HTTP, Control []socket.Spec // one each, or none
}

// Parse reads the addresses of s, and adds what is wrong with them to err, which
// is what else is wrong with the settings. The error is settings.Problems, unless
// err is another.
func Parse(s *settings.Settings, err error) (a Addresses, _ error) {
	var problems settings.Problems
	if err != nil && !errors.As(err, &problems) {
		return a, err
	}
	parse := func(name, text string, parse func(string) (socket.Spec, error)) (spec socket.Spec) {
		known := func(p settings.Problem) bool { return p.Setting == name && p.Value == text }
		spec, err := parse(text)
		if err != nil && !slices.ContainsFunc(problems, known) {
			problems = append(problems, settings.Problem{Reason: err.Error()})
		}
		return spec
	}
	for _, text := range s.Port {
		a.Workers = append(a.Workers, parse("port", text, socket.ParsePort))
	}
	for _, text := range s.Path {
		a.Workers = append(a.Workers, parse("path", text, socket.ParsePath))
	}
	if s.HTTP != "" {
		a.HTTP = []socket.Spec{parse("http", s.HTTP, socket.ParseHTTP)}
	}
	if s.ControlSocket != "" && s.ControlSocket != settings.NoControlSocket {
		a.Control = []socket.Spec{parse("control-socket", string(s.ControlSocket), socket.ParseControl)}
	}
	if err := socket.Distinct(a.Workers); err != nil && len(problems) == 0 {
		problems = settings.Problems{{Reason: err.Error()}}
	}
	if len(problems) > 0 {
		return Addresses{}, problems
	}
	return a, nil
}
