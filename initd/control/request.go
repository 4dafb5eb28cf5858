package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// Parse parses a line of a client. The error is one line of bounded length for people,
// with what is wrong and what was expected. The request then still has its ID, if that
// could be read.
func Parse(line []byte) (r Request, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Request{ID: r.ID}, fmt.Errorf(`%s; expected one JSON object per line, such as {"request":"status"}`, wrong(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return Request{ID: r.ID}, errors.New("unexpected data after the JSON object; expected one object per line")
	}
	if err := checkNames(line); err != nil {
		return Request{ID: r.ID}, err
	}
	return r, r.check()
}

// fieldNames are those of a Request.
var fieldNames = func() (names []string) {
	for f := range reflect.TypeFor[Request]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}()

// checkNames checks the names of the fields of an object that was decoded: encoding/json
// takes them in any case, and the last of two.
func checkNames(line []byte) error {
	d := json.NewDecoder(bytes.NewReader(line))
	var seen []string
	for d.Token(); d.More(); { // the first is the brace
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		switch {
		case !slices.Contains(fieldNames, name):
			return fmt.Errorf("unknown field %.40q", name)
		case slices.Contains(seen, name):
			return fmt.Errorf("%q is given twice", name)
		}
		seen = append(seen, name)
		if err := d.Decode(new(json.RawMessage)); err != nil {
			return err
		}
	}
	return nil
}

// wrong is the decoder's error in terms of the protocol instead of Go's.
func wrong(err error) string {
	var typed *json.UnmarshalTypeError
	switch {
	case errors.As(err, &typed) && typed.Field != "":
		return fmt.Sprintf("%q has a value of the wrong type: %.40s", typed.Field, typed.Value)
	case errors.As(err, &typed):
		return fmt.Sprintf("the line is not a JSON object: %.40s", typed.Value)
	case errors.Is(err, io.EOF):
		return "the line is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the JSON is incomplete"
	}
	return fmt.Sprintf("%.80s", strings.TrimPrefix(err.Error(), "json: ")) // it quotes what is no text
}

// takes are the requests that exist, and the fields that each may have.
var takes = map[string][]string{
	AskHealth:      {},
	AskStatus:      {},
	AskSwap:        {"wait"},
	AskAwait:       {"ticket"},
	AskStop:        {"signal"},
	AskScale:       {"workers"},
	AskSignal:      {"signal", "generation", "slot"},
	AskSubscribe:   {},
	AskEnvironment: {"generation", "values"},
	AskSettings:    {},
}

// maxSignal bounds the name of a signal, in bytes: SIGRTMIN+15 is the longest.
const maxSignal = 16

// check finds what is invalid in any state of initd.
func (r Request) check() error {
	fields, known := takes[r.Request]
	if !known {
		names := make([]string, 0, len(takes))
		for name := range takes {
			names = append(names, name)
		}
		slices.Sort(names)
		return fmt.Errorf("unknown request %.40q; expected one of %s", r.Request, strings.Join(names, ", "))
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"wait", r.Wait}, {"ticket", r.Ticket != 0}, {"workers", r.Workers != 0}, {"signal", r.Signal != ""},
		{"generation", r.Generation != 0}, {"slot", r.Slot != nil}, {"values", r.Values},
	} {
		if f.given && !slices.Contains(fields, f.name) {
			return fmt.Errorf("%s does not take %q", r.Request, f.name)
		}
	}
	switch {
	case r.Request == AskAwait && r.Ticket < 1:
		return errors.New(`await needs a "ticket" of 1 or more, as in the answer to swap`)
	case r.Request == AskScale && r.Workers < 1:
		return errors.New(`scale needs "workers" of 1 or more`)
	case r.Request == AskSignal && r.Signal == "":
		return errors.New(`signal needs a "signal", such as "USR1"`)
	case len(r.Signal) > maxSignal:
		return fmt.Errorf("unknown signal %.40q", r.Signal)
	case r.Generation < 0:
		return errors.New(`"generation" must be 1 or more`)
	case r.Slot != nil && *r.Slot < 0:
		return errors.New(`"slot" must be 0 or more`)
	}
	return nil
}

// waits reports whether further answers may follow the first one.
func (r Request) waits() bool {
	return r.Request == AskSubscribe || r.Request == AskAwait || r.Request == AskSwap && r.Wait
}
