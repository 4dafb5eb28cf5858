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
// is what else is wrong with the settings. The error is settings.Problems; or
// another, if all is well written but some can never be bound.
func Parse(s *settings.Settings, err error) (a Addresses, _ error) {
	var problems settings.Problems
	if err != nil && !errors.As(err, &problems) {
		return a, err
	}
	var impossible []error
	parse := func(name, text string, parse func(string) (socket.Spec, error)) (spec socket.Spec) {
		known := func(p settings.Problem) bool { return p.Setting == name && p.Value == text }
		spec, err := parse(text)
		switch {
		case slices.ContainsFunc(problems, known):
		case errors.Is(err, socket.ErrRange):
			impossible = append(impossible, err)
		case err != nil:
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
	switch {
	case len(problems) > 0:
		for _, err := range impossible {
			problems = append(problems, settings.Problem{Reason: err.Error()})
		}
		return Addresses{}, problems
	case len(impossible) > 0:
		return Addresses{}, errors.Join(impossible...)
	}
	return a, nil
}
