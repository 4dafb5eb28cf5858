package scoreboard

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"server-starter/initd/scoreboard/layout"
)

const (
	page = "../../docs/SCOREBOARD.md"
	late = time.Minute // any one event may take so long
)

func readPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTables: the page has each word where the program has it.
func TestTables(t *testing.T) {
	want := [][]struct {
		at   int
		name string
	}{
		{{0, "magic"}, {layout.AtVersion, "version"}, {layout.AtHeader, "header"}, {layout.AtRow, "row"}, {layout.AtRows, "rows"},
			{layout.AtPID, "pid"}, {layout.AtClock, "clock"}, {layout.AtCreated, "created"}, {layout.AtWall, "wall"}},
		{{layout.Turn, "turn"}, {layout.PID, "pid"}, {layout.Generation, "generation"}, {layout.Slot, "slot"}, {layout.Started, "started"}},
		{{layout.Activity, "activity"}, {layout.Requests, "requests"}, {layout.BusyTime, "busy"}},
	}
	tables := strings.Split(readPage(t), "| Offset | Word | Meaning |\n|---|---|---|\n")[1:]
	if len(tables) != len(want) {
		t.Fatalf("%d tables", len(tables))
	}
	for i, table := range tables {
		table, _, _ = strings.Cut(table, "\n\n")
		rows := strings.Split(table, "\n")
		if len(rows) != len(want[i]) {
			t.Errorf("table %d has %d rows, want %d", i, len(rows), len(want[i]))
			continue
		}
		for j, row := range rows {
			if begin := fmt.Sprintf("| %d | %s | ", want[i][j].at, want[i][j].name); !strings.HasPrefix(row, begin) {
				t.Errorf("table %d has %q, want %q", i, row, begin)
			}
		}
	}
	for _, text := range []string{
		fmt.Sprintf("`%s`", layout.Magic), fmt.Sprintf("| version | %d.", layout.Version), fmt.Sprintf("header, %d or more", layout.HeaderSize),
		fmt.Sprintf("row, %d or more, a multiple of %d", layout.RowSize, layout.Line), fmt.Sprintf("| clock | %d,", layout.Clock),
	} {
		if !strings.Contains(readPage(t), text) {
			t.Errorf("the page has no %q", text)
		}
	}
	if layout.LoadBits != 24 {
		t.Error("the page has loads of 24 bits")
	}
}

// programs are those of a language on the page: a worker and a reader.
func programs(t *testing.T, language string) (worker, reader []string) {
	t.Helper()
	dir := t.TempDir()
	blocks := strings.Split(readPage(t), "\n```"+language+"\n")[1:]
	if len(blocks) != 2 {
		t.Fatalf("%d programs", len(blocks))
	}
	var commands [2][]string
	for i, block := range blocks {
		text, _, _ := strings.Cut(block, "```\n")
		file := filepath.Join(dir, fmt.Sprint("program", i))
		if language == "go" {
			file += ".go"
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		switch language {
		case "go":
			commands[i] = []string{build(t, file)}
		case "python":
			commands[i] = []string{"python3", file}
		default:
			commands[i] = []string{language, file}
		}
		if _, err := exec.LookPath(commands[i][0]); err != nil {
			t.Skipf("%s is needed: %v", commands[i][0], err)
		}
	}
	return commands[0], commands[1]
}

// build builds a program as if it were in this module.
func build(t *testing.T, file string) string {
	t.Helper()
	here, _ := filepath.Abs("page")
	overlay, _ := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "main.go"): file}})
	if err := os.WriteFile(file+".json", overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-overlay", file+".json", "-o", file+".exe", "./page").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file + ".exe"
}

// TestPrograms: what the page has runs.
func TestPrograms(t *testing.T) {
	for _, language := range []string{"go", "python", "perl"} {
		t.Run(language, func(t *testing.T) {
			worker, reader := programs(t, language)
			both(t, func(t *testing.T, path string) { takePart(t, path, worker, reader) })
		})
	}
}

func takePart(t *testing.T, path string, worker, reader []string) {
	b := create(t, path, 4)
	b.Claim(3, 0)
	row, _ := b.Claim(3, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	fd, err := syscall.Dup(b.FD())
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "scoreboard")
	defer file.Close()
	cmd := exec.Command(worker[0], worker[1:]...)
	cmd.Env = append(os.Environ(), "SERVER_STARTER_PORT=8080=3", "SERVER_STARTER_SCOREBOARD=4",
		fmt.Sprint("SERVER_STARTER_SCOREBOARD_ROW=", row))
	cmd.ExtraFiles = []*os.File{socket, file}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	b.Assign(row, cmd.Process.Pid)

	becomes := func(state State, inFlight, requests int) (r Row) {
		t.Helper()
		for deadline := time.Now().Add(late); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if r, _ = b.Read(row); r.State == state && r.InFlight == inFlight && r.Requests == requests {
				break
			}
		}
		if r.State != state || r.InFlight != inFlight || r.Requests != requests || r.For >= r.Age && r.Age > 0 {
			t.Fatalf("%+v, want %v with %d, %d finished", r, state, inFlight, requests)
		}
		command := append(reader[1:len(reader):len(reader)], fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), b.FD()))
		out, err := exec.Command(reader[0], command...).CombinedOutput()
		want := fmt.Sprintf("row 0: pid 0, generation 3, slot 0, absent with 0, 0 finished\nrow 1: pid %d, generation 3, slot 1, %v with %d, %d finished\n",
			cmd.Process.Pid, state, inFlight, requests)
		if string(out) != want || err != nil {
			t.Errorf("the reader has %q, %v, want %q", out, err, want)
		}
		return r
	}
	becomes(Idle, 0, 0)
	for i := range 3 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(late))
		io.WriteString(conn, "x")
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		becomes(Busy, 1, i)
		conn.Close()
		if r := becomes(Idle, 0, i+1); r.Busy <= 0 || r.Busy >= r.Age {
			t.Errorf("%+v", r)
		}
	}
	if other, _ := b.Read(0); other.State != Absent || other.Requests != 0 {
		t.Errorf("another's row has %+v", other)
	}
}
