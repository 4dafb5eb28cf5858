package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"server-starter/initd/control"
)

var update = flag.Bool("update", false, "write the golden files anew")

// patience is how long any one event may take before a test gives up on it.
const testPatience = time.Minute

// TestMain plays initctl itself where a test starts its own binary as that.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_PLAYS_INITCTL") != "" {
		main()
		panic("main has returned")
	}
	if path := os.Getenv("TEST_PLAYS_IMPOSTOR"); path != "" {
		playImpostor(path)
		return
	}
	os.Exit(m.Run())
}

// A script answers requests in place of initd. It returns false to hang up.
type script func(r control.Request, send func(control.Answer)) bool

// once answers each request with one answer.
func once(answer func(r control.Request) control.Answer) script {
	return func(r control.Request, send func(control.Answer)) bool {
		send(answer(r))
		return true
	}
}

// fake listens as an initd that has nothing but a script. Closing what it returns
// is its end.
type fake struct {
	net.Listener
	path string

	mu    sync.Mutex
	conns []net.Conn
	gone  bool
}

func newFake(t *testing.T, s script) *fake {
	t.Helper()
	dir, err := os.MkdirTemp("", "initctl") // shorter than t.TempDir: unix(7) allows 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{path: filepath.Join(dir, "s")}
	if f.Listener, err = net.Listen("unix", f.path); err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	clients.Go(func() {
		for {
			conn, err := f.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns = append(f.conns, conn)
			gone := f.gone
			f.mu.Unlock()
			if gone {
				conn.Close()
			}
			clients.Go(func() {
				defer conn.Close()
				serveScript(conn, s)
			})
		}
	})
	t.Cleanup(func() {
		f.end()
		clients.Wait()
		os.RemoveAll(dir)
	})
	return f
}

// end closes all, as the end of a process does.
func (f *fake) end() {
	f.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = true
	for _, conn := range f.conns {
		conn.Close()
	}
}

func serveScript(conn net.Conn, s script) {
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		r, err := control.Parse(lines.Bytes())
		send := func(a control.Answer) {
			a.Version, a.ID = control.Version, r.ID
			if a.Answer == "" {
				a.Answer = r.Request
			}
			line, err := json.Marshal(a)
			if err != nil {
				panic(err)
			}
			conn.Write(append(line, '\n'))
		}
		if err != nil {
			send(control.Answer{Answer: "error", Code: control.BadRequest, Error: err.Error()})
			continue
		}
		if !s(r, send) {
			return
		}
	}
}

// A result is what came of a command line.
type result struct {
	status         int
	stdout, stderr string
}

// invoke runs initctl in this process, with a socket named by the variable; empty
// is none.
func invoke(t *testing.T, socket string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	return invokeContext(ctx, map[string]string{socketVariable: socket}, args...)
}

func invokeContext(ctx context.Context, environment map[string]string, args ...string) result {
	var stdout, stderr bytes.Buffer
	tool := &tool{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		getenv: func(name string) string { return environment[name] },
		places: []string{"/nonexistent/run/initd.sock", "/nonexistent/shm/initd.sock"},
	}
	status, done := tool.probe(args)
	if !done {
		status = tool.run(ctx, args)
	}
	return result{status, stdout.String(), stderr.String()}
}

// golden compares text with a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s", path, text, want)
	}
}

// sample reads a status from testdata/status.
func sample(t *testing.T, name string) *control.Status {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "status", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	s := new(control.Status)
	if err := json.Unmarshal(b, s); err != nil {
		t.Fatal(err)
	}
	return s
}

func pointer[T any](v T) *T { return &v }
