package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	"server-starter/cmd/initctl/internal/metrics"
	"server-starter/initd/control"
)

// A site is what is served.
type site struct {
	health, status *share
	hosts          hosts
}

func (s site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")

	if !s.hosts.include(r.Host) {
		writeText(w, http.StatusMisdirectedRequest, fmt.Sprintf("host %q is not served: use an address, or name it in the setting http-host", r.Host))
		return
	}
	// Not a ServeMux: that redirects where a path is not clean.
	var serve func(http.ResponseWriter, *http.Request)
	switch r.URL.Path {
	case "/":
		serve = s.page
	case "/livez":
		serve = s.check(live)
	case "/readyz":
		serve = s.check(ready)
	case "/startupz":
		serve = s.check(started)
	case "/metrics":
		serve = s.metrics
	case "/status":
		serve = s.json
	default:
		writeText(w, http.StatusNotFound, "not found; available paths: /, /livez, /readyz, /startupz, /metrics, /status")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		writeText(w, http.StatusMethodNotAllowed, "method not allowed; use GET or HEAD")
		return
	}
	serve(w, r)
}

func (s site) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, page)
}

// check answers with `ok`, or with 503 and the reason; on ?verbose with all that
// is known of initd's health besides, a line each.
func (s site) check(judge func(*control.Health) (ok bool, reason string)) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := s.health.get(waiting(r))
		if err == nil && a.Health == nil {
			err = errNothing
		}
		if err != nil {
			writeText(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		code, text := http.StatusOK, "ok"
		if ok, reason := judge(a.Health); !ok {
			code, text = http.StatusServiceUnavailable, reason
		}
		if code == http.StatusOK && r.URL.Path == "/readyz" && a.Health.Flapping != nil {
			text += ", but " + a.Health.Reason // it serves just now, and clients are better off than with nobody
		}
		lines := []string{text}
		if r.URL.Query().Has("verbose") {
			lines = append(lines, fmt.Sprintf("live: %v", a.Health.Live), fmt.Sprintf("ready: %v", a.Health.Ready),
				fmt.Sprintf("started: %v", a.Health.Started), "state: "+a.Health.State,
				fmt.Sprintf("generation: %d", a.Health.Generation))
			if a.Health.Reason != "" {
				lines = append(lines, "reason: "+a.Health.Reason)
			}
		}
		writeText(w, code, lines...)
	}
}

func live(h *control.Health) (bool, string) { return h.Live, because("not live", h) }

func ready(h *control.Health) (bool, string) { return h.Ready, because("not ready", h) }

func started(h *control.Health) (bool, string) {
	if h.Reason == "" {
		return h.Started, "not started: no generation has been ready yet"
	}
	return h.Started, because("not started", h)
}

func because(what string, h *control.Health) string {
	switch {
	case h.Reason != "":
		return what + ": " + h.Reason
	case h.State != "" && h.State != "not-ready": // which what has said
		return what + ": initd is " + h.State
	}
	return what
}

func (s site) metrics(w http.ResponseWriter, r *http.Request) {
	status, err := s.latest(r)
	var text bytes.Buffer
	if err == nil {
		err = metrics.Write(&text, status)
	}
	if err != nil {
		writeText(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	w.Header().Set("Content-Type", metrics.ContentType)
	w.Write(text.Bytes())
}

// json answers with the status as the control socket does, but for the command: an
// argument may be a secret, and who can read this depends on the network.
func (s site) json(w http.ResponseWriter, r *http.Request) {
	status, err := s.latest(r)
	if err != nil {
		writeText(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(struct {
		*control.Status
		Command *struct{} `json:"command,omitempty"` // in the place of Status'
	}{Status: status})
}

// waiting is the context of a client that waits for initd's answer, which takes a bounded
// time. That of the request is done when the client has only closed its side for writing
// (shutdown(2)), as `nc -N` does.
func waiting(r *http.Request) context.Context { return context.WithoutCancel(r.Context()) }

// latest returns a status that others read, too.
func (s site) latest(r *http.Request) (*control.Status, error) {
	a, err := s.status.get(waiting(r))
	if err == nil && a.Status == nil {
		err = errNothing
	}
	return a.Status, err
}

var errNothing = errors.New("unexpected answer from initd")

// writeText answers with lines of text. One is one line, whatever is in it.
func writeText(w http.ResponseWriter, code int, lines ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	for _, line := range lines {
		io.WriteString(w, strings.Map(printable, line)+"\n")
	}
}

func printable(r rune) rune {
	if unicode.IsGraphic(r) {
		return r
	}
	return ' '
}
