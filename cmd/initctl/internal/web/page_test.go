package web

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"server-starter/initd/control"
)

var screenshots = flag.String("screenshots", "", "directory for pictures of the page")

// play serves a status whose clock goes on and whose workers are at work.
func play(t *testing.T, scene func() control.Status) (url string) {
	began := time.Now()
	url, _ = serve(t, func(_ context.Context, r control.Request) (control.Answer, error) {
		s := scene()
		s.Time = s.Time.Add(time.Since(began))
		if s.Counters.Requests > 0 {
			s.Counters.Requests += int64(1240 * time.Since(began).Seconds())
		}
		return control.Answer{Health: &s.Health, Status: &s}, nil
	})
	return url
}

// serve runs Serve until the test ends, or it does.
func serve(t *testing.T, ask func(context.Context, control.Request) (control.Answer, error), names ...string) (url string, ended chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	over := make(chan struct{})
	go func() {
		defer close(over)
		ended <- Serve(ctx, l, names, ask)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	return "http://" + l.Addr().String(), ended
}

func TestPage(t *testing.T) {
	b := startChromium(t)
	for _, scene := range []struct {
		name  string
		scene func() control.Status
		state string
		has   []string // texts that are seen
	}{
		{"steady", steady, "ready", []string{"Ready", "Generation 40 is serving.", "61 busy, 89 idle", "64 when idle, at most 256", "permission denied"}},
		{"swapping", swapping, "reloading", []string{"Reloading", "Generation 40 is serving, generation 41 is starting.", "No. 40", "of 8", "5 busy, 3 idle", "4.4 MB",
			"warming the cache: 71 %", "executing", "0.0.0.0:80", "1,731 of 4,096", "/run/app/admin.sock", "2.3 kB of 213 kB",
			"watch", "1.42 s", "refused", "open /etc/app/env: permission denied", "exit status 1", `unknown key "lissten"`,
			"DATABASE_URL", "LEGACY_MODE", "31", "9 failed, 1 refused", "retiring", "version 0.1.0, pid 1, up 3 d 4 h"}},
		{"failing", failing, "troubled", []string{"Ready, but swaps are failing", "4 attempts failed in a row.", "EADDRINUSE", "The next attempt starts ", "/src/app/main.go:31", "PORT"}},
		{"flapping", flapping, "troubled", []string{"Ready, but flapping", "3 in a row ended", "lost", "exit status 1"}},
		{"single", single, "ready", []string{"Generation 1 is serving.", "8080", "start", "not counted", "0 of 4,096"}},
		{"stopping", stopping, "stopping", []string{"Stopping", "7 workers are left.", "TERM was received."}},
		{"broken", broken, "not-ready", []string{"Not ready", "No generation is serving, generation 2 is starting.", "no worker has become ready within 60 s", "signal KILL"}},
		{"hostile", hostile, "troubled", []string{"<script>owned=1</script><img src=x onerror=\"owned=1\">\"'>&amp;"}},
		{"empty", func() control.Status { return control.Status{} }, "not-ready", []string{"Not ready No generation is serving.", "No generations yet.", "No workers.", "No listeners.", "No swaps yet."}},
	} {
		t.Run(scene.name, func(t *testing.T) {
			b := &browser{t, b.pipe}
			p := b.open(play(t, scene.scene) + "/")
			p.await(fmt.Sprintf("document.body && document.body.dataset.state === %q", scene.state))
			if *screenshots != "" {
				p.await("rates.length > 1 || counted.requests === 0")
				p.eval("for (let i = 0; i < 48 && rates.length; i++) rates.unshift(900 + 300 * Math.sin(i / 7) + 90 * Math.sin(i * 1.7))")
			}
			for _, width := range []int{1280, 400} {
				for _, scheme := range []string{"light", "dark"} {
					p.show(width, scheme)
					p.eval("turn()") // which fits the labels of the time line
					if *screenshots != "" {
						p.photograph(filepath.Join(*screenshots, fmt.Sprintf("%s-%d-%s.png", scene.name, width, scheme)))
					}
					inspect(t, p, fmt.Sprintf("%d %s", width, scheme), width, scene.has)
				}
			}
		})
	}
}

// inspect looks for what is to be seen on each page, and for what must not be.
func inspect(t *testing.T, p *tab, view string, width int, has []string) {
	t.Helper()
	var text string
	json.Unmarshal([]byte(p.eval("document.body.innerText")), &text)
	flat := strings.Join(strings.Fields(text), " ")
	for _, want := range has {
		if !strings.Contains(flat, want) {
			t.Errorf("%s: no %q in\n%s", view, want, text)
		}
	}
	for _, never := range []string{"undefined", "NaN", "null", "[object", "Invalid", "hunter2"} {
		if strings.Contains(text, never) {
			t.Errorf("%s: %q in\n%s", view, never, text)
		}
	}
	if got := p.eval("document.documentElement.scrollWidth"); got != fmt.Sprint(width) {
		t.Errorf("%s: the page is %s px wide", view, got)
	}
	for what, script := range map[string]string{
		"a script has run":                  "typeof owned !== 'undefined'",
		"an element came in by text":        "document.querySelectorAll('img, iframe, object, body script:not(:last-child)').length > 0",
		"a table is not for everyone":       "[...document.querySelectorAll('table')].some(t => !t.caption || [...t.querySelectorAll('th')].some(h => h.scope !== 'col'))",
		"the state is not read out":         "!document.querySelector('[aria-live=polite] #word')",
		"seconds are read out":              "!!document.querySelector('[aria-live] #clock')",
		"something reaches beyond its box":  "[...document.querySelectorAll('section')].some(s => s.scrollWidth > s.clientWidth + 1)",
		"something is from elsewhere":       "performance.getEntriesByType('resource').some(r => new URL(r.name).pathname !== '/status')",
		"the title does not tell the state": "!document.title.startsWith(document.getElementById('word').textContent)",
	} {
		if got := p.eval(script); got != "false" {
			t.Errorf("%s: %s: %s", view, what, got)
		}
	}
	if faint := p.eval(contrast); faint != "[]" {
		t.Errorf("%s: hard to read: %s", view, faint)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.complaints {
		t.Errorf("%s: the page complains: %s", view, c)
	}
}

// contrast lists the texts whose contrast is below 4.5 : 1, which is what WCAG
// 2.2 asks for (1.4.3).
const contrast = `(() => {
	const parse = c => { const n = c.match(/[\d.]+/g).map(Number); return {rgb: n.slice(0, 3), a: n.length > 3 ? n[3] : 1}; };
	const light = rgb => rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a === 1) return c.rgb; } return [255, 255, 255]; };
	const faint = [];
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement;
		if (!texts.currentNode.data.trim() || !e.getClientRects().length) continue;
		const [a, b] = [light(parse(getComputedStyle(e).color).rgb), light(behind(e))].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) faint.push(texts.currentNode.data.slice(0, 40) + ": " + ratio.toFixed(2));
	}
	return faint;
})()`

// TestPageSilence: what is shown must not be taken for the present once initd
// does not answer, for whatever reason.
func TestPageSilence(t *testing.T) {
	b := startChromium(t)
	silent := make(chan struct{})
	url, _ := serve(t, func(ctx context.Context, r control.Request) (control.Answer, error) {
		select {
		case <-silent:
			<-ctx.Done()
			return control.Answer{}, ctx.Err()
		default:
			s := steady()
			return control.Answer{Status: &s}, nil
		}
	})
	p := b.open(url + "/")
	p.await("document.body && document.body.dataset.state === 'ready'")
	close(silent)
	p.await("document.body.dataset.state === 'silent'")
	if *screenshots != "" {
		p.photograph(filepath.Join(*screenshots, "silent-1280-light.png"))
	}
	text := p.eval("document.getElementById('banner').innerText")
	for _, want := range []string{"initd no longer answers", "No answer from initd for", "The data below is "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if got := p.eval("getComputedStyle(document.getElementById('figures').parentElement).opacity"); got == `"1"` {
		t.Error("what is old looks as if it was new")
	}
}

func TestPageServerGone(t *testing.T) {
	b := startChromium(t)
	gone := make(chan struct{})
	url, ended := serve(t, func(ctx context.Context, r control.Request) (control.Answer, error) {
		select {
		case <-gone:
			return control.Answer{}, os.ErrClosed
		default:
			s := single()
			return control.Answer{Status: &s}, nil
		}
	})
	p := b.open(url + "/")
	p.await("document.body && document.body.dataset.state === 'ready'")
	close(gone)
	<-ended
	p.await("document.getElementById('sentence').textContent === 'The connection failed.'")
	if state := p.eval("document.body.dataset.state"); state != `"silent"` {
		t.Error(state)
	}
}

// TestPageHidden: a page that nobody sees asks for nothing.
func TestPageHidden(t *testing.T) {
	b := startChromium(t)
	p := b.open(play(t, steady) + "/")
	p.await("document.body && document.body.dataset.state === 'ready'")
	got := p.eval(`(async () => {
		const see = hidden => { Object.defineProperty(document, "hidden", {value: hidden, configurable: true}); document.dispatchEvent(new Event("visibilitychange")); };
		let next = 0, asked = 0;
		const later = setTimeout, look = fetch;
		window.setTimeout = (f, ...rest) => { if (f === turn) next++; return later(f, ...rest); };
		window.fetch = (...rest) => { asked++; return look(...rest); };
		see(true);
		const first = asked; // by the event itself
		await turn();        // the one that was under way
		const hidden = next;
		see(false);
		const again = asked - 1;
		await turn();
		return [first, hidden, again, next > 0].join();
	})()`)
	if got != `"0,0,1,true"` {
		t.Error(got)
	}
}
