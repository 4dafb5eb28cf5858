// Package settings reads what the user wants of initd: the environment, the
// flags and the command. The fields of [Settings] are the contract: their tags
// make the variables, the flags, the defaults, the errors, --help and
// --show-config, so that none of them can disagree with another.
//
// A flag beats the variable SERVER_STARTER_<NAME>, which beats the variable
// without prefix that start_server reads (four settings only), which beats the
// default. All wrong values are reported at once, also those that another one
// overrides.
package settings

import "server-starter/initd/machine"

// Version is what --version prints; a release sets it with
// -X server-starter/initd/settings.Version=… in -ldflags.
var Version = "0.1.0"

// Settings are what the user wants. envconfig reads the variables and the
// defaults by these tags: it makes SERVER_STARTER_KILL_OLD_DELAY of
// KillOldDelay, and where a tag names a variable itself, it reads that one
// without prefix, too, if the one with prefix is not set. The flag is
// --kill-old-delay. desc is what --help=all and docs/REFERENCE.md say, example
// what errors propose, and see the settings that this one interacts with; kind
// is what its values are where the type does not say it. common is the line in
// --help of a setting that most people need. A hidden setting is not documented.
//
// A blank field begins a group of settings with one purpose, which goes on to the
// next: --help=all, --show-config and docs/REFERENCE.md have their order.
//
// A duration of 0 means no limit where it limits something, and none where it
// waits. Paths are as given, maybe relative.
type Settings struct {
	_           struct{}  `group:"Listen" intro:"The sockets that initd binds, and how workers find them. They are bound once, and all generations share them."`
	Port        List      `kind:"list of addresses" example:"8080" common:"a port, host:port, or u53 for UDP; may be repeated" see:"path export reuse-port" desc:"Listen on [host:][u]port[=fd]: a TCP port, or a UDP port with u before the number. Without a host it is 0.0.0.0; *:8080 is all addresses of IPv6 and IPv4 on one socket, or 0.0.0.0 where there is no IPv6; IPv6 addresses are written [::1]:8080 and take no IPv4. Port 0 lets the kernel choose. =fd sets the number of the worker's file descriptor."`
	Path        List      `kind:"list of paths" example:"/run/app.sock" common:"a Unix stream socket; may be repeated" see:"port socket-mode socket-owner" desc:"Listen on a Unix stream socket. A name that begins with @ is an abstract socket."`
	Backlog     Count     `default:"0" example:"1024" desc:"Number of connections that may wait to be accepted; 0 means the kernel's limit, net.core.somaxconn."`
	SocketMode  Mode      `split_words:"true" default:"0777" example:"0660" see:"path socket-owner" desc:"File mode of the Unix sockets."`
	SocketOwner Account   `split_words:"true" example:"www-data:www-data" see:"path socket-mode" desc:"Owner of the Unix sockets, and their group if one is given."`
	Export      Protocols `default:"server-starter;systemd" example:"systemd" see:"port path no-new-privs" desc:"Protocols by which workers find their sockets. Each but one sets its own environment variables: see docs/REFERENCE.md. With bind, workers need not know any: a socket that they bind themselves is replaced by the one that initd holds. It turns no-new-privs on and needs Linux 5.9."`
	ReusePort   Bool      `split_words:"true" default:"false" example:"true" see:"workers surge" desc:"Give each slot of the pool its own socket for each port (SO_REUSEPORT), so that the kernel distributes connections evenly. initd holds all of these sockets and directs new connections to slots that have a worker, so no waiting connection is lost when a worker ends."`

	_           struct{} `group:"Run the workers" intro:"What each worker process starts with. Probes run the same way; hooks run as initd's own user."`
	User        Account  `example:"65532:65532" see:"no-new-privs socket-owner" desc:"User and group of the workers, who get none of the capabilities and session keys of initd. Numbers work without /etc/passwd."`
	Dir         string   `example:"/app" desc:"Working directory of the workers. Default: the directory initd was started in."`
	Umask       Mode     `example:"022" desc:"File mode creation mask of the workers. Default: that of initd."`
	Envdir      string   `envconfig:"ENVDIR" example:"/etc/app/env" common:"environment of the workers, a file per variable" see:"watch kill-old-delay enable-auto-restart auto-restart-interval" desc:"Directory with one file per environment variable: the file's name is the variable, its first line the value. It is read again for each generation. Its files may also change kill-old-delay, enable-auto-restart and auto-restart-interval, under their names with or without SERVER_STARTER_."`
	NoNewPrivs  Bool     `split_words:"true" default:"false" example:"true" see:"user export" desc:"Prevent workers from gaining privileges, for example by set-user-ID programs: PR_SET_NO_NEW_PRIVS of prctl(2). It is always on with export=bind."`
	DeathSignal Signal   `split_words:"true" default:"TERM" example:"KILL" see:"signal-on-term" desc:"Signal that the kernel sends to workers if initd itself is killed."`

	_            struct{}              `group:"Decide when a worker is ready" intro:"A swap stops the old workers only when the new ones are ready, and the first generation has to be ready before initd is."`
	Ready        Choice[machine.Ready] `default:"auto" example:"notify" common:"a worker is ready when it has sent READY=1" see:"interval start-timeout probe" desc:"What makes a worker ready. auto: it has sent READY=1 to NOTIFY_SOCKET, or it has run for interval and initd has seen that it waits for connections on its sockets; where that cannot be seen, or there is no socket, that it has run for interval. A worker that does not wait for connections is not ready. accepting: only that it has run for interval and was seen to wait for connections. notify: only READY=1. alive: only that it has run for interval."`
	Interval     Duration              `default:"1s" example:"10" see:"ready max-backoff" desc:"How long a worker must run at least to count as ready (unless it sends READY=1). It is also the first wait before a failed start is tried again."`
	StartTimeout Duration              `split_words:"true" default:"60s" example:"2m" see:"ready interval" desc:"A worker that is not ready after this time is killed, and its start has failed; 0 means no limit. If it is not set and interval is a minute or more, it is 60s + interval (unless ready=notify). With ready=alive it must not be less than interval."`
	Probe        Command               `example:"curl -fsS http://127.0.0.1:8080/health" see:"probe-timeout start-timeout interval" desc:"Command that must exit with 0 before a new generation serves. It runs when the workers are ready; if it fails, it runs again after interval, until start-timeout. It gets no sockets and connects like a client."`
	ProbeTimeout Duration              `split_words:"true" default:"5s" example:"2" see:"probe" desc:"Time limit for one run of the probe; 0 means no limit."`

	_                   struct{} `group:"Swap" intro:"How a new generation replaces the old one, what asks for it besides HUP, and how long old workers may take to end."`
	SignalOnHUP         Signal   `split_words:"true" default:"TERM" example:"QUIT" common:"signal that stops old workers after a swap" see:"drain-timeout signal-on-term" desc:"Signal that stops the old workers after a swap, and workers that are recycled or no longer needed."`
	DrainTimeout        Duration `split_words:"true" default:"0" example:"5m" common:"after a swap, kill old workers that take longer" see:"signal-on-hup max-old-generations stop-timeout" desc:"Kill an old worker that has not ended this long after it was asked to stop; 0 means never. It also applies to workers that are recycled or no longer needed; when initd itself stops, stop-timeout applies instead."`
	MaxOldGenerations   Count    `split_words:"true" default:"0" example:"3" see:"drain-timeout" desc:"Kill the oldest generation when there are more old generations than this; 0 means no limit."`
	KillOldDelay        Duration `envconfig:"KILL_OLD_DELAY" default:"0" example:"5" see:"enable-auto-restart ready" desc:"How long a new generation must stay up before the old one is stopped. If the new one fails in that time, the old one stays. If it is not set, it is 5s with enable-auto-restart."`
	Surge               Size     `default:"0" example:"1" see:"workers drain-timeout max-old-generations" desc:"Swap this many slots at a time, so that memory grows by no more than this many workers; 0 means the whole generation at once. There are never fewer ready workers than before. The next batch waits until the old workers of the last one have ended: set drain-timeout where clients may stay connected for hours. If a batch fails, the slots already swapped keep the new generation, the others the old one, and the attempt is repeated with back-off."`
	EnableAutoRestart   Bool     `envconfig:"ENABLE_AUTO_RESTART" default:"false" example:"true" see:"auto-restart-interval kill-old-delay" desc:"Swap every auto-restart-interval."`
	AutoRestartInterval Duration `envconfig:"AUTO_RESTART_INTERVAL" default:"360s" example:"1h" see:"enable-auto-restart" desc:"Time between the swaps of enable-auto-restart; 0 means never."`

	_            struct{} `group:"Stop" intro:"What happens when initd gets TERM, INT or QUIT. A second TERM or INT kills what is left."`
	StopDelay    Duration `split_words:"true" default:"0" example:"5" common:"keep serving this long after initd was told to stop" see:"stop-timeout hook-before-shutdown" desc:"How long workers keep serving after initd was asked to stop, while load balancers still send connections."`
	SignalOnTERM Signal   `split_words:"true" default:"TERM" example:"QUIT" see:"signal-on-hup stop-timeout" desc:"Signal that stops the workers when initd gets TERM. After INT and QUIT workers get TERM and QUIT."`
	StopTimeout  Duration `split_words:"true" default:"0" example:"25" common:"when stopping, kill workers that take longer" see:"stop-delay drain-timeout kill-group" desc:"Limit for the whole stop, after stop-delay: workers that have not ended by then are killed; 0 means never. Set it together with stop-delay below the grace period of the container (10 s for docker stop, terminationGracePeriodSeconds in Kubernetes). Orphans that are left get the rest of it, or 5s if it is 0."`
	KillGroup    Bool     `split_words:"true" default:"true" example:"false" see:"drain-timeout stop-timeout start-timeout watchdog" desc:"When a worker ends, end the processes that belong to it: a kill is sent to its whole process group, and processes that it leaves behind are stopped or killed as the worker was. With false, only the worker itself is stopped or killed; this is for workers that leave daemons behind on purpose."`

	_           struct{}                `group:"Restart and give up" intro:"What happens when a worker ends by itself or hangs, or its command keeps failing."`
	Respawn     Choice[machine.Respawn] `default:"always" example:"on-failure" common:"replace a worker only if it failed; never: plain init" see:"max-backoff max-failures exit-map" desc:"Whether a worker that ends by itself is replaced. always: yes. on-failure: only if it failed; otherwise initd stops. never: initd is a plain init for one command, passes HUP, TERM, INT and QUIT on to it and exits with its status; settings about readiness, swaps, pools, the watchdog and watched files have no effect."`
	Watchdog    Duration                `default:"0" example:"30" see:"ready kill-group" desc:"Kill and replace a ready worker that sends no WATCHDOG=1 for this long; 0 means never."`
	StableAfter Duration                `split_words:"true" default:"1m" example:"10m" see:"interval max-backoff max-failures" desc:"A worker that ends by itself sooner than this after it became ready has failed: it counts for the back-off and for max-failures, and its swap has failed after all if no other worker of its generation is left. Workers that have been ready for this long make earlier failures forgotten. 0 means interval, which is the least. Not counted are workers to which initctl signal has sent a stop signal or KILL, and workers that exit with 0 after they have been ready for interval, while another is ready."`
	MaxBackoff  Duration                `split_words:"true" default:"30s" example:"60" see:"interval stable-after max-failures" desc:"Longest wait between two starts of a command that keeps failing. The wait begins with interval and doubles with each failure; a worker that had been ready for interval is replaced at once the first time. 0 means a limit of 24 hours."`
	MaxFailures Count                   `split_words:"true" default:"0" example:"5" see:"stable-after max-backoff exit-map" desc:"Give up after this many failed starts in a row, among them generations that ended before stable-after; 0 means never. If an older generation is serving, it keeps serving, and the next request for a swap is tried like the first; otherwise initd exits with the command's status."`

	_         struct{}  `group:"Map signals and exit statuses" intro:"For servers and platforms that expect other signals or statuses."`
	SignalMap SignalMap `split_words:"true" example:"USR2:HUP;WINCH:0" see:"log-file access-log error-log" desc:"Treat a signal as another one. SIGNAL:0 ignores it, SIGNAL:REOPEN reopens the log files."`
	ExitMap   ExitMap   `split_words:"true" example:"143:0" see:"respawn max-failures" desc:"Replace an exit status of the command with another one when initd exits with it."`

	_          struct{}   `group:"Pools: size" intro:"A generation can be a pool of workers, each in its own slot. It is ready when all of them are, and a worker that ends is replaced. The pool grows and shrinks with the load if max-workers is more than workers."`
	Workers    PoolSize   `default:"1" example:"4" common:"number of workers in a generation" see:"max-workers surge reuse-port" desc:"Number of workers in a generation, each in its own slot. TTIN and TTOU, and initctl scale, change it while initd runs."`
	MaxWorkers Size       `split_words:"true" example:"16" see:"workers min-idle max-idle" desc:"The pool may grow from workers up to this number, as needed. If it is not set, or 0, the pool does not grow."`
	MinIdle    Size       `split_words:"true" default:"1" example:"2" see:"max-idle max-workers scoreboard" desc:"The pool grows while fewer workers than this are idle, or while connections wait to be accepted. A worker can report on the scoreboard whether it is busy; for others initd looks at their connections and CPU time. For a server that handles many clients in one process (nginx, Node.js, uvicorn) only the queue says how busy it is: set min-idle=0."`
	MaxIdle    Size       `split_words:"true" example:"8" see:"min-idle workers max-workers" desc:"The pool shrinks, down to workers, when more workers than this have been idle for 15 seconds, the longest idle first. It must be at least min-idle. Default: the larger of workers and min-idle+1, but below max-workers."`
	Scoreboard Scoreboard `example:"/run/app.scoreboard" see:"min-idle max-requests disconnect-signal" desc:"File for the shared memory in which workers report whether they are busy, so that other programs can read it: see docs/SCOREBOARD.md; none disables it. If it is not set, the memory has no name and exists where something needs it: with more than one worker, max-requests, disconnect-signal or hook-on-disconnect."`

	_           struct{} `group:"Pools: recycle" intro:"Replace workers that have run for a long time or use much memory: one slot at a time, and the new worker starts before the old one is stopped. The limits differ by up to a tenth from worker to worker, so that not all are replaced together."`
	MaxRequests Count    `split_words:"true" default:"0" example:"10000" see:"scoreboard" desc:"Replace a worker after about this many requests, which it must count on the scoreboard; 0 means never. It cannot be combined with scoreboard=none."`
	MaxMemory   Bytes    `split_words:"true" default:"0" example:"512M" desc:"Replace a worker with more resident memory than this; 0 means never."`
	MaxLifetime Duration `split_words:"true" default:"0" example:"12h" desc:"Replace a worker at about this age; 0 means never."`

	_                struct{}       `group:"React to clients that disconnect" intro:"initd notices within a second that the client of a busy worker has disconnected. A client that stops sending but still waits for the answer (shutdown(2), nc -N) looks the same over TCP, so use this only with clients that you know. It needs privileges to look into workers of another user; without them initd logs that once."`
	DisconnectSignal OptionalSignal `split_words:"true" example:"USR1" see:"hook-on-disconnect scoreboard" desc:"Signal for a worker whose client has disconnected while the worker is busy with the request."`
	HookOnDisconnect Command        `split_words:"true" example:"kill $SERVER_STARTER_PID" see:"disconnect-signal hook-timeout" desc:"Command to run when the client of a worker has disconnected while the worker is busy with the request. SERVER_STARTER_PID and SERVER_STARTER_WORKER are the worker's pid and slot. A failure is only logged."`

	_             struct{} `group:"Watch files" intro:"Swap when files change: a ConfigMap, certificates, or the program itself."`
	Watch         List     `kind:"list of paths" example:"/etc/app" common:"swap when a file or directory changes" see:"watch-debounce envdir" desc:"Swap when the content of a file or directory changes. envdir stands for the directory of envdir, command for the command's own file. Touching a file is no change, and a volume that Kubernetes replaces is one change. Where the kernel does not report changes (network file systems, FUSE) initd checks every five seconds."`
	WatchDebounce Duration `split_words:"true" default:"1s" example:"5" see:"watch" desc:"Wait until nothing has changed for this long, but no longer than ten times this, before the swap begins."`

	_                   struct{} `group:"Run hooks" intro:"Commands of yours that run at an event, as initd's own user. Each is a line for /bin/sh or a JSON array; what it finds in its environment is listed under Environment of probes and hooks."`
	HookBeforeDaemonize Command  `split_words:"true" example:"test -w /var/log/app" see:"daemonize hook-after-init" desc:"Command to run before initd goes to the background. If it fails, initd exits with 125."`
	HookAfterInit       Command  `split_words:"true" example:"mkdir -p /run/app" desc:"Command to run when the sockets are bound, before the first worker. If it fails, initd exits with 125."`
	HookBeforeSwap      Command  `split_words:"true" example:"nginx -t" see:"hook-after-swap" desc:"Command to run before the new workers of a swap start, such as a configuration test. If it fails, the swap is refused and the old generation keeps serving."`
	HookAfterSwap       Command  `split_words:"true" example:"logger swapped" see:"hook-before-swap" desc:"Command to run after a swap, or after an attempt that failed. A failure is only logged."`
	HookBeforeShutdown  Command  `split_words:"true" example:"logger stopping" see:"stop-delay hook-timeout" desc:"Command to run when initd stops. Workers keep serving until it ends. A failure is only logged."`
	HookTimeout         Duration `split_words:"true" default:"30s" example:"2m" see:"hook-before-swap hook-before-shutdown" desc:"Kill a hook that runs longer than this, and treat it as failed; 0 means no limit."`

	_             struct{}   `group:"Control, health and metrics" intro:"How initctl, health checks and Prometheus reach initd."`
	ControlSocket PathOrNone `split_words:"true" example:"/run/app/initd.sock" see:"http" desc:"Unix socket by which initctl queries and controls initd; none disables it. Only root and initd's own user may connect. If it is not set, PID 1 makes /run/initd.sock, or /dev/shm/initd.sock if that fails; a plain init, or an initd that is not PID 1, makes none."`
	HTTP          string     `kind:"address" example:":9100" common:"serve health, metrics and a dashboard" see:"http-host control-socket" desc:"Serve health, metrics and a dashboard on [host:]port: see docs/METRICS.md. initd runs initctl for this, as the workers' user; it must be in the same directory as initd or in PATH."`
	HttpHost      List       `split_words:"true" kind:"list of names" example:"app" see:"http" desc:"Names by which HTTP is served, as in the Host header of a request; * means any. An address and localhost always are."`

	_           struct{}          `group:"Logs" intro:"initd's own log, and what the workers write to stdout and stderr. By default all goes to initd's stdout and stderr."`
	LogLevel    Choice[LogLevel]  `split_words:"true" default:"info" example:"debug" see:"log-format" desc:"Lowest level that is logged. A plain init logs only errors unless it is set."`
	LogFormat   Choice[LogFormat] `split_words:"true" default:"auto" example:"json" see:"log-level" desc:"Format of initd's log; auto means text on a terminal and json elsewhere."`
	StderrLines Size              `split_words:"true" default:"0" example:"20" desc:"Keep this many of the last lines that each worker wrote to stderr, and show them when it fails. The workers' stderr then passes through initd: it is no terminal, a line takes some 8 µs longer, and its order relative to stdout is not certain."`
	LogFile     Output            `split_words:"true" example:"| cronolog /var/log/app.%Y%m%d" see:"access-log error-log signal-map daemonize" desc:"Write the output of initd and of the workers to a file, or pipe it to | command. A file is appended to; a command that ends is started again."`
	AccessLog   Output            `split_words:"true" example:"/var/log/app/access.log" see:"log-file error-log" desc:"Write the workers' standard output to a file or | command instead."`
	ErrorLog    Output            `split_words:"true" example:"/var/log/app/error.log" see:"log-file access-log" desc:"Write the workers' standard error to a file or | command instead."`

	_           struct{} `group:"Run in the background" intro:"Outside containers, initd runs with a pid file as start_server does."`
	Daemonize   Bool     `default:"false" example:"true" see:"log-file error-log pid-file hook-before-daemonize" desc:"Go to the background. The command returns when the first generation is ready (exit status 0) or has failed (1, and initd keeps trying). It needs log-file or error-log."`
	PidFile     string   `split_words:"true" example:"/run/app.pid" see:"status-file" desc:"File for initd's pid, locked while initd runs: a second instance is refused with 125. --restart and --stop find initd by it."`
	StatusFile  string   `split_words:"true" example:"/run/app.status" see:"pid-file" desc:"File with a line generation:pid for each worker of a ready or old generation. --restart needs it."`
	RequireRoot Bool     `split_words:"true" default:"false" example:"true" see:"user" desc:"Refuse to start as a user other than root."`

	// Between the programs of this project.
	Examined Bool `default:"false" example:"true" hidden:"true" desc:"initctl check examines this initd: its listeners may be elsewhere than its settings say."`

	Request Request  `ignored:"true"` // what is asked instead of serving
	Command []string `ignored:"true"` // never empty, unless Answer is set or an initd is asked that runs already
	Answer  string   `ignored:"true"` // what --help, --version or --show-config has to print; then nothing is to be started
	Notes   []string `ignored:"true"` // what the user should know although nothing is wrong, a sentence each
	Handed  []string `ignored:"true"` // K=V that start_server hands to workers, and only under its name

	sources map[string]source // of the settings that were given, by name
}

