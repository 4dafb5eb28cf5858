package survey

import (
	"io/fs"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"server-starter/initd/machine"
	"server-starter/initd/scoreboard"
	"server-starter/initd/socket"
)

func TestEvery(t *testing.T) {
	for _, test := range []struct {
		s    Surveyor
		want time.Duration
	}{
		{Surveyor{}, 0},
		{Surveyor{Memory: true}, 5 * time.Second},
		{Surveyor{Memory: true, Requests: true}, time.Second},
		{Surveyor{Requests: true, Disconnects: true}, 400 * time.Millisecond},
		{Surveyor{Growth: true, Requests: true, Disconnects: true, Memory: true}, 250 * time.Millisecond},
	} {
		if got := test.s.Every(); got != test.want {
			t.Errorf("%+v: %v, want %v", test.s, got, test.want)
		}
	}
}

// rows is a scoreboard: row 0 is of an idle worker, 1 of a busy one, 2 of one that
// does not report, and 3 is nobody's.
func rows(row int) (scoreboard.Row, bool) {
	state := map[int]scoreboard.State{0: scoreboard.Idle, 1: scoreboard.Busy}[row]
	return scoreboard.Row{State: state, Requests: 10 * (row + 1)}, row < 3
}

// Only what something depends on is looked for.
func TestNeeded(t *testing.T) {
	web, err := socket.ParsePort("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	set, err := socket.Open([]socket.Spec{web}, socket.Options{Mode: 0o777, UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	idle, busy, silent, alone := map[int]int{1: 0}, map[int]int{1: 1}, map[int]int{1: 2}, map[int]int{1: -1}
	for _, test := range []struct {
		name    string
		s       Surveyor
		workers map[int]int
		want    Facts
	}{
		{"nothing", Surveyor{}, silent, 0},
		{"requests", Surveyor{Requests: true}, silent, 0},
		{"growth", Surveyor{Growth: true, Sockets: set}, silent, CPU | Connections},
		{"growth, a worker without a row", Surveyor{Growth: true, Sockets: set}, alone, CPU | Connections},
		{"growth, a row that cannot be read", Surveyor{Growth: true, Sockets: set}, map[int]int{1: 3}, CPU | Connections},
		{"growth, an idle worker", Surveyor{Growth: true, Sockets: set}, idle, 0},
		{"growth, a busy worker", Surveyor{Growth: true, Sockets: set}, busy, 0},
		{"growth, one of several", Surveyor{Growth: true, Sockets: set}, map[int]int{1: 0, 2: 1, 3: 2}, CPU | Connections},
		{"growth without listeners", Surveyor{Growth: true}, silent, CPU},
		{"disconnects", Surveyor{Disconnects: true, Sockets: set}, silent, Disconnects},
		{"disconnects, an idle worker", Surveyor{Disconnects: true, Sockets: set}, idle, 0},
		{"disconnects, a busy worker", Surveyor{Disconnects: true, Sockets: set}, busy, Disconnects},
		{"memory", Surveyor{Memory: true}, idle, Resident | Proportional},
		{"all", Surveyor{Growth: true, Disconnects: true, Memory: true, Sockets: set}, silent, CPU | Connections | Disconnects | Resident | Proportional},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got Facts
			s := test.s
			s.Row = rows
			s.Look = func(r Request) (map[int]Worker, error) {
				if got = r.Facts; len(r.PIDs) != len(test.workers) || !r.Descendants || s.Sockets != nil && len(r.Listeners) != 1 {
					t.Errorf("the request is %+v", r)
				}
				return nil, nil
			}
			if _, warning := take(&s, time.Now(), test.workers); got != test.want || warning != "" {
				t.Errorf("facts %b, want %b; warning %q", got, test.want, warning)
			}
		})
	}
}

// What workers report, and what was found of them, comes in the order of their pids.
func TestSamples(t *testing.T) {
	s := Surveyor{Growth: true, Memory: true, Row: rows, Look: func(r Request) (map[int]Worker, error) {
		return map[int]Worker{
			10: {Known: CPU | Resident | Proportional | Connections, CPU: time.Second, Resident: 9, Proportional: 5, Open: 3, Closed: 2},
			20: {Known: CPU | Resident, CPU: time.Minute, Resident: 7},
		}, nil
	}}
	seen, _ := take(&s, time.Now(), map[int]int{30: -1, 10: 1, 20: 0})
	want := machine.Surveyed{Workers: []machine.Sample{
		{PID: 10, Activity: machine.Busy, Requests: 20, CPU: time.Second, Clients: 3, Gone: 2, Memory: 5},
		{PID: 20, Activity: machine.Idle, Requests: 10, CPU: time.Minute, Clients: -1, Memory: 7},
		{PID: 30, Clients: -1},
	}}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("got %v\nwant %v", seen, want)
	}
}

