package settings

import (
	"reflect"
	"testing"
)

func TestOutput(t *testing.T) {
	for _, test := range []struct {
		text string
		want Output
	}{
		{"", Output{}},
		{"app.log", Output{File: "app.log"}},
		{"/var/log/a|b.log", Output{File: "/var/log/a|b.log"}},
		{"|cat >x", Output{Command: []string{"/bin/sh", "-c", "cat >x"}}},
		{"| \t cronolog /x", Output{Command: []string{"/bin/sh", "-c", "cronolog /x"}}},
		{`| ["cronolog", "/x y"]`, Output{Command: []string{"cronolog", "/x y"}}},
	} {
		var got Output
		if err := got.Set(test.text); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: got %+v, %v", test.text, got, err)
		}
		if got.IsZero() != (test.text == "") {
			t.Errorf("%q: IsZero is %v", test.text, got.IsZero())
		}
	}
	for _, text := range []string{"|", "|  ", "| [1]"} {
		if err := new(Output).Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
