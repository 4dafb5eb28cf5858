package socket

import (
	"strings"
	"testing"
)

func TestParsePort(t *testing.T) {
	for _, c := range []struct {
		text string
		want Spec
		key  string
	}{
		{"8080", Spec{Network: "tcp", Port: 8080, FD: -1}, "8080"},
		{" 8080\n", Spec{Network: "tcp", Port: 8080, FD: -1}, "8080"},
		{"0", Spec{Network: "tcp", FD: -1}, "0"},
		{"65535", Spec{Network: "tcp", Port: 65535, FD: -1}, "65535"},
		{":8080", Spec{Network: "tcp", Port: 8080, FD: -1}, "8080"},
		{"*:8080", Spec{Network: "tcp", Host: "*", Port: 8080, FD: -1}, "*:8080"},
		{"* : u53=4", Spec{Network: "udp", Host: "*", Port: 53, FD: 4}, "*:53"},
		{"8080=3", Spec{Network: "tcp", Port: 8080, FD: 3}, "8080"},
		{"8080 = 3", Spec{Network: "tcp", Port: 8080, FD: 3}, "8080"},
		{"8080=0", Spec{Network: "tcp", Port: 8080, FD: 0}, "8080"},
		{"8080=1023", Spec{Network: "tcp", Port: 8080, FD: 1023}, "8080"},
		{"u53", Spec{Network: "udp", Port: 53, FD: -1}, "53"},
		{"127.0.0.1:u53=4", Spec{Network: "udp", Host: "127.0.0.1", Port: 53, FD: 4}, "127.0.0.1:53"},
		{"localhost:8080", Spec{Network: "tcp", Host: "localhost", Port: 8080, FD: -1}, "localhost:8080"},
		{"Web_1.example.org : 80", Spec{Network: "tcp", Host: "Web_1.example.org", Port: 80, FD: -1}, "Web_1.example.org:80"},
		{"u:80", Spec{Network: "tcp", Host: "u", Port: 80, FD: -1}, "u:80"},
		{"[::1]:80", Spec{Network: "tcp", Host: "::1", Port: 80, FD: -1}, "[::1]:80"},
		{"[ ::1 ] : u53", Spec{Network: "udp", Host: "::1", Port: 53, FD: -1}, "[::1]:53"},
		{"::1:8080", Spec{Network: "tcp", Host: "::1", Port: 8080, FD: -1}, "[::1]:8080"},
		{":::8080=5", Spec{Network: "tcp", Host: "::", Port: 8080, FD: 5}, "[::]:8080"},
		{"2001:DB8::1:80", Spec{Network: "tcp", Host: "2001:DB8::1", Port: 80, FD: -1}, "[2001:DB8::1]:80"},
		{"[fe80::1%eth0.1]:80", Spec{Network: "tcp", Host: "fe80::1%eth0.1", Port: 80, FD: -1}, "[fe80::1%eth0.1]:80"},
		{"[127.0.0.1]:80", Spec{Network: "tcp", Host: "127.0.0.1", Port: 80, FD: -1}, "127.0.0.1:80"},
		{"/tmp/x.sock=4", Spec{Network: "unix", Path: "/tmp/x.sock", FD: 4, Handed: true}, "/tmp/x.sock"},
		{"./a:80=4", Spec{Network: "unix", Path: "./a:80", FD: 4, Handed: true}, "./a:80"},
		{"@app=4", Spec{Network: "unix", Path: "@app", FD: 4, Handed: true}, "@app"},
	} {
		got, err := ParsePort(c.text)
		if err != nil || got != c.want || got.Key() != c.key {
			t.Errorf("ParsePort(%q) = %#v with key %q, %v; want %#v with key %q", c.text, got, got.Key(), err, c.want, c.key)
		}
	}
}

