// Initd is the PID 1 of a container that replaces a server with a new version of it without losing a connection.
//
//	initd [flags] [--] command [argument ...]
//
// It binds the listeners, starts the command with them as a generation of workers, and reaps every process that ends. On
// HUP it starts the command anew next to the old one, on the same listeners and with the environment and the program file
// as they are then; waits until the new generation is ready; and only then asks the old one to stop. A new generation
// that does not come up changes nothing for the old one.
//
// With --respawn=never it is a plain init for one command, as tini is.
//
// # Flags and variables
//
// Every setting has a variable SERVER_STARTER_<NAME> and a flag --<name>. A flag beats the variable, the variable beats
// the default. Flags end at the first word that is not one, or at --.
//
// In a variable the items of a list are separated by semicolons or newlines; a flag is repeated. A duration is in seconds
// (10, 1.5) or has units (500ms, 1m30s). A signal is TERM, SIGTERM, sigterm or 15. Modes are octal. A boolean is 1 or 0,
// true or false, yes or no, on or off. White space around a value is ignored, and an empty variable counts as unset.
//
// All wrong settings are reported at once, and then nothing is started. An unknown variable that begins with
// SERVER_STARTER_ is such an error; SERVER_STARTER_GENERATION, SERVER_STARTER_WORKER, SERVER_STARTER_SCOREBOARD and
// SERVER_STARTER_EVENT are ignored, since an initd that is itself a worker is given them.
//
// Some flags are no settings: --help, --version, and --show-config, which prints the value of each setting and where it
// came from. Two ask something of an initd that runs, which is found by its pid-file: --restart swaps, and returns when a
// generation that was begun after the request is left alone; --stop stops, and returns when initd has gone. Whether a
// command is fit for swaps, and what to set, is found out by `initctl check`.
//
// Under the name start_server the command line is read as that does (Getopt::Long): an option may have a single dash, be
// in any case, be cut short, and stand after words of the command, up to a --.
//
// # Settings
//
// The list is made from the tags that the program reads them by (package settings):
//
//	SERVER_STARTER_PORT, --port
//	    Listen on [host:][u]port[=fd]: TCP, or UDP with u. Without a host it is 0.0.0.0; IPv6 is
//	    written [::1]:8080. =fd sets the number of the worker's file descriptor. A list.
//	SERVER_STARTER_PATH, --path
//	    Listen on a Unix stream socket; @name is an abstract one. A list.
//	SERVER_STARTER_BACKLOG, --backlog
//	    Connections that may wait to be accepted; 0 means the kernel's net.core.somaxconn. Default:
//	    0.
//	SERVER_STARTER_SOCKET_MODE, --socket-mode
//	    Mode of the Unix sockets. Default: 0777.
//	SERVER_STARTER_SOCKET_OWNER, --socket-owner
//	    Owner of the Unix sockets.
//	SERVER_STARTER_EXPORT, --export
//	    Protocols by which workers learn of their listeners: server-starter, systemd, nginx, php-fpm,
//	    unicorn, puma. A list. Default: server-starter;systemd.
//	SERVER_STARTER_DIR, --dir
//	    Working directory of the workers.
//	SERVER_STARTER_USER, --user
//	    User and group that the workers run as. Numbers need no /etc/passwd.
//	SERVER_STARTER_UMASK, --umask
//	    File mode creation mask of the workers.
//	SERVER_STARTER_ENVDIR, --envdir
//	    Directory with a file for each variable: its name is the variable's, its first line the
//	    value. Read again for each generation. Also read from ENVDIR.
//	SERVER_STARTER_NO_NEW_PRIVS, --no-new-privs
//	    Workers can never gain privileges, for example by set-user-ID programs. Default: false.
//	SERVER_STARTER_DEATH_SIGNAL, --death-signal
//	    Signal that workers get if initd itself is killed. Default: TERM.
//	SERVER_STARTER_INTERVAL, --interval
//	    How long a worker must live to count as stable; also the first wait before a failed start is
//	    tried again. Default: 1s.
//	SERVER_STARTER_READY, --ready
//	    A worker is ready when it has lived for the interval (alive), when it has sent READY=1 to
//	    NOTIFY_SOCKET (notify), or at whichever comes first (auto). Default: auto.
//	SERVER_STARTER_START_TIMEOUT, --start-timeout
//	    A worker that is not ready by then is killed, and its start has failed; 0 means no limit. If
//	    not set, an interval of a minute or more is added to it. Default: 60s.
//	SERVER_STARTER_PROBE, --probe
//	    Command that must exit with 0 before a worker counts as ready: a JSON array of words, or a
//	    line for /bin/sh.
//	SERVER_STARTER_PROBE_TIMEOUT, --probe-timeout
//	    Time limit for one run of the probe; 0 means none. Default: 5s.
//	SERVER_STARTER_WATCHDOG, --watchdog
//	    A worker that sends no WATCHDOG=1 for this long is killed and replaced; 0 means never.
//	    Default: 0.
//	SERVER_STARTER_SIGNAL_ON_HUP, --signal-on-hup
//	    Signal that stops old workers after a swap. Default: TERM.
//	SERVER_STARTER_SIGNAL_ON_TERM, --signal-on-term
//	    Signal that stops workers when initd is stopped with TERM. Default: TERM.
//	SERVER_STARTER_KILL_OLD_DELAY, --kill-old-delay
//	    How long a new generation must last before the old one is stopped. If not set, it is 5s with
//	    enable-auto-restart. Default: 0. Also read from KILL_OLD_DELAY.
//	SERVER_STARTER_DRAIN_TIMEOUT, --drain-timeout
//	    An old worker that has not ended this long after it was told to stop is killed; 0 means
//	    never. Default: 0.
//	SERVER_STARTER_MAX_OLD_GENERATIONS, --max-old-generations
//	    If there are more old generations than this, the oldest is killed; 0 means no limit. Default:
//	    0.
//	SERVER_STARTER_ENABLE_AUTO_RESTART, --enable-auto-restart
//	    Swap every auto-restart-interval. Default: false. Also read from ENABLE_AUTO_RESTART.
//	SERVER_STARTER_AUTO_RESTART_INTERVAL, --auto-restart-interval
//	    Time between such swaps. Default: 360s. Also read from AUTO_RESTART_INTERVAL.
//	SERVER_STARTER_STOP_DELAY, --stop-delay
//	    How long workers go on serving after initd was told to stop. Default: 0.
//	SERVER_STARTER_STOP_TIMEOUT, --stop-timeout
//	    Workers that have not ended this long after they were told to stop are killed; 0 means never.
//	    Default: 0.
//	SERVER_STARTER_KILL_GROUP, --kill-group
//	    Kill the worker's process group instead of the worker alone. Default: false.
//	SERVER_STARTER_RESPAWN, --respawn
//	    Whether a worker that ends by itself is replaced: always, on-failure (else initd stops), or
//	    never (initd is a plain init and exits with its status). Default: always.
//	SERVER_STARTER_MAX_BACKOFF, --max-backoff
//	    Longest wait between two starts of a command that keeps failing. Default: 30s.
//	SERVER_STARTER_MAX_FAILURES, --max-failures
//	    Give up after this many failed starts in a row; 0 means never. Default: 0.
//	SERVER_STARTER_SIGNAL_MAP, --signal-map
//	    Signals that initd treats as another one; 0 ignores the signal, REOPEN reopens the log files.
//	    A list.
//	SERVER_STARTER_EXIT_MAP, --exit-map
//	    Exit statuses that initd replaces with another one. A list.
//	SERVER_STARTER_PID_FILE, --pid-file
//	    File for initd's pid, locked while initd runs: a second instance is refused.
//	SERVER_STARTER_STATUS_FILE, --status-file
//	    File with a line generation:pid for each worker of a ready or old generation.
//	SERVER_STARTER_LOG_FILE, --log-file
//	    Append the output of initd and of the workers to a file, or pipe it to | command, which is
//	    restarted if it ends.
//	SERVER_STARTER_ACCESS_LOG, --access-log
//	    The same for the workers' standard output alone.
//	SERVER_STARTER_ERROR_LOG, --error-log
//	    The same for the workers' standard error alone.
//	SERVER_STARTER_DAEMONIZE, --daemonize
//	    Go to the background: return when the first generation is ready, or has failed. Needs
//	    log-file or error-log. Default: false.
//	SERVER_STARTER_REQUIRE_ROOT, --require-root
//	    Refuse to start as a user other than root. Default: false.
//	SERVER_STARTER_WORKERS, --workers
//	    Number of workers in a generation, each in a slot of its own. Default: 1.
//	SERVER_STARTER_MAX_WORKERS, --max-workers
//	    The pool may grow from workers up to this number, as needed. If not set, or 0, it does not
//	    grow.
//	SERVER_STARTER_MIN_IDLE, --min-idle
//	    The pool grows while fewer workers than this are idle. Default: 1.
//	SERVER_STARTER_MAX_IDLE, --max-idle
//	    The pool shrinks, down to workers, while more workers than this are idle; at least min-idle.
//	    If not set, it is workers, or min-idle + 1 if that is more, but less than max-workers.
//	SERVER_STARTER_SURGE, --surge
//	    Swap this many slots at a time, so that memory grows by no more than this many workers; 0
//	    means the whole generation at once. Default: 0.
//	SERVER_STARTER_REUSE_PORT, --reuse-port
//	    Each slot gets a socket of its own for each port (SO_REUSEPORT); the kernel distributes
//	    connections among them. Default: false.
//	SERVER_STARTER_SCOREBOARD, --scoreboard
//	    File for the shared memory in which workers report whether they are busy, so that other
//	    programs can read it; none disables it. If not set, it has no name, and exists where there is
//	    a pool.
//	SERVER_STARTER_MAX_REQUESTS, --max-requests
//	    A worker is replaced after about this many requests, which it must count on the scoreboard; 0
//	    means never. Default: 0.
//	SERVER_STARTER_MAX_MEMORY, --max-memory
//	    A worker with more resident memory than this is replaced; 0 means never. K, M, G and T are
//	    powers of 1024, and so are Ki, KB and the like. Default: 0.
//	SERVER_STARTER_MAX_LIFETIME, --max-lifetime
//	    A worker is replaced at about this age; 0 means never. Default: 0.
//	SERVER_STARTER_DISCONNECT_SIGNAL, --disconnect-signal
//	    Signal that a worker gets when its client has gone away while it is busy with the request.
//	SERVER_STARTER_WATCH, --watch
//	    Swap when the content of a file or directory has changed; envdir stands for the envdir and
//	    command for the command's own file. A list.
//	SERVER_STARTER_WATCH_DEBOUNCE, --watch-debounce
//	    How long nothing more may change before that swap begins. Default: 1s.
//	SERVER_STARTER_HOOK_BEFORE_DAEMONIZE, --hook-before-daemonize
//	    Command to run before initd goes to the background; if it fails, initd exits. Like all hooks
//	    it is a JSON array of words, or a line for /bin/sh; SERVER_STARTER_EVENT says which event it
//	    runs for.
//	SERVER_STARTER_HOOK_AFTER_INIT, --hook-after-init
//	    Command to run when the listeners are bound, before the first worker; if it fails, initd
//	    exits.
//	SERVER_STARTER_HOOK_BEFORE_SWAP, --hook-before-swap
//	    Command to run before a swap, such as a configuration test; if it fails, the swap is refused.
//	SERVER_STARTER_HOOK_AFTER_SWAP, --hook-after-swap
//	    Command to run after a swap, or after an attempt at one.
//	SERVER_STARTER_HOOK_BEFORE_SHUTDOWN, --hook-before-shutdown
//	    Command to run before the workers are stopped.
//	SERVER_STARTER_HOOK_ON_DISCONNECT, --hook-on-disconnect
//	    Command to run when the client of a worker has gone away while the worker is busy with the
//	    request; SERVER_STARTER_PID is the worker's pid.
//	SERVER_STARTER_HOOK_TIMEOUT, --hook-timeout
//	    A hook that runs longer than this is killed, and has failed; 0 means no limit. Default: 30s.
//	SERVER_STARTER_CONTROL_SOCKET, --control-socket
//	    Unix socket by which initctl queries and controls initd; none disables it. If not set, it is
//	    /run/initd.sock, or else /dev/shm/initd.sock, where initd is PID 1 and not a plain init.
//	SERVER_STARTER_HTTP, --http
//	    Serve health, metrics and a page for people on [host:]port. This is done by initctl, which
//	    must be installed beside initd or in PATH.
//	SERVER_STARTER_STDERR_LINES, --stderr-lines
//	    Keep this many of the last lines that each worker has written to stderr, to be shown when it
//	    fails. They then pass through initd. Default: 0.
//	SERVER_STARTER_LOG_FORMAT, --log-format
//	    Format of the log on stderr; auto means text on a terminal and json elsewhere. Default: auto.
//	SERVER_STARTER_LOG_LEVEL, --log-level
//	    Lowest level that is logged. Default: info.
//
// # What a worker is given
//
// It has the listeners at file descriptors 3, 4, 5 … in the order given, ports before paths, except those with =fd; and 0,
// 1, 2, and no other file. It leads a process group of its own, and no signal is blocked or ignored. Its environment is
// the one initd was started with, without the settings, with the files of envdir on top, and with
//
//	SERVER_STARTER_GENERATION   1, 2, 3 …: every attempt takes the next number
//	SERVER_STARTER_WORKER       its slot in the generation: 0, 1, 2 …
//	SERVER_STARTER_SCOREBOARD   descriptor of the scoreboard, where there is one, and SERVER_STARTER_SCOREBOARD_ROW,
//	                            its row: docs/SCOREBOARD.md
//	NOTIFY_SOCKET               where READY=1 is received; sd_notify(3)
//	WATCHDOG_USEC               where watchdog is set: the longest silence, in microseconds
//
// and with the variables that export chooses:
//
//	server-starter   SERVER_STARTER_PORT=8080=3;/run/app.sock=4   always set, empty without a listener
//	systemd          LISTEN_FDS=2, LISTEN_PID, LISTEN_FDNAMES     those from 3 up to the first gap; sd_listen_fds(3)
//	nginx            NGINX=3;4;
//	php-fpm          FPM_SOCKETS=0.0.0.0:8080=3                   TCP only
//	unicorn          UNICORN_FD=3,4
//	puma             PUMA_INHERIT_0=3:tcp://0.0.0.0:8080          and PUMA_INHERIT_1 …
//
// All of these that initd was started with itself are kept from workers. A plain init leaves NOTIFY_SOCKET and the
// WATCHDOG variables as they are.
//
// A probe has the environment of the generation it judges, without NOTIFY_SOCKET, WATCHDOG_USEC and LISTEN_FDS, and none
// of the listeners: it comes to them as a client does. A hook has the same, and SERVER_STARTER_EVENT, its own name without
// hook-; SERVER_STARTER_RESULT, success or failure; SERVER_STARTER_REASON; and on-disconnect the worker's
// SERVER_STARTER_PID and SERVER_STARTER_WORKER. Hooks run as initd's own user.
//
// Of what initd is started with it uses LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, by which a service manager hands it
// sockets, and NOTIFY_SOCKET, where it reports READY=1, RELOADING=1, STOPPING=1 and STATUS.
//
// # Signals
//
//	HUP                swap: start a new generation, then stop the old one
//	TERM, INT, QUIT    stop: workers get signal-on-term, TERM, or QUIT;
//	                   TERM or INT once more kills those that are left
//	TTIN, TTOU         one worker more, one worker fewer
//	others             go to the workers as they are, signal-map may change them,
//	                   or have the log files opened anew (USR1:REOPEN)
//	KILL               cannot be caught: workers get the death-signal
//
// Swaps are run one at a time; any number of requests that come meanwhile make one more.
//
// With --respawn=never HUP, TERM, INT and QUIT too go to the command.
//
// With it TTIN and TTOU, which a terminal sends as well, are dropped, as TSTP always is.
//
// CHLD, PIPE and XFSZ are never passed on, TSTP, TTIN and TTOU only if mapped. Nor are those that a Go program cannot
// catch or has to share with its runtime: KILL, STOP, URG, PROF, and 32, 33 and 34 (34 is what the C library calls RTMIN).
//
// # Exit status
//
//	0                  stopped as asked; a request is done
//	1                  a request, or the start of --daemonize, has failed
//	64                 wrong usage or settings, nothing was started
//	70                 a defect in initd
//	125                initd could not set itself up (port in use, no such user)
//	126, 127           the command cannot be executed, is not found
//	other              the command's own, 128+n if signal n ended it
//
// The command's own status is passed through exit-map. It is initd's where respawn=never; where respawn=on-failure and
// the worker succeeded; and where max-failures was reached with nothing that serves. The reason for a status other than 0
// goes to stderr and to /dev/termination-log, if there is such a file.
package main
