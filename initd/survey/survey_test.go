package survey

import (
	"errors"
	"maps"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/socket"
)

// listeners opens "port TEXT" and "path TEXT".
func listeners(t testing.TB, items ...string) []socket.Listener {
	t.Helper()
	var specs []socket.Spec
	for _, item := range items {
		kind, text, _ := strings.Cut(item, " ")
		parse := socket.ParsePort
		if kind == "path" {
			parse = socket.ParsePath
		}
		spec, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, spec)
	}
	set, err := socket.Open(specs, socket.Options{Mode: 0o777, UID: -1, GID: -1})
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skipf("no IPv6: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set.All()
}

func dial(t testing.TB, l socket.Listener, number int) (clients []net.Conn) {
	t.Helper()
	for range number {
		conn, err := net.Dial(l.Network, l.Address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		clients = append(clients, conn)
	}
	return clients
}

// expect takes surveys until one is as wanted.
func expect(t *testing.T, r Request, want map[int]Worker) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		got, err := Take(r)
		if err == nil && maps.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("Take() = %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestConnections(t *testing.T) {
	for name, item := range map[string]string{
		"IPv4": "port 127.0.0.1:0", "any IPv4": "port 0", "IPv6": "port [::1]:0", "path": "path " + t.TempDir() + "/s", "abstract": "path @" + t.TempDir(),
	} {
		t.Run(name, func(t *testing.T) {
			all := listeners(t, item, "port 127.0.0.1:0", "port 127.0.0.1:u0", "path @other"+t.TempDir())
			l := all[0]
			a := dial(t, l, 3)
			first := started(t, "hold 3", l.FD, nil)
			b := dial(t, l, 2)
			second := started(t, "hold 2", l.FD, nil)
			dial(t, l, 1) // which nobody accepts
			idle := started(t, "hold 0", l.FD, nil)
			r := Request{Facts: Connections, PIDs: []int{first.pid, second.pid, idle.pid}, Listeners: all}
			d := r
			d.Facts = Disconnects

			const both = Connections | Disconnects
			expect(t, r, map[int]Worker{first.pid: {Known: Connections, Open: 3}, second.pid: {Known: Connections, Open: 2}, idle.pid: {Known: Connections}})
			if l.Network == "tcp" {
				expect(t, d, map[int]Worker{first.pid: {Known: Disconnects}, second.pid: {Known: Disconnects}, idle.pid: {Known: Disconnects}})
			}
			// A half-closed connection is known from a closed one only with unix sockets.
			half := 1
			if l.Network == "unix" {
				half = 0
			}
			b[0].(interface{ CloseWrite() error }).CloseWrite()
			expect(t, r, map[int]Worker{first.pid: {Known: Connections, Open: 3}, second.pid: {Known: Connections, Open: 2, Closed: half}, idle.pid: {Known: Connections}})
			a[1].Close()
			a[2].Close()
			want := map[int]Worker{first.pid: {Known: both, Open: 3, Closed: 2}, second.pid: {Known: both, Open: 2, Closed: half}, idle.pid: {Known: both}}
			expect(t, d, want)
			r.Facts |= Disconnects
			expect(t, r, want)

			none := Request{Facts: both, PIDs: r.PIDs, Listeners: all[1:]}
			expect(t, none, map[int]Worker{first.pid: {Known: both}, second.pid: {Known: both}, idle.pid: {Known: both}})
		})
	}
}

// Other connections of the machine, and those of a worker to others, do not count.
func TestForeign(t *testing.T) {
	all := listeners(t, "port 127.0.0.1:0")
	// One of the same port at another address, and a worker that has its connection.
	_, port, _ := net.SplitHostPort(all[0].Address)
	same := listeners(t, "port 127.0.0.2:"+port)[0]
	dial(t, same, 1)
	elsewhere := started(t, "hold 1", same.FD, nil)
	started(t, "foreign 3000", all[0].FD, nil)
	other := started(t, "foreign 50", all[0].FD, nil)
	dial(t, all[0], 1)
	p := started(t, "hold 1", all[0].FD, nil)
	expect(t, Request{Facts: Connections, PIDs: []int{p.pid, other.pid, elsewhere.pid}, Listeners: all},
		map[int]Worker{p.pid: {Known: Connections, Open: 1}, other.pid: {Known: Connections}, elsewhere.pid: {Known: Connections}})
}

func TestDescendants(t *testing.T) {
	all := listeners(t, "port 127.0.0.1:0")
	clients := dial(t, all[0], 2)
	p := started(t, "fork 2", all[0].FD, nil)
	r := Request{Facts: Connections, PIDs: []int{p.pid}, Listeners: all}
	expect(t, r, map[int]Worker{p.pid: {Known: Connections}})
	r.Descendants = true
	if _, err := Take(r); errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("a kernel without CONFIG_PROC_CHILDREN: %v", err)
	}
	expect(t, r, map[int]Worker{p.pid: {Known: Connections, Open: 2}})
	clients[0].Close()
	r.Facts = Disconnects
	expect(t, r, map[int]Worker{p.pid: {Known: Connections | Disconnects, Open: 2, Closed: 1}})

	r.Facts = CPU | Resident
	family, err := Take(r)
	if err != nil {
		t.Fatal(err)
	}
	r.Descendants = false
	alone, err := Take(r)
	if err != nil || family[p.pid].Resident < alone[p.pid].Resident*3/2 || family[p.pid].CPU <= alone[p.pid].CPU {
		t.Errorf("with its child %+v, alone %+v, %v", family[p.pid], alone[p.pid], err)
	}
}

