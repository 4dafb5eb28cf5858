package addresses

import (
	"errors"
	"strings"
	"testing"

	"server-starter/initd/settings"
)

func TestParse(t *testing.T) {
	other := settings.Problems{{Setting: "interval", Reason: "is wrong"}}
	known := settings.Problems{{Setting: "port", Value: "x", Reason: "is made by Kubernetes"}}
	for _, test := range []struct {
		name     string
		settings settings.Settings
		err      error
		found    [3]int // listeners of workers, HTTP, the control socket
		usage    bool   // it is an error of usage
		want     string // what it has
	}{
		{"none", settings.Settings{}, nil, [3]int{}, false, ""},
		{"all", settings.Settings{Port: []string{"8080", "[::1]:u53=3"}, Path: []string{"/run/app.sock"}, HTTP: ":9100", ControlSocket: "/run/c.sock"}, nil, [3]int{3, 1, 1}, false, ""},
		{"no control socket", settings.Settings{ControlSocket: settings.NoControlSocket}, nil, [3]int{}, false, ""},
		{"wrong", settings.Settings{Port: []string{"x"}}, nil, [3]int{}, true, `port "x" is not a number`},
		{"wrong, too", settings.Settings{Port: []string{"x"}}, other, [3]int{}, true, "interval: is wrong"},
		{"known to be wrong", settings.Settings{Port: []string{"x"}}, known, [3]int{}, true, "made by Kubernetes"},
		{"something else is wrong", settings.Settings{Port: []string{"8080"}}, other, [3]int{}, true, "interval: is wrong"},
		{"impossible", settings.Settings{Port: []string{"8080", "99999"}}, nil, [3]int{}, true, "99999"},
		{"path too long", settings.Settings{Path: []string{"/" + strings.Repeat("x", 107)}}, nil, [3]int{}, true, "108 bytes"},
		{"twice", settings.Settings{Port: []string{"8080", "8080"}}, nil, [3]int{}, true, "listed twice"},
		{"one descriptor twice", settings.Settings{Port: []string{"8080=5", "8081=5"}}, nil, [3]int{}, true, "is already used by"},
		{"any port twice", settings.Settings{Port: []string{"0", "0"}}, nil, [3]int{2}, false, ""},
		{"impossible, and wrong", settings.Settings{Port: []string{"99999", "x"}}, nil, [3]int{}, true, "99999"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, err := Parse(&test.settings, test.err)
			if got := [3]int{len(a.Workers), len(a.HTTP), len(a.Control)}; got != test.found {
				t.Errorf("found %v, not %v", got, test.found)
			}
			if errors.As(err, new(settings.Problems)) != test.usage || (err != nil) != (test.want != "") {
				t.Fatalf("the error is %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q does not have %q", err, test.want)
			}
			if test.name == "known to be wrong" && strings.Contains(err.Error(), "no number") {
				t.Errorf("it is told twice: %v", err)
			}
		})
	}
}
