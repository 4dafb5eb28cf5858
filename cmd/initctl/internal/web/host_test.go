package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"server-starter/initd/control"
)

// TestHost: a page of another site cannot have a name of its own lead here, and read what initd answers: DNS rebinding.
func TestHost(t *testing.T) {
	url, _ := serve(t, says(steady()), "app", "metrics.example.com")
	address := strings.TrimPrefix(url, "http://")
	for host, want := range map[string]int{
		"": 200, address: 200, "localhost": 200, "localhost:9100": 200, "LOCALHOST.": 200, "10.1.2.3:9100": 200, "[::1]:9100": 200, "::1": 200, "[fe80::1%eth0]": 200,
		"app": 200, "app:9100": 200, "Metrics.Example.com": 200, "metrics.example.com.": 200,
		"evil.example.com": 421, "evil.example.com:9100": 421, "app.evil.example.com": 421, "10.1.2.3.evil.example.com": 421, "localhost.evil": 421,
	} {
		for _, path := range []string{"/livez", "/status"} {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(time.Minute))
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
			r, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if text, _ := io.ReadAll(r.Body); r.StatusCode != want || want == 421 && (!strings.Contains(string(text), "http-host") || strings.Contains(string(text), "ok")) {
				t.Errorf("host %q, %s: %s %s", host, path, r.Status, text)
			}
			conn.Close()
		}
	}
	url, _ = serve(t, says(steady()), "*")
	request, _ := http.NewRequest("GET", url+"/livez", nil)
	request.Host = "any.example.com"
	if r, err := http.DefaultTransport.RoundTrip(request); err != nil || r.StatusCode != 200 {
		t.Errorf("with *: %+v, %v", r, err)
	}
}

// TestHalfClosed: a client that says that it sends no more still gets its answer, as with nc -N.
func TestHalfClosed(t *testing.T) {
	url, _ := serve(t, func(ctx context.Context, r control.Request) (control.Answer, error) {
		<-time.After(20 * time.Millisecond) // initd is slow, and the server has seen the end
		return says(steady())(ctx, r)
	})
	for _, path := range []string{"/livez", "/metrics", "/status"} {
		for range 3 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(time.Minute))
			fmt.Fprintf(conn, "GET %s HTTP/1.0\r\n\r\n", path)
			conn.(*net.TCPConn).CloseWrite()
			r, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || r.StatusCode != 200 {
				t.Fatalf("%s: %+v, %v", path, r, err)
			}
			conn.Close()
		}
	}
}
