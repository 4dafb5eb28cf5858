package socket

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"server-starter/initd/settings"
)

var protocols = []string{ServerStarter, Systemd, Nginx, PHPFPM, Unicorn, Puma, Bind}

func TestEnviron(t *testing.T) {
	at := netip.MustParseAddrPort
	set := &Set{listeners: []Listener{
		{Key: "8080", Network: "tcp", Address: "0.0.0.0:8080", Number: 3, host: "0.0.0.0", at: at("0.0.0.0:8080")},
		{Key: "localhost:81", Network: "tcp", Address: "127.0.0.1:81", Number: 4, host: "localhost", at: at("127.0.0.1:81")},
		{Key: "[::1]:82", Network: "tcp", Address: "[::1]:82", Number: 9, host: "::1", at: at("[::1]:82")},
		{Key: "53", Network: "udp", Address: "0.0.0.0:53", Number: 5, host: "0.0.0.0", at: at("0.0.0.0:53")},
		{Key: "/run/a b.sock", Network: "unix", Address: "/run/a b.sock", Number: 6},
		{Key: "@app", Network: "unix", Address: "@app", Number: 0},
		{Key: "web", Network: "tcp", Address: "[::]:83", Number: 7, at: at("[::]:83"), name: "web"},
		{Key: "stored", Number: 8, name: "stored"},
		{Key: "[fe80::1%eth0]:84", Network: "tcp", Address: "[fe80::1%eth0]:84", Number: 11, host: "fe80::1%eth0", at: at("[fe80::1%eth0]:84")},
	}}
	for protocol, want := range map[string][]string{
		ServerStarter: {"SERVER_STARTER_PORT=8080=3;localhost:81=4;[::1]:82=9;53=5;/run/a b.sock=6;@app=0;web=7;[fe80::1%eth0]:84=11"},
		Systemd:       {"LISTEN_FDS=7", "LISTEN_FDNAMES=tcp-8080:tcp-localhost-81:udp-53:unix-/run/a b.sock:web:stored:tcp-__1-82"},
		Nginx:         {"NGINX=3;4;9;5;6;0;7;11;"},
		PHPFPM:        {"FPM_SOCKETS=0.0.0.0:8080=3,127.0.0.1:81=4,::1:82=9,:::83=7,fe80::1:84=11"},
		Unicorn:       {"UNICORN_FD=3,4,9,6,0,7,11"},
		Puma: {"PUMA_INHERIT_0=3:tcp://0.0.0.0:8080", "PUMA_INHERIT_1=4:tcp://localhost:81", "PUMA_INHERIT_2=9:tcp://[::1]:82",
			"PUMA_INHERIT_3=6:unix:///run/a%20b.sock", "PUMA_INHERIT_4=0:unix://@app", "PUMA_INHERIT_5=7:tcp://[::]:83",
			"PUMA_INHERIT_6=11:tcp://[fe80::1%eth0]:84"},
		"klingon": nil,
	} {
		if got := set.Environ([]string{protocol}); !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", protocol, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// The examples that users read are what workers get.
func TestEnvironIsDocumented(t *testing.T) {
	set := &Set{listeners: []Listener{
		{Key: "8080", Network: "tcp", Address: "0.0.0.0:8080", Number: 3, host: "0.0.0.0", at: netip.MustParseAddrPort("0.0.0.0:8080")},
		{Key: "/run/app.sock", Network: "unix", Address: "/run/app.sock", Number: 4},
	}}
	var documented []string
	for _, p := range settings.ExportProtocols {
		documented = append(documented, p.Name)
		example := strings.Replace(p.Example, " LISTEN_PID=…,", "", 1) // which only the worker itself knows
		if got := strings.Join(set.Environ([]string{p.Name}), ", "); got != example {
			t.Errorf("%s: %s\nis documented as\n%s", p.Name, got, example)
		}
	}
	if !slices.Equal(documented, protocols) {
		t.Errorf("documented: %q", documented)
	}
}

func TestEnvironEmpty(t *testing.T) {
	if got := new(Set).Environ(protocols); !slices.Equal(got, []string{"SERVER_STARTER_PORT="}) {
		t.Errorf("without listeners %q, want an empty SERVER_STARTER_PORT alone", got)
	}
	if got := new(Set).Environ(nil); len(got) > 0 {
		t.Errorf("without protocols %q", got)
	}
	// From 3 up without a gap there is none.
	set := &Set{listeners: []Listener{{Key: "80", Network: "tcp", Number: 4}}}
	if got := set.Environ([]string{Systemd}); len(got) > 0 {
		t.Errorf("with a gap at 3 %q", got)
	}
}

func TestFDName(t *testing.T) {
	for _, c := range []struct {
		l    Listener
		want string
	}{
		{Listener{Network: "unix", Key: "/run/a:b.sock"}, "unix-/run/a_b.sock"},
		{Listener{Network: "unix", Key: "/run/\xc3\xa4\t"}, "unix-/run/___"},
		{Listener{name: strings.Repeat("n", 300)}, strings.Repeat("n", 255)},
		{Listener{}, "unknown"},
	} {
		if got := c.l.fdName(); got != c.want {
			t.Errorf("%+v is named %q, want %q", c.l, got, c.want)
		}
	}
}

// Scrub knows every variable that Environ can set.
func TestScrub(t *testing.T) {
	set := &Set{listeners: []Listener{{Key: "/s", Network: "unix", Address: "/s", Number: 3},
		{Key: "80", Network: "tcp", Number: 4, at: netip.MustParseAddrPort("0.0.0.0:80")}}}
	kept := []string{"PATH=/bin", "SERVER_STARTER_WORKER=0", "NGINX_HOST=x", "LISTEN=1", "PUMA_WORKERS=2", "EMPTY=", "odd", "FPM_SOCKETSX=1"}
	told := append(set.Environ(protocols), "LISTEN_PID=1", "LISTEN_PIDFDID=1", "FPM_SOCKETS_1=x", "SERVER_STARTER_GENERATION=1", "PUMA_INHERIT_12=")
	if len(told) != 13 {
		t.Fatalf("Environ: %q", told)
	}
	if got := Scrub(slices.Concat(kept[:4], told, kept[4:])); !slices.Equal(got, kept) {
		t.Errorf("Scrub kept %q, want %q", got, kept)
	}
}