// What is asked for is found, and of nobody else.
func TestFacts(t *testing.T) {
	p := started(t, "hold 0", 0, nil)
	gone := start("hold 0", 0, nil)
	gone.end()
	for facts, known := range map[Facts]func(Worker) bool{
		CPU:          func(w Worker) bool { return w.CPU > 0 },
		Resident:     func(w Worker) bool { return w.Resident > 0 },
		Proportional: func(w Worker) bool { return w.Proportional > 0 },
		Connections:  func(w Worker) bool { return w.Open == 0 },
		0:            func(w Worker) bool { return w == Worker{} },
	} {
		got, err := Take(Request{Facts: facts, PIDs: []int{p.pid, gone.pid}})
		w := got[p.pid]
		if err != nil || len(got) != 1 || w.Known != facts || !known(w) {
			t.Errorf("Take(%b) = %+v, %v", facts, got, err)
		}
		w.Known, w.CPU, w.Resident, w.Proportional = 0, 0, 0, 0
		if w != (Worker{}) {
			t.Errorf("Take(%b) also has %+v", facts, w)
		}
	}
}

// It is one error if workers' files may not be read, and as long as no client has
// gone they are not read at all.
func TestDenied(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("takes root: processes of several users")
	}
	all := listeners(t, "port 127.0.0.1:0")
	clients := dial(t, all[0], 1)
	p := started(t, "hold 1", all[0].FD, nil)
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}
	survey := func() string { return started(t, "survey "+strconv.Itoa(p.pid), all[0].FD, nobody).hello }
	const denied = "{Known:0 CPU:0s Resident:0 Proportional:0 Open:0 Closed:0} permission true remedy 1"
	const known = "{Known:16 CPU:0s Resident:0 Proportional:0 Open:0 Closed:0} permission false remedy 0"
	if got := survey(); got != known+"; "+denied {
		t.Errorf("with its client: %s", got)
	}
	clients[0].Close()
	expect(t, Request{Facts: Disconnects, PIDs: []int{p.pid}, Listeners: all},
		map[int]Worker{p.pid: {Known: Connections | Disconnects, Open: 1, Closed: 1}})
	if got := survey(); got != denied+"; "+denied {
		t.Errorf("without its client: %s", got)
	}
}

// Workers end while the survey is taken.
func TestVanish(t *testing.T) {
	all := listeners(t, "port 127.0.0.1:0")
	for range 20 {
		dial(t, all[0], 1)
		p := start("hold 1", all[0].FD, nil)
		ended := make(chan struct{})
		go func() { p.end(); close(ended) }()
		for looking := true; looking; {
			select {
			case <-ended:
				looking = false
			default:
			}
			got, err := Take(Request{Facts: CPU | Resident | Connections | Disconnects, PIDs: []int{p.pid}, Listeners: all, Descendants: true})
			if err != nil && !errors.Is(err, errors.ErrUnsupported) || len(got) > 1 {
				t.Fatalf("Take() = %+v, %v", got, err)
			}
		}
		if got, err := Take(Request{Facts: CPU | Connections, PIDs: []int{p.pid}, Listeners: all}); len(got) != 0 || err != nil {
			t.Errorf("of a worker that is no more Take() = %+v, %v", got, err)
		}
	}
}

// 150 workers, each with a connection and 20 files more. SURVEY_FOREIGN is how
// many connections there are besides.
func BenchmarkTake(b *testing.B) {
	all := listeners(b, "port 127.0.0.1:0")
	for foreign, _ := strconv.Atoi(os.Getenv("SURVEY_FOREIGN")); foreign > 0; foreign -= 6000 {
		started(b, "foreign "+strconv.Itoa(min(foreign, 6000)), 0, nil)
	}
	var pids []int
	for range 150 {
		dial(b, all[0], 1)
		pids = append(pids, started(b, "hold 1", all[0].FD, nil).pid)
	}
	take := func(name string, r Request) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got, err := Take(r); err != nil || len(got) != 150 {
					b.Fatal(len(got), err)
				}
			}
		})
	}
	take("CPU", Request{Facts: CPU, PIDs: pids})
	take("Resident", Request{Facts: Resident, PIDs: pids})
	take("Proportional", Request{Facts: Proportional, PIDs: pids})
	take("Disconnects/none", Request{Facts: Disconnects, PIDs: pids, Listeners: all})
	take("Connections", Request{Facts: Connections, PIDs: pids, Listeners: all})
	take("Connections/Descendants", Request{Facts: Connections, PIDs: pids, Listeners: all, Descendants: true})
	take("CPU/Descendants", Request{Facts: CPU, PIDs: pids, Descendants: true})
}
