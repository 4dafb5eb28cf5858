package worker

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestParsePorts(t *testing.T) {
	for _, test := range []struct {
		ports string
		want  []item
	}{
		{"", nil},
		{"8080=3", []item{{"8080", 3}}},
		{"localhost:8080=0;[::1]:8080=4;53=5;53=6", []item{{"localhost:8080", 0}, {"[::1]:8080", 4}, {"53", 5}, {"53", 6}}},
		{"/run/a=b=3;@abstract=4", []item{{"/run/a=b", 3}, {"@abstract", 4}}},
	} {
		if got, err := parsePorts(test.ports); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: %v, %v", test.ports, got, err)
		}
	}
}

// FuzzParsePorts: what is understood is what was written, and nothing else is.
func FuzzParsePorts(f *testing.F) {
	for _, seed := range []string{"", "8080=3", "a=3;b=4", "/run/a=b=3", "[::1]:80=5;@x=6", "=3", "a=", "a=3;", "a=3;b=3", "a=-1", "a=03", "a=4294967296"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ports string) {
		items, err := parsePorts(ports)
		if err != nil {
			if items != nil {
				t.Errorf("%q: %v and %v", ports, items, err)
			}
			return
		}
		var again []string
		seen := map[int]bool{}
		for i, item := range items {
			if item.key == "" || item.fd < 0 || seen[item.fd] || strings.Contains(item.key, ";") {
				t.Errorf("%q: %q, %d", ports, item.key, item.fd)
			}
			seen[item.fd] = true
			// A number may have been written with zeros in front.
			text := strings.Split(ports, ";")[i]
			digits := text[len(item.key)+1:]
			if n, err := strconv.Atoi(digits); err != nil || n != item.fd || strings.Trim(digits, "0123456789") != "" {
				t.Errorf("%q: %q is %d", ports, digits, item.fd)
			}
			again = append(again, item.key+"="+digits)
		}
		if strings.Join(again, ";") != ports {
			t.Errorf("%q: %v", ports, items)
		}
	})
}
