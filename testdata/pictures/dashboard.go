package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"

	"server-starter/initd/control"
)

// address is where initd serves HTTP.
const address = "127.0.0.1:9090"

// A record is all that the page would have asked for, in order.
type record [][]byte

// look asks for the status, and keeps the answer.
func (r *record) look() (*control.Status, error) {
	answer, err := fetch("/status")
	if err != nil {
		return nil, err
	}
	*r = append(*r, answer)
	s := new(control.Status)
	return s, json.Unmarshal(answer, s)
}

func fetch(path string) ([]byte, error) {
	a, err := http.Get("http://" + address + path)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, a.Status)
	}
	return io.ReadAll(a.Body)
}

// A scheme is light or dark.
type scheme struct {
	name      string
	preferred int // of Chromium's PreferredColorScheme
}

var schemes = []scheme{{"light", 1}, {"dark", 0}}

// photograph shows the record to initd's page, in a browser for which time is faster, and takes a picture of its end.
func (r record) photograph(dir, file string, s scheme) error {
	page, err := fetch("/")
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var next atomic.Int64
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write(page)
			return
		}
		w.Write(r[min(int(next.Add(1)), len(r))-1])
	})}
	go server.Serve(l)
	defer server.Close()
	file, err = filepath.Abs(file)
	if err != nil {
		return err
	}
	out, err := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--no-first-run", "--disable-background-networking", "--user-data-dir="+filepath.Join(dir, "chromium-"+s.name),
		fmt.Sprintf("--blink-settings=preferredColorScheme=%d", s.preferred), "--window-size=1200,1160",
		fmt.Sprintf("--virtual-time-budget=%d", 1000*(len(r)+1)), "--screenshot="+file, "http://"+l.Addr().String()+"/").CombinedOutput()
	if err != nil {
		return fmt.Errorf("chromium: %w\n%s", err, out)
	}
	if shown := int(next.Load()); shown < len(r) {
		return fmt.Errorf("the page has asked for %d of %d statuses", shown, len(r))
	}
	info, err := os.Stat(file)
	if err == nil {
		fmt.Printf("%s: %d bytes\n", file, info.Size())
	}
	return err
}
