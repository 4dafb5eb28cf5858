package main_test

import "testing"

// TestCheckHasMoved: whoever still asks initd to examine a command is sent to initctl, whatever else is right or wrong.
func TestCheckHasMoved(t *testing.T) {
	for _, args := range [][]string{
		flags([]string{"true"}, "check", "port=8080"),
		{"--check"},
		flags([]string{"true"}, "check", "port=x"),
	} {
		d := run{mode: subreaper, args: args}.start(t)
		d.exits(64)
		if got, want := d.output(), "initd: --check has moved: run initctl check [settings] -- command"; got != want {
			t.Errorf("%q: it says %q, not %q", args, got, want)
		}
	}
}