// Memory is looked at in every fifth second, however often the rest is.
func TestMemoryEvery(t *testing.T) {
	looked := 0
	s := Surveyor{Memory: true, Look: func(Request) (map[int]Worker, error) { looked++; return nil, nil }}
	start := time.Now()
	for _, test := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {time.Second, 1}, {4999 * time.Millisecond, 1}, {5 * time.Second, 2}, {9 * time.Second, 2}, {10 * time.Second, 3}} {
		if take(&s, start.Add(test.after), map[int]int{1: -1}); looked != test.want {
			t.Errorf("after %v memory was looked at %d times, want %d", test.after, looked, test.want)
		}
	}
}

// Connections that nobody has accepted are counted, in all and for each slot.
func TestQueues(t *testing.T) {
	for _, perSlot := range []bool{false, true} {
		spec, err := socket.ParsePort("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		set, err := socket.Open([]socket.Spec{spec}, socket.Options{Mode: 0o777, UID: -1, GID: -1, ReusePort: perSlot, Slots: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		if err := set.Grow(2); perSlot && err != nil {
			t.Fatal(err)
		}
		const clients = 20
		for range clients {
			conn, err := net.Dial("tcp", set.All()[0].Address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		s := Surveyor{Sockets: set, PerSlot: perSlot}
		seen := machine.Surveyed{}
		for end := time.Now().Add(30 * time.Second); seen.Queue != clients; { // the last may not be there yet
			if seen, _ = take(&s, time.Now(), nil); time.Now().After(end) {
				t.Fatalf("per slot %v: %v", perSlot, seen)
			}
		}
		sum := 0
		for _, length := range seen.Queues {
			sum += length
		}
		if perSlot && (len(seen.Queues) != 2 || sum != clients) || !perSlot && seen.Queues != nil {
			t.Errorf("per slot %v: %v", perSlot, seen)
		}
	}
}

// The real survey: this process is found, and one that is gone is not.
func TestSurvey(t *testing.T) {
	const nobody = 1<<22 + 1 // pid_max, proc_sys_kernel(5), is less
	s := Surveyor{Memory: true}
	seen, warning := take(&s, time.Now(), map[int]int{unix.Getpid(): -1, nobody: -1})
	if warning != "" || len(seen.Workers) != 2 || seen.Workers[0].Memory == 0 || seen.Workers[1] != (machine.Sample{PID: nobody, Clients: -1}) {
		t.Errorf("%v, %q", seen, warning)
	}
}

// That workers' files may not be read is logged for one of them, and not again for
// each that takes its place.
func TestComplaintOnce(t *testing.T) {
	var s Surveyor
	var warnings []string
	warn := func(err error) {
		if text := s.warning(err); text != "" {
			warnings = append(warnings, text)
		}
	}
	for _, path := range []string{"/proc/101/fd", "/proc/102/fd"} {
		warn(&fs.PathError{Op: "open", Path: path, Err: unix.EACCES})
	}
	warn(nil)
	if n := len(warnings); n != 1 || !strings.HasPrefix(warnings[0], "cannot inspect all workers: open /proc/101/fd: ") {
		t.Errorf("%d warnings: %q", n, warnings)
	}
	warn(&fs.PathError{Op: "open", Path: "/proc/101/smaps_rollup", Err: unix.ENOMEM})
	if n := len(warnings); n != 2 {
		t.Errorf("another thing that is in the way has %d warnings", n-1)
	}
	for i := range 2 * maxWarned {
		warn(unix.Errno(200 + i))
	}
	if n := len(warnings); n != maxWarned {
		t.Errorf("%d warnings", n)
	}
}

// take takes a survey, as another goroutine would.
func take(s *Surveyor, now time.Time, workers map[int]int) (machine.Surveyed, string) {
	_, take := s.Begin(now, workers)
	return take()
}
