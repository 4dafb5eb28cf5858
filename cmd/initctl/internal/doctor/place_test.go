package doctor

import (
	"os"
	"slices"
	"strings"
	"testing"

	"server-starter/initd/socket"
)

func TestNobodyListens(t *testing.T) {
	for _, test := range []struct {
		name    string
		sockets []openSocket
		want    bool
	}{
		{"nobody", nil, true},
		{"Docker's name server", []openSocket{{network: "tcp", address: "127.0.0.11:34567"}, {network: "udp", address: "127.0.0.11:45678"}}, true},
		{"unix", []openSocket{{network: "unix", address: "/run/x"}}, true},
		{"a server", []openSocket{{network: "tcp", address: "0.0.0.0:80"}}, false},
		{"a name server", []openSocket{{network: "udp", address: "127.0.0.1:53"}}, false},
	} {
		if got := nobodyListens(test.sockets); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// TestHere: beside others the sockets are elsewhere, and the report has why.
func TestHere(t *testing.T) {
	p := here("not permitted")
	if p.isolated || len(p.about) != 3 || p.about[0] != "in this network, on other sockets than those configured" || p.about[1] != "not permitted" {
		t.Errorf("%+v", p)
	}
	for _, spec := range []socket.Spec{{Network: "tcp"}, {Network: "unix", Path: "/x"}, {Network: "unix", Path: "@x"}} {
		if !p.isElsewhere(spec) {
			t.Errorf("%v is not elsewhere", spec)
		}
		if onDisk(spec) != strings.HasPrefix(spec.Path, "/") {
			t.Errorf("%v is a file: %v", spec, onDisk(spec))
		}
	}
}

// TestElsewhere: the sockets that cannot be at their address are made elsewhere,
// and an initd is told of them by =fd and by their real names.
func TestElsewhere(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var specs []socket.Spec
	for _, port := range []string{"8080", "127.0.0.9:u53=57"} {
		spec, err := socket.ParsePort(port)
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, spec)
	}
	for _, path := range []string{"/run/app.sock", "@app"} {
		spec, err := socket.ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, spec)
	}
	e := new(examined)
	ports, paths, err := e.listen(specs, onDisk)
	if err != nil || !slices.Equal(ports, []string{"8080", "127.0.0.9:u53=57"}) || len(paths) != 2 || paths[0] != "/run/app.sock=3" || paths[1] != "@app" {
		t.Errorf("of those on disk: %q, %q, %v", ports, paths, err)
	}
	if len(e.targets) != 1 || e.targets[0].key != "/run/app.sock" || !strings.HasPrefix(e.targets[0].address, os.TempDir()) {
		t.Errorf("the listeners are %+v", e.targets)
	}
	e.close()
	if left := listing(t, os.TempDir()); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}

	e = new(examined)
	ports, paths, err = e.listen(specs, everywhere)
	if err != nil || !slices.Equal(ports, []string{"8080=3", "127.0.0.9:u53=57"}) || !slices.Equal(paths, []string{"/run/app.sock=4", "@app=5"}) {
		t.Errorf("of all: %q, %q, %v", ports, paths, err)
	}
	if files := e.sockets.files(); len(files) != 58 || files[3] == 0 || files[57] == 0 || files[6] != ^uintptr(0) {
		t.Errorf("they are passed as %v", files)
	}
	e.close()

	e = new(examined)
	if _, _, err := e.listen(specs, nowhere); err != nil || len(e.targets) != 0 || len(e.sockets.files()) != 3 {
		t.Errorf("of none: %v, %v", e, err)
	}
	e.close()
}

// TestEnvironment: what is meant for this process or for its supervisor is not
// passed on.
func TestEnvironment(t *testing.T) {
	for _, name := range []string{"SERVER_STARTER_PORT", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "OTHER"} {
		t.Setenv(name, "1")
	}
	var kept []string
	for _, kv := range environment() {
		for _, name := range []string{"SERVER_STARTER_", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "OTHER"} {
			if strings.HasPrefix(kv, name) {
				kept = append(kept, kv)
			}
		}
	}
	if !slices.Equal(kept, []string{"OTHER=1"}) {
		t.Errorf("it keeps %q", kept)
	}
}
