package worker

import (
	"context"
	"net"
	"net/http"
)

// Handler is h with Request around each request, whether it returns or panics: the
// worker is busy while one is being handled. The ResponseWriter is handed on as it is.
// A connection that h hijacks is a request until h returns.
//
// It is for programs that serve by themselves. What [Serve] serves is counted already,
// and not once more here.
func Handler(h http.Handler) http.Handler {
	if !takePart() {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(countedKey{}) == nil {
			defer Request()()
		}
		h.ServeHTTP(w, r)
	})
}

// countedKey is set in the contexts of connections whose requests Serve counts.
type countedKey struct{}

// counted has the server's requests counted.
func counted(server *http.Server) {
	if !takePart() {
		return
	}
	handler, base := server.Handler, server.BaseContext
	if handler == nil {
		handler = http.DefaultServeMux
	}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer Request()()
		handler.ServeHTTP(w, r)
	})
	server.BaseContext = func(l net.Listener) context.Context {
		ctx := context.Background()
		if base != nil {
			ctx = base(l)
		}
		return context.WithValue(ctx, countedKey{}, true)
	}
}
