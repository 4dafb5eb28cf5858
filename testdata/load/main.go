// Load sends requests to a server without pause until it is told to stop, and
// counts what came of them. It is for servers on the loopback addresses or a unix socket of the
// network namespace it runs in, or on a network of containers, and it refuses any other address.
//
//	load [-clients N] [-keepalive] [-once] [-fastcgi SCRIPT | -redis | -memcached | -dns NAME] [-ttl DURATION] [-limit DURATION] [-max N] ADDRESS
//
// ADDRESS is 127.0.0.1:PORT, [::1]:PORT, unix:PATH or NAME:PORT. A name is looked up for each
// connection, or after -ttl again, and one of its addresses, which has to be private (RFC 1918), is
// taken at random; no other is tried. Each client makes a new connection for each request, or keeps one where -keepalive
// is given. A request has failed unless its whole answer came with status 200.
//
// A GET that finds a kept connection closed before anything was answered is sent again, on another connection, as
// browsers do and RFC 9112, section 9.3.1 allows. With -once requests are POSTs, and none is ever sent again, as by a
// load balancer that must not repeat what may have had an effect.
//
// It speaks HTTP, unless it is told to speak FastCGI, to ask redis or memcached for their process, or to ask by DNS,
// over UDP, for the text of a name.
//
// It stops at TERM or INT, at the end of standard input, after -limit, or after -max requests,
// whichever comes first, and always lets requests under way finish. Each answer never seen before
// is a line on standard error when it comes. The result is a line of JSON on standard output; the
// exit status is 0 whatever was counted.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Result is what is printed at the end.
type Result struct {
	OK       int       `json:"ok"`
	Failed   int       `json:"failed"`
	Errors   []string  `json:"errors"`   // the texts of the first failures, ten at most
	Failures []Failure `json:"failures"` // ten thousand at most, so that each can be put down to its cause
	Answers  []string  `json:"answers"`  // each once, in the order they were first seen, a thousand at most
	Seconds  float64   `json:"seconds"`
}

// Failure is a request that failed: by which port of the client, and when.
type Failure struct {
	Port         int       `json:"port"` // 0: no connection was made, at last, or it has no port
	Began, Ended time.Time // of the request, or of the making of its connection
}

const (
	patience    = time.Minute // for one request, all in all
	maxErrors   = 10
	maxFailures = 10_000
	maxAnswers  = 1000
	maxBody     = 64 << 10
)

func main() {
	log.SetFlags(0)
	clients := flag.Int("clients", 8, "how many clients send at once")
	keepalive := flag.Bool("keepalive", false, "keep connections for further requests")
	once := flag.Bool("once", false, "send POST requests, and none again")
	script := flag.String("fastcgi", "", "speak FastCGI, and ask for this script")
	askRedis := flag.Bool("redis", false, "ask redis for its process")
	askMemcached := flag.Bool("memcached", false, "ask memcached for its process")
	name := flag.String("dns", "", "ask for the text of this name, by DNS over UDP")
	ttl := flag.Duration("ttl", 0, "how long to go by what a name meant")
	limit := flag.Duration("limit", 30*time.Minute, "how long to send")
	max := flag.Int64("max", 1_000_000, "how many requests to send")
	flag.Parse()
	if flag.NArg() != 1 || *clients < 1 || *script != "" && (*keepalive || *once) {
		flag.Usage()
		os.Exit(2)
	}
	network := "tcp"
	var other question // than by HTTP
	switch {
	case *askRedis:
		other = redis
	case *askMemcached:
		other = memcached
	case *name != "":
		network, other = "udp", txt(*name)
	}
	dial, err := dialer(network, flag.Arg(0), *ttl)
	if err != nil {
		log.Fatalf("load: %v", err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		io.Copy(io.Discard, os.Stdin) // whoever started this has gone, or wants it to end
		cancel()
	}()

	var (
		tally tally
		sent  atomic.Int64
		done  sync.WaitGroup
	)
	start := time.Now()
	for range *clients {
		browser := &http.Client{
			Timeout:   patience,
			Transport: &http.Transport{DialContext: dial, DisableKeepAlives: !*keepalive},
		}
		request := func(f *Failure) (string, error) { return ask(browser, *once, f) }
		if *script != "" {
			request = func(*Failure) (string, error) { return fastcgi(dial, *script) }
		}
		if other != nil {
			request = (&client{dial: dial, question: other, keepalive: *keepalive, once: *once}).request
		}
		done.Go(func() {
			for ctx.Err() == nil && sent.Add(1) <= *max {
				f := Failure{Began: time.Now()}
				answer, err := request(&f)
				f.Ended = time.Now()
				tally.count(answer, err, f)
			}
		})
	}
	done.Wait()
	tally.Seconds = time.Since(start).Seconds()
	json.NewEncoder(os.Stdout).Encode(&tally.Result)
}

// dial makes a connection to the server, whatever address it is given.
type dial func(ctx context.Context, network, address string) (net.Conn, error)

// dialer returns a dial function for address, which has to be on this host or on a network of containers.
func dialer(network, address string, ttl time.Duration) (dial, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	} else {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if ip := net.ParseIP(host); ip == nil {
			return named(host, port, ttl), nil
		} else if !ip.IsLoopback() {
			return nil, fmt.Errorf("%s is no loopback address", address)
		}
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}, nil
}

