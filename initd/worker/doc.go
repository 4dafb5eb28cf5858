// Package worker is for programs that run under initd, start_server or systemd:
// it has the listeners they are started with, and tells that they are ready.
//
// A whole worker, which can be replaced without a client noticing:
//
//	func main() {
//		server := &http.Server{Addr: ":8080", Handler: handler}
//		if err := worker.Serve(context.Background(), server); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// A worker owes three things to the program that starts it:
//
//   - It accepts on the sockets it is given and binds none of its own: its
//     successor, which is started while it still runs, could not bind them again.
//     [Listener] and [PacketConn] have one by its key, [Listeners] and
//     [PacketConns] have all.
//   - It says when it can serve, by [Ready]. That is the moment at which its
//     predecessor is told to stop.
//   - When it is told to stop it takes no new connection, answers what it has been
//     asked, and exits. What waits in the sockets is for its successor.
//
// [Serve] does all three for a server of net/http, [Loop] for a worker that has one
// connection at a time. A program that is started by hand, with nothing to inherit,
// listens by itself, and Ready says nothing: it needs no second way to start.
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
// A pool grows, shrinks and recycles its workers by what they tell in shared memory:
// [Busy] and [Idle], or [Request], around each request. Serve and Loop do so by
// themselves, [Handler] does it for other servers of net/http. It takes some ten
// nanoseconds and no system call. The first use of any of these, or of a listener, takes
// the worker's row over: its file is closed, SERVER_STARTER_SCOREBOARD and
// SERVER_STARTER_SCOREBOARD_ROW leave the environment, and programs that the worker
// starts get neither. Without a scoreboard, or with one that is broken, nothing is told.
//
// # What is inherited
//
// SERVER_STARTER_PORT is what counts, if it is set, else LISTEN_FDS with LISTEN_PID
// and LISTEN_FDNAMES (sd_listen_fds(3)). The first use of any of the functions
// takes all the sockets over, for good: they become close-on-exec, and the numbers
// they had are free again. Every use gives the same ones.
//
// They become non-blocking, which Go needs; and since that is a flag of the open
// file description (fcntl(2), F_SETFL), they do so for every process that holds
// them. An older worker in another language that relies on accept(2) to block may
// see EAGAIN until it is gone. Nothing here ever makes them blocking again, because
// that would block the event loops of all the others. The Fd method of what a
// net.TCPListener's File returns does, and so does passing that file to another
// program with os/exec: use SyscallConn instead.
package worker