// MostWorkers is how many workers there may be. It is more than a kernel is
// asked to schedule on purpose, and keeps a slip of the pen from being forked.
const MostWorkers = 4096

// NoScoreboard is the Scoreboard of those who want none, and NoControlSocket the
// ControlSocket.
const (
	NoScoreboard    = noPath
	NoControlSocket = noPath

	noPath = "none"
)

// What Watch may name instead of a path. A file of that name is ./envdir.
const (
	WatchEnvdir  = "envdir"
	WatchCommand = "command"
)

// WatchMeant is the word that a name in Watch is probably meant to be, or empty.
func WatchMeant(name string) string { return nearest(name, []string{WatchEnvdir, WatchCommand}) }

// LogFormat is the form of the log.
type LogFormat string

const (
	AutoFormat LogFormat = "auto" // Text on a terminal, JSON elsewhere
	Text       LogFormat = "text"
	JSON       LogFormat = "json"
)

func (f LogFormat) String() string { return string(f) }

// Values are all of them, in the order in which they are listed to users.
func (LogFormat) Values() []LogFormat { return []LogFormat{AutoFormat, Text, JSON} }

// LogLevel is the lowest level that is logged.
type LogLevel string

const (
	Debug LogLevel = "debug"
	Info  LogLevel = "info"
	Warn  LogLevel = "warn"
	Error LogLevel = "error"
)

func (l LogLevel) String() string { return string(l) }

// Values are all of them, in the order in which they are listed to users.
func (LogLevel) Values() []LogLevel { return []LogLevel{Debug, Info, Warn, Error} }

// Request is what is asked instead of serving.
type Request string

const (
	None    Request = ""
	Restart Request = "restart" // an initd that runs: swap, and wait until only the new generation is left
	Stop    Request = "stop"    // an initd that runs: stop, and wait until it has gone
	Check   Request = "check"   // what initctl check does
)