// named returns a dial function for what a name means at the time, or meant when it was looked up last.
// It tries one address alone, as trying the next would hide that a client was sent to one that does
// not serve.
func named(host, port string, ttl time.Duration) dial {
	var (
		mu   sync.Mutex
		ips  []net.IP
		last time.Time
	)
	lookup := func(ctx context.Context) ([]net.IP, error) {
		if ttl == 0 {
			return net.DefaultResolver.LookupIP(ctx, "ip4", host)
		}
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) < ttl {
			return ips, nil
		}
		var err error
		if ips, err = net.DefaultResolver.LookupIP(ctx, "ip4", host); err == nil {
			last = time.Now()
		}
		return ips, err
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		ips, err := lookup(ctx)
		if err != nil {
			return nil, err
		}
		ip := ips[rand.IntN(len(ips))]
		if !ip.IsPrivate() {
			return nil, fmt.Errorf("%s is %s, which is no private address", host, ip)
		}
		return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(ip.String(), port))
	}
}

// ask sends one request and returns the answer's body. It notes by which port.
func ask(client *http.Client, once bool, f *Failure) (string, error) {
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if address, ok := info.Conn.LocalAddr().(*net.TCPAddr); ok {
			f.Port = address.Port
		}
	}})
	method, content := http.MethodGet, ""
	if once {
		method, content = http.MethodPost, "once"
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost/", strings.NewReader(content))
	if err != nil {
		return "", err
	}
	if once {
		request.GetBody = nil // or http.Transport sends it again if none of it was written
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	return body(response)
}

// body reads an answer to its end.
func body(response *http.Response) (string, error) {
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %s: %q", response.Status, body)
	}
	return strings.TrimSpace(string(body)), nil
}

// tally counts what came of requests.
type tally struct {
	sync.Mutex
	Result
}

func (t *tally) count(answer string, err error, f Failure) {
	t.Lock()
	defer t.Unlock()
	if err != nil {
		t.Failed++
		if errors.Is(err, syscall.ECONNREFUSED) {
			f.Port = 0 // also if it was sent before, and was to be sent again
		}
		if len(t.Failures) < maxFailures {
			t.Failures = append(t.Failures, f)
		}
		if len(t.Errors) < maxErrors {
			t.Errors = append(t.Errors, err.Error())
		}
		return
	}
	t.OK++
	if len(t.Answers) < maxAnswers && !slices.Contains(t.Answers, answer) {
		t.Answers = append(t.Answers, answer)
		log.Print(answer)
	}
}
