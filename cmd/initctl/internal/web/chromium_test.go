package web

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// deadline is how long any one event may take before a test gives up on it.
const deadline = time.Minute

// A browser is a headless Chromium, spoken to as its DevTools do: objects of JSON
// with a NUL after each, on descriptors 3 and 4 of its own (--remote-debugging-pipe).
type browser struct {
	*testing.T
	*pipe
}

type pipe struct {
	requests *os.File
	mu       sync.Mutex
	last     int
	waiting  map[int]chan message
	pages    map[string]*tab
	crashed  bool // ended by itself
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// A tab is a page that is shown. Its complaints are what it has written to its
// console: errors, exceptions, what its Content-Security-Policy has forbidden.
type tab struct {
	*browser
	session    string
	complaints []string
}

// startChromium skips the test where there is none.
func startChromium(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("INITD_REQUIRE_DOCKER") != "" {
			t.Fatalf("INITD_REQUIRE_DOCKER is set: the page is tested in Chromium (Debian's package chromium): %v", err)
		}
		t.Skipf("the page is tested in Chromium (Debian's package chromium): %v", err)
	}
	theirs, requests, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, ours}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	ours.Close()
	b := &browser{t, &pipe{requests: requests, waiting: map[int]chan message{}, pages: map[string]*tab{}}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.read(answers)
	}()
	t.Cleanup(func() {
		b.call("", "Browser.close", nil)
		requests.Close()
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(deadline):
			cmd.Process.Kill()
			<-ended
		}
		<-done
		answers.Close()
		if b.crashed {
			t.Logf("chromium's stderr:\n%s", stderr.String())
		}
	})
	return b
}

func (b *pipe) read(answers *os.File) {
	r := bufio.NewReader(answers)
	for {
		line, err := r.ReadBytes(0)
		b.mu.Lock()
		if err != nil {
			for _, c := range b.waiting {
				close(c)
			}
			b.waiting = nil
			b.mu.Unlock()
			return
		}
		var m message
		if json.Unmarshal(line[:len(line)-1], &m) == nil {
			if c := b.waiting[m.ID]; c != nil {
				delete(b.waiting, m.ID)
				c <- m
			} else if p := b.pages[m.SessionID]; p != nil {
				switch m.Method {
				case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
					text, _ := json.Marshal(m.Params)
					p.complaints = append(p.complaints, string(text))
				}
			}
		}
		b.mu.Unlock()
	}
}

// call calls a method and returns its result.
func (b *browser) call(session, method string, params any) (result json.RawMessage) {
	b.Helper()
	b.mu.Lock()
	b.last++
	id, c := b.last, make(chan message, 1)
	if b.waiting == nil {
		b.crashed = true
		b.mu.Unlock()
		b.Fatalf("%s: chromium has ended", method)
	}
	b.waiting[id] = c
	b.mu.Unlock()
	line, err := json.Marshal(message{ID: id, SessionID: session, Method: method, Params: params})
	if err == nil {
		_, err = b.requests.Write(append(line, 0))
	}
	if err != nil {
		b.Fatalf("%s: %v", method, err)
	}
	select {
	case m, ok := <-c:
		switch {
		case !ok && method != "Browser.close":
			b.crashed = true
			b.Fatalf("%s: chromium has ended", method)
		case m.Error != nil:
			b.Fatalf("%s: %s", method, m.Error.Message)
		}
		return m.Result
	case <-time.After(deadline):
		b.Fatalf("%s: no answer within %v", method, deadline)
	}
	return nil
}

type object = map[string]any

// open shows a page.
func (b *browser) open(url string) *tab {
	b.Helper()
	var target struct{ TargetID, SessionID string }
	json.Unmarshal(b.call("", "Target.createTarget", object{"url": "about:blank"}), &target)
	json.Unmarshal(b.call("", "Target.attachToTarget", object{"targetId": target.TargetID, "flatten": true}), &target)
	p := &tab{browser: b, session: target.SessionID}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	p.call("Runtime.enable", nil)
	p.call("Log.enable", nil)
	p.show(1280, "light")
	p.call("Page.navigate", object{"url": url})
	b.Cleanup(func() { b.call("", "Target.closeTarget", object{"targetId": target.TargetID}) })
	return p
}

// show gives the page this width, and has it light or dark.
func (p *tab) show(width int, scheme string) {
	p.Helper()
	p.call("Emulation.setDeviceMetricsOverride", object{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false})
	p.call("Emulation.setEmulatedMedia", object{"features": []object{{"name": "prefers-color-scheme", "value": scheme}}})
}

func (p *tab) call(method string, params any) json.RawMessage {
	p.Helper()
	return p.browser.call(p.session, method, params)
}

// eval evaluates JavaScript, waits for it if it is a promise, and returns its value in JSON.
func (p *tab) eval(script string) string {
	p.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	json.Unmarshal(p.call("Runtime.evaluate", object{"expression": script, "awaitPromise": true, "returnByValue": true}), &r)
	if r.ExceptionDetails != nil {
		p.Fatalf("%s: %s", script, r.ExceptionDetails.Exception.Description)
	}
	return string(r.Result.Value)
}

// await waits until a condition holds. The page may be none yet.
func (p *tab) await(condition string) {
	p.Helper()
	end := time.Now().Add(deadline)
	for p.eval("!!("+condition+")") != "true" {
		if time.Now().After(end) {
			p.Fatalf("%s does not come: %s", condition, p.eval("document.body.innerText"))
		}
		p.eval("new Promise(r => setTimeout(r, 20))")
	}
}

// photograph writes a picture of the whole page.
func (p *tab) photograph(file string) {
	p.Helper()
	var size struct {
		CSSContentSize struct{ Width, Height float64 }
	}
	json.Unmarshal(p.call("Page.getLayoutMetrics", nil), &size)
	var shot struct{ Data string }
	json.Unmarshal(p.call("Page.captureScreenshot", object{"captureBeyondViewport": true,
		"clip": object{"x": 0, "y": 0, "width": size.CSSContentSize.Width, "height": size.CSSContentSize.Height, "scale": 1}}), &shot)
	picture, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil && len(picture) == 0 {
		err = fmt.Errorf("it is empty")
	}
	if err == nil {
		err = os.WriteFile(file, picture, 0o666)
	}
	if err != nil {
		p.Fatalf("photograph: %v", err)
	}
}
