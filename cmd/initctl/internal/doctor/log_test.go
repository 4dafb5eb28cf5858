package doctor

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// readLog reads what an examined initd has written.
func readLog(t *testing.T, text string) *examined {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		writer.WriteString(text)
		writer.Close()
	}()
	e := &examined{began: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), workers: map[int]*worker{}}
	entries := make(chan entry)
	go e.read(reader, entries)
	for line := range entries {
		e.note(line)
	}
	return e
}

// logged is a line of a log, so long after the start.
func logged(after time.Duration, rest string) string {
	at := time.Date(2026, 1, 1, 0, 0, 0, int(after), time.UTC)
	return fmt.Sprintf(`{"time":"%s",%s}`+"\n", at.Format(time.RFC3339Nano), rest)
}

// TestLog: what becomes of the workers is read from the log, and what is no log is
// kept as the program's output.
func TestLog(t *testing.T) {
	e := readLog(t, logged(1*ms, `"msg":"listening on 8053","event":"listen","network":"udp","address":"0.0.0.0:8053"`)+
		logged(1*ms, `"msg":"listening on 8053","event":"listen","network":"udp","address":"0.0.0.0:8053"`)+
		logged(2*ms, `"msg":"worker started","event":"start","generation":1,"pid":7`)+
		"a line of the program\nand one that is not finished"+
		logged(3*ms, `"msg":"notified pid=7 READY=1","event":"step"`)+
		logged(4*ms, `"msg":"notified pid=7 READY=1","event":"step"`)+
		`{"time":"is one of the program's"}`+"\n"+
		logged(5*ms, `"msg":"trial","event":"trial","generation":1`)+
		logged(6*ms, `"msg":"serves","event":"serving","generation":1`)+
		logged(7*ms, `"msg":"worker started","event":"start","generation":2,"pid":8`)+
		logged(8*ms, `"msg":"asked to end","event":"stop","generation":1,"pid":7,"signal":"TERM"`)+
		logged(9*ms, `"msg":"takes too long","event":"kill","generation":1,"pid":7`)+
		logged(10*ms, `"msg":"worker ended","event":"exit","generation":1,"pid":7,"signal":"KILL"`)+
		logged(11*ms, `"msg":"worker not started: exec /x: not there","event":"exit","generation":2,"pid":8,"exit_status":127`)+
		logged(12*ms, `"msg":"no worker","event":"failed","generation":2`)+
		logged(13*ms, `"msg":"listens again","event":"relisten"`))
	first, second := *e.worker(1), *e.worker(2)
	if want := (worker{pid: 7, started: 2 * ms, notified: 3 * ms, ready: 5 * ms, stop: 8 * ms, signal: "TERM", ended: 10 * ms, status: "signal KILL", killed: "takes too long"}); !reflect.DeepEqual(first, want) {
		t.Errorf("the first is %+v, not %+v", first, want)
	}
	if want := (worker{pid: 8, started: 7 * ms, ended: 11 * ms, status: "exit status 127", notExecuted: "exec /x: not there", failed: "no worker"}); !reflect.DeepEqual(second, want) {
		t.Errorf("the second is %+v, not %+v", second, want)
	}
	if !e.relistened {
		t.Error("it does not know that a listener was shut down")
	}
	if len(e.targets) != 1 || e.targets[0].key != "8053" || e.targets[0].network != "udp" || e.targets[0].address != "0.0.0.0:8053" {
		t.Errorf("the listeners are %v", e.targets)
	}
	want := []string{"a line of the program", "and one that is not finished", `{"time":"is one of the program's"}`}
	if got := e.output.last(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the output is %q, not %q", got, want)
	}
}

// TestOutput: the last lines are kept, and of long ones the beginning.
func TestOutput(t *testing.T) {
	var o output
	for i := range 20 {
		o.add(fmt.Sprintln(i))
		o.add(" \n")
	}
	o.add(strings.Repeat("x", 1000))
	lines := o.last()
	if len(lines) != linesKept || lines[0] != "13" || len(lines[linesKept-1]) != lineLength {
		t.Errorf("%q", lines)
	}
}
