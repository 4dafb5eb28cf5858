package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"server-starter/initd/control"
)

func TestStatus(t *testing.T) {
	for _, name := range []string{"starting", "pool", "failed"} {
		f := newFake(t, once(func(control.Request) control.Answer { return control.Answer{Status: sample(t, name)} }))
		for form, args := range map[string][]string{
			"table": {"status"},
			"wide":  {"status", "--wide"},
			"json":  {"status", "--json"},
		} {
			t.Run(name+"/"+form, func(t *testing.T) {
				r := invoke(t, f.path, args...)
				if r.status != 0 || r.stderr != "" {
					t.Fatalf("status %d: %s", r.status, r.stderr)
				}
				golden(t, "status/"+name+"."+form, r.stdout)
				if strings.Contains(r.stdout, "\x1b") {
					t.Error("an escape sequence where there is no terminal")
				}
				for line := range strings.Lines(r.stdout) {
					if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); form == "table" && n > narrow {
						t.Errorf("a line of %d columns: %s", n, line)
					}
				}
			})
		}
	}
}

func TestColours(t *testing.T) {
	var b strings.Builder
	view{sample(t, "failed"), true, false}.write(&b)
	for _, want := range []string{"\x1b[32mready, generation 1 is serving\x1b[m", "\x1b[31mfailed\x1b[m"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%q", want, b.String())
		}
	}
	var bare strings.Builder
	view{sample(t, "failed"), false, false}.write(&bare)
	stripped := b.String()
	for _, c := range []colour{bold, dim, red, green, yellow, blue} {
		stripped = strings.ReplaceAll(stripped, "\x1b["+string(c)+"m", "")
	}
	if stripped = strings.ReplaceAll(stripped, "\x1b[m", ""); stripped != bare.String() {
		t.Errorf("colours move what is shown:\n%s\nwithout:\n%s", stripped, bare.String())
	}
}
