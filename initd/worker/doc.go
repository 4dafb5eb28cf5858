// Package worker is for programs that run under initd, start_server or systemd:
// it gives them the listeners that they inherit, and notifies when they are ready.
//
// A complete worker, which can be replaced without a client noticing:
//
//	func main() {
//		server := &http.Server{Addr: ":8080", Handler: handler}
//		if err := worker.Serve(context.Background(), server); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// A worker has three duties:
//
//   - It accepts from the sockets that it inherits and binds none itself: its
//     successor, which is started while it still runs, could not bind them again.
//     [Listener] and [PacketConn] return one by its key, [Listeners] and
//     [PacketConns] all of them.
//   - It notifies when it can serve, by [Ready]. Then its predecessor is stopped.
//   - When it is stopped, it accepts no new connection, answers the requests that it
//     has, and exits. What waits in the sockets is for its successor.
//
// [Serve] does all three for a server of net/http, [Loop] for a worker that has one
// connection at a time. A program that is started by hand, with nothing to inherit,
// listens by itself, and Ready does nothing: the same code does for both.
//
// # Keys
//
// A listener's key is the text by which it was asked for, in initd's settings port
// and path: 8080, 127.0.0.1:8080, [::1]:8080, /run/app.sock, @abstract. A UDP port
// has the same key as a TCP port. From systemd a listener's key is its
// FileDescriptorName=, or else its address. Either is found by its address, too,
// so that a program may ask for 8080, or :8080, wherever it runs.
//
// # The scoreboard
//
// A pool grows, shrinks and recycles its workers by what they report in shared memory:
// [Busy] and [Idle], or [Request], around each request. Serve and Loop do so by
// themselves, [Handler] does it for other servers of net/http. It takes some ten
// nanoseconds and no system call. The first use of any of these, or of a listener, takes
// over the worker's row: its file is closed, SERVER_STARTER_SCOREBOARD and
// SERVER_STARTER_SCOREBOARD_ROW are removed from the environment, and programs that the
// worker starts get neither. Without a scoreboard, or with a broken one, nothing is
// reported.
//
// # What is inherited
//
// SERVER_STARTER_PORT counts, if it is set, and otherwise LISTEN_FDS with LISTEN_PID
// and LISTEN_FDNAMES (sd_listen_fds(3)). The first use of any of the functions takes
// over all sockets, for good: they become close-on-exec, and the numbers that they had
// are free again. Every use returns the same ones.
//
// They become non-blocking, which Go needs; and since that is a flag of the open
// file description (fcntl(2), F_SETFL), they do so for every process that holds
// them. An older worker in another language that relies on accept(2) to block may
// see EAGAIN until it is gone. Nothing here ever makes them blocking again, because
// that would block the event loops of all the others. The Fd method of what a
// net.TCPListener's File returns does, and so does passing that file to another
// program with os/exec: use SyscallConn instead.
package worker
