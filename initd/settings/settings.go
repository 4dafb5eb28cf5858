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
// -ldflags "-X server-starter/initd/settings.Version=…".
var Version = "0.1.0"

// Settings are what the user wants. envconfig reads the variables and the
// defaults by these tags: it makes SERVER_STARTER_KILL_OLD_DELAY of
// KillOldDelay, and where a tag names a variable itself, it reads that one
// without prefix, too, if the one with prefix is not set. The flag is
// --kill-old-delay. desc is what --help says, example what errors propose; a
// hidden setting is not documented.
//
// A duration of 0 means no limit where it limits something, and none where it
// waits. Paths are as given, maybe relative.
type Settings struct {
	// Listeners.
	Port        List      `example:"8080" desc:"Listen on [host:][u]port[=fd]: TCP, or UDP with u. Without a host it is 0.0.0.0; IPv6 is written [::1]:8080. =fd sets the number of the worker's file descriptor. A list."`
	Path        List      `example:"/run/app.sock" desc:"Listen on a Unix stream socket; @name is an abstract one. A list."`
	Backlog     Count     `default:"0" example:"1024" desc:"Connections that may wait to be accepted; 0 means the kernel's net.core.somaxconn."`
	SocketMode  Mode      `split_words:"true" default:"0777" example:"0660" desc:"Mode of the Unix sockets."`
	SocketOwner Account   `split_words:"true" example:"www-data:www-data" desc:"Owner of the Unix sockets."`
	Export      Protocols `default:"server-starter;systemd" example:"systemd" desc:"Protocols by which workers learn of their listeners: server-starter, systemd, nginx, php-fpm, unicorn, puma. A list."`

	// What a worker runs as.
	Dir         string  `example:"/app" desc:"Working directory of the workers."`
	User        Account `example:"65532:65532" desc:"User and group that the workers run as. Numbers need no /etc/passwd."`
	Umask       Mode    `example:"022" desc:"File mode creation mask of the workers."`
	Envdir      string  `envconfig:"ENVDIR" example:"/etc/app/env" desc:"Directory with a file for each variable: its name is the variable's, its first line the value. Read again for each generation."`
	NoNewPrivs  Bool    `split_words:"true" default:"false" example:"true" desc:"Workers can never gain privileges, for example by set-user-ID programs."`
	DeathSignal Signal  `split_words:"true" default:"TERM" example:"KILL" desc:"Signal that workers get if initd itself is killed."`

	// When a worker is ready.
	Interval     Duration              `default:"1s" example:"10" desc:"How long a worker must live to count as stable; also the first wait before a failed start is tried again."`
	Ready        Choice[machine.Ready] `default:"auto" example:"notify" desc:"A worker is ready when it has lived for the interval (alive), when it has sent READY=1 to NOTIFY_SOCKET (notify), or at whichever comes first (auto)."`
	StartTimeout Duration              `split_words:"true" default:"60s" example:"2m" desc:"A worker that is not ready by then is killed, and its start has failed; 0 means no limit. If not set, an interval of a minute or more is added to it."`
	Probe        Command               `example:"curl -fsS http://127.0.0.1:8080/health" desc:"Command that must exit with 0 before a worker counts as ready: a JSON array of words, or a line for /bin/sh."`
	ProbeTimeout Duration              `split_words:"true" default:"5s" example:"2" desc:"Time limit for one run of the probe; 0 means none."`
	Watchdog     Duration              `default:"0" example:"30" desc:"A worker that sends no WATCHDOG=1 for this long is killed and replaced; 0 means never."`

	// Swaps.
	SignalOnHUP         Signal   `split_words:"true" default:"TERM" example:"QUIT" desc:"Signal that stops old workers after a swap."`
	SignalOnTERM        Signal   `split_words:"true" default:"TERM" example:"QUIT" desc:"Signal that stops workers when initd is stopped with TERM."`
	KillOldDelay        Duration `envconfig:"KILL_OLD_DELAY" default:"0" example:"5" desc:"How long a new generation must last before the old one is stopped. If not set, it is 5s with enable-auto-restart."`
	DrainTimeout        Duration `split_words:"true" default:"0" example:"5m" desc:"An old worker that has not ended this long after it was told to stop is killed; 0 means never."`
	MaxOldGenerations   Count    `split_words:"true" default:"0" example:"3" desc:"If there are more old generations than this, the oldest is killed; 0 means no limit."`
	EnableAutoRestart   Bool     `envconfig:"ENABLE_AUTO_RESTART" default:"false" example:"true" desc:"Swap every auto-restart-interval."`
	AutoRestartInterval Duration `envconfig:"AUTO_RESTART_INTERVAL" default:"360s" example:"1h" desc:"Time between such swaps."`

	// Stopping.
	StopDelay   Duration `split_words:"true" default:"0" example:"5" desc:"How long workers go on serving after initd was told to stop."`
	StopTimeout Duration `split_words:"true" default:"0" example:"25" desc:"Workers that have not ended this long after they were told to stop are killed; 0 means never."`
	KillGroup   Bool     `split_words:"true" default:"false" example:"true" desc:"Kill the worker's process group instead of the worker alone."`

	// What a worker's end leads to.
	Respawn     Choice[machine.Respawn] `default:"always" example:"on-failure" desc:"Whether a worker that ends by itself is replaced: always, on-failure (else initd stops), or never (initd is a plain init and exits with its status)."`
	MaxBackoff  Duration                `split_words:"true" default:"30s" example:"60" desc:"Longest wait between two starts of a command that keeps failing."`
	MaxFailures Count                   `split_words:"true" default:"0" example:"5" desc:"Give up after this many failed starts in a row; 0 means never."`
	SignalMap   SignalMap               `split_words:"true" example:"USR2:HUP;WINCH:0" desc:"Signals that initd treats as another one; 0 ignores the signal, REOPEN reopens the log files. A list."`
	ExitMap     ExitMap                 `split_words:"true" example:"143:0" desc:"Exit statuses that initd replaces with another one. A list."`

	// Files and the background.
	PidFile     string `split_words:"true" example:"/run/app.pid" desc:"File for initd's pid, locked while initd runs: a second instance is refused."`
	StatusFile  string `split_words:"true" example:"/run/app.status" desc:"File with a line generation:pid for each worker of a ready or old generation."`
	LogFile     Output `split_words:"true" example:"| cronolog /var/log/app.%Y%m%d" desc:"Append the output of initd and of the workers to a file, or pipe it to | command, which is restarted if it ends."`
	AccessLog   Output `split_words:"true" example:"/var/log/app/access.log" desc:"The same for the workers' standard output alone."`
	ErrorLog    Output `split_words:"true" example:"/var/log/app/error.log" desc:"The same for the workers' standard error alone."`
	Daemonize   Bool   `default:"false" example:"true" desc:"Go to the background: return when the first generation is ready, or has failed. Needs log-file or error-log."`
	RequireRoot Bool   `split_words:"true" default:"false" example:"true" desc:"Refuse to start as a user other than root."`

	// Pools of workers.
	Workers          PoolSize       `default:"1" example:"4" desc:"Number of workers in a generation, each in a slot of its own."`
	MaxWorkers       Size           `split_words:"true" example:"16" desc:"The pool may grow from workers up to this number, as needed. If not set, or 0, it does not grow."`
	MinIdle          Size           `split_words:"true" default:"1" example:"2" desc:"The pool grows while fewer workers than this are idle."`
	MaxIdle          Size           `split_words:"true" example:"8" desc:"The pool shrinks, down to workers, while more workers than this are idle; at least min-idle. If not set, it is workers, or min-idle + 1 if that is more, but less than max-workers."`
	Surge            Size           `default:"0" example:"1" desc:"Swap this many slots at a time, so that memory grows by no more than this many workers; 0 means the whole generation at once."`
	ReusePort        Bool           `split_words:"true" default:"false" example:"true" desc:"Each slot gets a socket of its own for each port (SO_REUSEPORT); the kernel distributes connections among them."`
	Scoreboard       Scoreboard     `example:"/run/app.scoreboard" desc:"File for the shared memory in which workers report whether they are busy, so that other programs can read it; none disables it. If not set, it has no name, and exists where there is a pool."`
	MaxRequests      Count          `split_words:"true" default:"0" example:"10000" desc:"A worker is replaced after about this many requests, which it must count on the scoreboard; 0 means never."`
	MaxMemory        Bytes          `split_words:"true" default:"0" example:"512M" desc:"A worker with more resident memory than this is replaced; 0 means never. K, M, G and T are powers of 1024, and so are Ki, KB and the like."`
	MaxLifetime      Duration       `split_words:"true" default:"0" example:"12h" desc:"A worker is replaced at about this age; 0 means never."`
	DisconnectSignal OptionalSignal `split_words:"true" example:"USR1" desc:"Signal that a worker gets when its client has gone away while it is busy with the request."`

	// Watched files, and hooks.
	Watch               List     `example:"/etc/app" desc:"Swap when the content of a file or directory has changed; envdir stands for the envdir and command for the command's own file. A list."`
	WatchDebounce       Duration `split_words:"true" default:"1s" example:"5" desc:"How long nothing more may change before that swap begins."`
	HookBeforeDaemonize Command  `split_words:"true" example:"test -w /var/log/app" desc:"Command to run before initd goes to the background; if it fails, initd exits. Like all hooks it is a JSON array of words, or a line for /bin/sh; SERVER_STARTER_EVENT says which event it runs for."`
	HookAfterInit       Command  `split_words:"true" example:"mkdir -p /run/app" desc:"Command to run when the listeners are bound, before the first worker; if it fails, initd exits."`
	HookBeforeSwap      Command  `split_words:"true" example:"nginx -t" desc:"Command to run before a swap, such as a configuration test; if it fails, the swap is refused."`
	HookAfterSwap       Command  `split_words:"true" example:"logger swapped" desc:"Command to run after a swap, or after an attempt at one."`
	HookBeforeShutdown  Command  `split_words:"true" example:"logger stopping" desc:"Command to run before the workers are stopped."`
	HookOnDisconnect    Command  `split_words:"true" example:"kill $SERVER_STARTER_PID" desc:"Command to run when the client of a worker has gone away while the worker is busy with the request; SERVER_STARTER_PID is the worker's pid."`
	HookTimeout         Duration `split_words:"true" default:"30s" example:"2m" desc:"A hook that runs longer than this is killed, and has failed; 0 means no limit."`

	// Control, health and logs.
	ControlSocket PathOrNone        `split_words:"true" example:"/run/app/initd.sock" desc:"Unix socket by which initctl queries and controls initd; none disables it. If not set, it is /run/initd.sock, or else /dev/shm/initd.sock, where initd is PID 1 and not a plain init."`
	HTTP          string            `example:":9100" desc:"Serve health, metrics and a page for people on [host:]port. This is done by initctl, which must be installed beside initd or in PATH."`
	StderrLines   Size              `split_words:"true" default:"0" example:"20" desc:"Keep this many of the last lines that each worker has written to stderr, to be shown when it fails. They then pass through initd."`
	LogFormat     Choice[LogFormat] `split_words:"true" default:"auto" example:"json" desc:"Format of the log on stderr; auto means text on a terminal and json elsewhere."`
	LogLevel      Choice[LogLevel]  `split_words:"true" default:"info" example:"debug" desc:"Lowest level that is logged."`

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