func TestParsePortRefuses(t *testing.T) {
	for text, why := range map[string]string{
		"":                              "port is missing",
		"=3":                            "port is missing",
		"localhost:":                    "port is missing",
		"u":                             "port is missing",
		"65536":                         "port 65536 is above 65535",
		"u65536":                        "port 65536 is above 65535",
		"99999999999999999999":          "is above 65535",
		"-1":                            `port "-1" is not a number`,
		"+80":                           `port "+80" is not a number`,
		"8_0":                           `port "8_0" is not a number`,
		"0x50":                          `port "0x50" is not a number`,
		"U53":                           `port "U53" is not a number`,
		"http":                          `port "http" is not a number`,
		"80 80":                         `port "80 80" is not a number`,
		"8080=":                         "file descriptor after = is missing",
		"8080=x":                        `file descriptor after = "x" is not a number`,
		"8080=-1":                       `file descriptor after = "-1" is not a number`,
		"8080=3=4":                      `file descriptor after = "3=4" is not a number`,
		"8080=1024":                     "1024 is above 1023",
		"8080=1":                        "is 1, which is the worker's standard output or error",
		"8080=2":                        "is 2, which is the worker's standard output or error",
		"8080;9090":                     "';' is not allowed in an address",
		"8080\n9090":                    `'\n' is not allowed in an address`,
		"80\x0080":                      `'\x00' is not allowed in an address`,
		"::1":                           `":" is not an IPv6 address`,
		"[::1]":                         `port "1]" is not a number`,
		"[::1]8080":                     `port "1]8080" is not a number`,
		"[::1:80":                       "bracket [ is not closed before the port",
		"[::g]:80":                      `"::g" is not an IPv6 address`,
		"1:2:80":                        `"1:2" is not an IPv6 address`,
		"my host:80":                    `' ' is not allowed in a host name`,
		"[fe80::1%e]]:80":               `']' is not allowed in a host name`,
		"/tmp/x.sock":                   "a path belongs in SERVER_STARTER_PATH (--path)",
		"@x":                            "a path belongs in SERVER_STARTER_PATH (--path)",
		"tcp://10.0.0.1:80":             "a path belongs in SERVER_STARTER_PATH (--path)",
		"@=3":                           "the name is missing",
		strings.Repeat("/x", 60) + "=3": "120 bytes are too many: the path of a unix socket has at most 107",
	} {
		spec, err := ParsePort(text)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("ParsePort(%q) = %#v, %v; want an error saying %q", text, spec, err, why)
		} else if !strings.HasPrefix(err.Error(), "SERVER_STARTER_PORT (--port) ") || !strings.Contains(err.Error(), "such as 8080") {
			t.Errorf("ParsePort(%q): %v; want the setting and an example", text, err)
		}
	}
}

func TestParsePath(t *testing.T) {
	long := "/" + strings.Repeat("x", 106)
	for text, want := range map[string]Spec{
		"/run/app.sock":   {Network: "unix", Path: "/run/app.sock", FD: -1},
		" app.sock ":      {Network: "unix", Path: "app.sock", FD: -1},
		"/run/a:b c.sock": {Network: "unix", Path: "/run/a:b c.sock", FD: -1},
		"@app":            {Network: "unix", Path: "@app", FD: -1},
		"/run/x=5":        {Network: "unix", Path: "/run/x", FD: 5},
		long:              {Network: "unix", Path: long, FD: -1},
	} {
		got, err := ParsePath(text)
		if err != nil || got != want {
			t.Errorf("ParsePath(%q) = %#v, %v; want %#v", text, got, err, want)
		}
	}
	for text, why := range map[string]string{
		"":             "the name is missing",
		"@":            "the name is missing",
		"=3":           "the name is missing",
		long + "x":     "108 bytes are too many: the path of a unix socket has at most 107",
		"/run/a=b":     `"b" is not a number`,
		"/run/a=2":     "standard output or error",
		"/run/a;/run/": "';' is not allowed in an address",
		"/a\x00b":      "is not allowed in an address",
	} {
		spec, err := ParsePath(text)
		if err == nil || !strings.Contains(err.Error(), why) || !strings.HasPrefix(err.Error(), "SERVER_STARTER_PATH (--path) ") {
			t.Errorf("ParsePath(%q) = %#v, %v; want an error with the setting saying %q", text, spec, err, why)
		}
	}
}

// FuzzParse: whatever parses, prints as text that parses to the same, and its
// key can stand in SERVER_STARTER_PORT.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"8080", "localhost:u53=4", "[::1]:80", "::1:8080=3", "[fe80::1%eth0]:80", "/tmp/x.sock=4", "@app", "./a:80", "8080=3;9090"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, parse := range map[string]func(string) (Spec, error){"ParsePort": ParsePort, "ParsePath": ParsePath} {
			spec, err := parse(text)
			if err != nil {
				if spec != (Spec{}) {
					t.Errorf("%s(%q) = %#v beside %v", name, text, spec, err)
				}
				continue
			}
			again, err := parse(spec.String())
			if err != nil || again != spec {
				t.Errorf("%s(%q) = %#v, printed as %q, which parses to %#v, %v", name, text, spec, spec, again, err)
			}
			if key := spec.Key(); key == "" || strings.TrimSpace(key) != key || strings.ContainsAny(key, "=;\n\x00") {
				t.Errorf("%s(%q): key %q cannot stand in SERVER_STARTER_PORT", name, text, key)
			}
			if spec.Port < 0 || spec.Port > 65535 || len(spec.Path) > 107 || spec.FD < -1 || spec.FD == 1 || spec.FD == 2 || spec.FD > 1023 {
				t.Errorf("%s(%q) = %#v, out of bounds", name, text, spec)
			}
		}
	})
}
