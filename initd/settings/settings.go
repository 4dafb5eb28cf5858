// Package settings reads what the user wants of initd: the environment, the
// flags and the command. One table makes the variables, the flags, the
// defaults, the errors, --help and --show-config, so that none of them can
// disagree with another.
//
// A flag beats the variable SERVER_STARTER_<NAME>, which beats the variable
// without prefix that start_server reads (four settings only), which beats the
// default. All wrong values are reported at once, those that something better
// overrides included: they are wrong all the same.
package settings

import (
	"cmp"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Version is what --version tells; a release sets it with
// -ldflags "-X server-starter/initd/settings.Version=…".
var Version = "0.1.0"

// Settings are plain values. A duration of 0 means no limit where it limits
// something, and none where it waits.
type Settings struct {
	Port        []string    // specs as given, trimmed: [host:][u]port[=fd]
	Path        []string    // unix socket paths as given, trimmed; @name is abstract
	Backlog     int         // of listen(2); 0: the kernel's somaxconn
	SocketMode  fs.FileMode // bits of chmod(2), 0 to 07777
	SocketOwner Account     // zero: leave
	Export      []string    // tongues, in the order given, each once

	Dir         string  // as given, maybe relative; empty: leave
	User        Account // zero: leave
	Umask       int     // bits of umask(2), 0 to 07777; -1: leave
	Envdir      string  // as given, maybe relative; empty: none
	NoNewPrivs  bool
	DeathSignal syscall.Signal

	Interval     time.Duration
	Ready        Ready
	StartTimeout time.Duration // 0: no limit
	Probe        []string      // argv, empty: none
	ProbeTimeout time.Duration // 0: no limit
	Watchdog     time.Duration // 0: none

	SignalOnHUP         syscall.Signal
	SignalOnTERM        syscall.Signal
	KillOldDelay        time.Duration
	DrainTimeout        time.Duration // 0: no limit
	MaxOldGenerations   int           // 0: no limit
	EnableAutoRestart   bool
	AutoRestartInterval time.Duration

	StopDelay   time.Duration
	StopTimeout time.Duration // 0: no limit
	KillGroup   bool

	Respawn     Respawn
	MaxBackoff  time.Duration
	MaxFailures int                               // 0: no limit
	SignalMap   map[syscall.Signal]syscall.Signal // to 0: drop it; to Reopen
	ExitMap     map[int]int                       // statuses 0 to 255

	PidFile     string // as given, maybe relative; empty: none
	StatusFile  string // likewise
	LogFile     Output // zero: none
	AccessLog   Output // zero: none
	ErrorLog    Output // zero: none
	Daemonize   bool
	RequireRoot bool

	Workers          int // 1 to MostWorkers
	MaxWorkers       int // Workers to MostWorkers; Workers: the pool does not grow
	MinIdle          int // 0 to MostWorkers
	MaxIdle          int // MinIdle to MostWorkers
	Surge            int // 0: the whole generation at once
	ReusePort        bool
	Scoreboard       string         // as given, maybe relative; NoScoreboard; empty: in memory, where there is a pool
	MaxRequests      int            // 0: never
	MaxMemory        int64          // bytes; 0: never
	MaxLifetime      time.Duration  // 0: never
	DisconnectSignal syscall.Signal // 0: none

	Watch               []string // paths as given, maybe relative, and the words WatchEnvdir and WatchCommand
	WatchDebounce       time.Duration
	HookBeforeDaemonize []string // argv, empty: none
	HookAfterInit       []string // likewise
	HookBeforeSwap      []string // likewise
	HookAfterSwap       []string // likewise
	HookBeforeShutdown  []string // likewise
	HookOnDisconnect    []string
	HookTimeout         time.Duration // 0: no limit

	ControlSocket string // as given, maybe relative; NoControlSocket; empty: where initd is PID 1 and can
	HTTP          string // spec as given, trimmed; empty: none
	StderrLines   int    // 0: none are kept
	LogFormat     LogFormat
	LogLevel      LogLevel

	Examined bool // by initctl check

	Request Request  // what is asked instead of serving
	Command []string // never empty, unless Answer is set or an initd is asked that runs already
	Answer  string   // what --help, --version or --show-config has to print; then nothing is to be started
	Notes   []string // what the user should know although nothing is wrong, a sentence each
	Handed  []string // K=V that start_server hands to workers, and only under its name

	sources map[string]source
}

// Ready says what makes a worker ready.
type Ready string

const (
	Alive  Ready = "alive"  // it has lived for Interval
	Notify Ready = "notify" // it has sent READY=1, sd_notify(3)
	Auto   Ready = "auto"   // whichever of the two comes first
)

// Respawn says what a worker's own end leads to.
type Respawn string

const (
	Always    Respawn = "always"     // a new worker
	OnFailure Respawn = "on-failure" // a new worker if it failed, else initd stops
	Never     Respawn = "never"      // initd exits with its status
)

// Request is what is asked instead of serving.
type Request string

const (
	None    Request = ""
	Restart Request = "restart" // an initd that runs: swap, and wait until only the new generation is left
	Stop    Request = "stop"    // an initd that runs: stop, and wait until it has gone
	Check   Request = "check"   // what initctl check does
)

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

// LogLevel is the least level that is logged.
type LogLevel string

const (
	Debug LogLevel = "debug"
	Info  LogLevel = "info"
	Warn  LogLevel = "warn"
	Error LogLevel = "error"
)

// A Setting is a row of the table.
type Setting struct {
	Name    string // kill-old-delay
	Default string // as a user would write it; empty: none
	Example string
	Meaning string
	Bare    bool // start_server reads the variable without the prefix too
	Hidden  bool // it is not for users

	value value
}

const prefix = "SERVER_STARTER"

// Variable is SERVER_STARTER_KILL_OLD_DELAY.
func (r Setting) Variable() string { return prefix + "_" + r.bare() }

// Flag is --kill-old-delay.
func (r Setting) Flag() string { return "--" + r.Name }

func (r Setting) bare() string {
	return strings.ToUpper(strings.ReplaceAll(r.Name, "-", "_"))
}

// Table has a row for each setting that is not hidden, in the order of --help.
func Table() []Setting {
	return slices.DeleteFunc(new(Settings).table(), func(r Setting) bool { return r.Hidden })
}

func (s *Settings) table() []Setting {
	return []Setting{
		{Name: "port", value: (*list)(&s.Port), Example: "8080",
			Meaning: "Listen on [host:][u]port[=fd]: TCP, or UDP with u. No host is 0.0.0.0, an IPv6 one is [::1]:8080. =fd pins the worker's descriptor. A list."},
		{Name: "path", value: (*list)(&s.Path), Example: "/run/app.sock",
			Meaning: "Listen on a unix stream socket; @name is an abstract one. A list."},
		{Name: "backlog", value: (*count)(&s.Backlog), Default: "0", Example: "1024",
			Meaning: "Connections that may wait to be accepted; 0 is the kernel's net.core.somaxconn."},
		{Name: "socket-mode", value: (*mode)(&s.SocketMode), Default: "0777", Example: "0660",
			Meaning: "Mode of the unix sockets."},
		{Name: "socket-owner", value: &s.SocketOwner, Example: "www-data:www-data",
			Meaning: "Owner of the unix sockets."},
		{Name: "export", value: &choices{&s.Export, tongues}, Default: "server-starter;systemd", Example: "systemd",
			Meaning: "Tongues in which workers are told of their listeners: " + strings.Join(tongues, ", ") + ". A list."},

		{Name: "dir", value: (*text)(&s.Dir), Example: "/app",
			Meaning: "Working directory of the workers."},
		{Name: "user", value: &s.User, Example: "65532:65532",
			Meaning: "Run workers as this user and group. Numbers need no /etc/passwd."},
		{Name: "umask", value: (*umask)(&s.Umask), Example: "022",
			Meaning: "File mode mask of the workers."},
		{Name: "envdir", value: (*text)(&s.Envdir), Example: "/etc/app/env", Bare: true,
			Meaning: "Directory of files named for variables, whose first lines are the values; read anew for each generation."},
		{Name: "no-new-privs", value: (*boolean)(&s.NoNewPrivs), Default: "false", Example: "true",
			Meaning: "Workers can never gain privileges, by set-user-ID programs for instance."},
		{Name: "death-signal", value: (*signal)(&s.DeathSignal), Default: "TERM", Example: "KILL",
			Meaning: "What workers get if initd is killed."},

		{Name: "interval", value: (*duration)(&s.Interval), Default: "1s", Example: "10",
			Meaning: "How long a worker must live to count as sound; also the first wait before a failed start is tried again."},
		{Name: "ready", value: &choice{(*string)(&s.Ready), []string{string(Alive), string(Notify), string(Auto)}}, Default: "auto", Example: "notify",
			Meaning: "A worker is ready when it has lived for the interval (alive), when it has sent READY=1 to NOTIFY_SOCKET (notify), or at whichever comes first (auto)."},
		{Name: "start-timeout", value: (*duration)(&s.StartTimeout), Default: "60s", Example: "2m",
			Meaning: "A worker that is not ready by then is killed, and its start has failed; 0 is no limit. If not given it is more than an interval that a worker may need."},
		{Name: "probe", value: (*command)(&s.Probe), Example: "curl -fsS http://127.0.0.1:8080/health",
			Meaning: "Command that must exit 0 before a worker counts as ready: a JSON array of words, or a line for /bin/sh."},
		{Name: "probe-timeout", value: (*duration)(&s.ProbeTimeout), Default: "5s", Example: "2",
			Meaning: "Longest time for one run of the probe; 0 is no limit."},
		{Name: "watchdog", value: (*duration)(&s.Watchdog), Default: "0", Example: "30",
			Meaning: "A worker that sends no WATCHDOG=1 for so long is killed and replaced; 0 is never."},

		{Name: "signal-on-hup", value: (*signal)(&s.SignalOnHUP), Default: "TERM", Example: "QUIT",
			Meaning: "What old workers get after a swap."},
		{Name: "signal-on-term", value: (*signal)(&s.SignalOnTERM), Default: "TERM", Example: "QUIT",
			Meaning: "What workers get when initd is stopped with TERM."},
		{Name: "kill-old-delay", value: (*duration)(&s.KillOldDelay), Default: "0", Example: "5", Bare: true,
			Meaning: "How long a new generation must last before the old one is stopped; 5s with enable-auto-restart if not given."},
		{Name: "drain-timeout", value: (*duration)(&s.DrainTimeout), Default: "0", Example: "5m",
			Meaning: "An old worker that is left so long after it was told to stop is killed; 0 is never."},
		{Name: "max-old-generations", value: (*count)(&s.MaxOldGenerations), Default: "0", Example: "3",
			Meaning: "Beyond so many old generations the oldest is killed; 0 is no limit."},
		{Name: "enable-auto-restart", value: (*boolean)(&s.EnableAutoRestart), Default: "false", Example: "true", Bare: true,
			Meaning: "Swap every auto-restart-interval."},
		{Name: "auto-restart-interval", value: (*duration)(&s.AutoRestartInterval), Default: "360s", Example: "1h", Bare: true,
			Meaning: "Time between such swaps."},

		{Name: "stop-delay", value: (*duration)(&s.StopDelay), Default: "0", Example: "5",
			Meaning: "How long workers serve on after initd was told to stop."},
		{Name: "stop-timeout", value: (*duration)(&s.StopTimeout), Default: "0", Example: "25",
			Meaning: "Workers that are left so long after they were told to stop are killed; 0 is never."},
		{Name: "kill-group", value: (*boolean)(&s.KillGroup), Default: "false", Example: "true",
			Meaning: "Kill the worker's process group instead of the worker alone."},

		{Name: "respawn", value: &choice{(*string)(&s.Respawn), []string{string(Always), string(OnFailure), string(Never)}}, Default: "always", Example: "on-failure",
			Meaning: "Whether a worker that ends by itself is replaced: always, on-failure (else initd stops), or never (initd is a plain init and exits with its status)."},
		{Name: "max-backoff", value: (*duration)(&s.MaxBackoff), Default: "30s", Example: "60",
			Meaning: "Longest wait between two starts of a command that keeps failing."},
		{Name: "max-failures", value: (*count)(&s.MaxFailures), Default: "0", Example: "5",
			Meaning: "Give up after so many failed starts in a row; 0 is never."},
		{Name: "signal-map", value: (*signalMap)(&s.SignalMap), Example: "USR2:HUP;WINCH:0",
			Meaning: "Signals that initd takes for another one; to 0 drops it, to REOPEN has the log files opened anew. A list."},
		{Name: "exit-map", value: (*exitMap)(&s.ExitMap), Example: "143:0",
			Meaning: "Exit statuses that initd turns into another one. A list."},

		{Name: "pid-file", value: (*text)(&s.PidFile), Example: "/run/app.pid",
			Meaning: "File for initd's pid, locked while initd runs: a second instance is refused."},
		{Name: "status-file", value: (*text)(&s.StatusFile), Example: "/run/app.status",
			Meaning: "File with a line generation:pid for each worker of a ready or old generation."},
		{Name: "log-file", value: &s.LogFile, Example: "| cronolog /var/log/app.%Y%m%d",
			Meaning: "Append the output of initd and of the workers to a file, or pipe it to | command, which is started again if it ends."},
		{Name: "access-log", value: &s.AccessLog, Example: "/var/log/app/access.log",
			Meaning: "The same for the workers' standard output alone."},
		{Name: "error-log", value: &s.ErrorLog, Example: "/var/log/app/error.log",
			Meaning: "The same for the workers' standard error alone."},
		{Name: "daemonize", value: (*boolean)(&s.Daemonize), Default: "false", Example: "true",
			Meaning: "Go to the background: return when the first generation is ready, or has failed. Needs log-file or error-log."},
		{Name: "require-root", value: (*boolean)(&s.RequireRoot), Default: "false", Example: "true",
			Meaning: "Refuse to start as another user than root."},

		{Name: "workers", value: &size{&s.Workers, 1}, Default: "1", Example: "4",
			Meaning: "Workers to a generation, each in a slot of its own."},
		{Name: "max-workers", value: &size{&s.MaxWorkers, 0}, Example: "16",
			Meaning: "The pool may grow from workers up to so many, as needed; if not given, or 0, it does not."},
		{Name: "min-idle", value: &size{&s.MinIdle, 0}, Default: "1", Example: "2",
			Meaning: "The pool grows while fewer workers than that are idle."},
		{Name: "max-idle", value: &size{&s.MaxIdle, 0}, Example: "8",
			Meaning: "The pool shrinks, down to workers, while more workers than that are idle; no less than min-idle. If not given it is workers, or min-idle + 1 if that is more, but less than max-workers."},
		{Name: "surge", value: &size{&s.Surge, 0}, Default: "0", Example: "1",
			Meaning: "Swap so many slots at a time, so that memory grows by so many workers; 0 is the whole generation at once."},
		{Name: "reuse-port", value: (*boolean)(&s.ReusePort), Default: "false", Example: "true",
			Meaning: "Each slot gets a socket of its own for each port (SO_REUSEPORT), among which the kernel shares out connections."},
		{Name: "scoreboard", value: (*scoreboard)(&s.Scoreboard), Example: "/run/app.scoreboard",
			Meaning: "File for the memory in which workers tell whether they are busy, so that others can read it, or none to do without. If not given it has no name, and is there where there is a pool."},
		{Name: "max-requests", value: (*count)(&s.MaxRequests), Default: "0", Example: "10000",
			Meaning: "A worker is replaced after about so many requests, which it has to count on the scoreboard; 0 is never."},
		{Name: "max-memory", value: (*bytes)(&s.MaxMemory), Default: "0", Example: "512M",
			Meaning: "A worker that has more resident memory is replaced; 0 is never. K, M, G and T are powers of 1024, and so are Ki, KB and their like."},
		{Name: "max-lifetime", value: (*duration)(&s.MaxLifetime), Default: "0", Example: "12h",
			Meaning: "A worker is replaced at about that age; 0 is never."},
		{Name: "disconnect-signal", value: (*gone)(&s.DisconnectSignal), Example: "USR1",
			Meaning: "What a worker gets when its client has gone away while it is busy with the request."},

		{Name: "watch", value: (*list)(&s.Watch), Example: "/etc/app",
			Meaning: "Swap when the content of a file or directory has changed; " + WatchEnvdir + " and " + WatchCommand + " are the envdir and the command's own file. A list."},
		{Name: "watch-debounce", value: (*duration)(&s.WatchDebounce), Default: "1s", Example: "5",
			Meaning: "How long nothing more must have changed before that."},
		{Name: "hook-before-daemonize", value: (*command)(&s.HookBeforeDaemonize), Example: "test -w /var/log/app",
			Meaning: "Command to run before initd goes to the background; if it fails, initd ends. Like all hooks a JSON array of words, or a line for /bin/sh, and told by SERVER_STARTER_EVENT what it is about."},
		{Name: "hook-after-init", value: (*command)(&s.HookAfterInit), Example: "mkdir -p /run/app",
			Meaning: "Command to run when the listeners are bound, before the first worker; if it fails, initd ends."},
		{Name: "hook-before-swap", value: (*command)(&s.HookBeforeSwap), Example: "nginx -t",
			Meaning: "Command to run before a swap, such as a configuration test; if it fails, the swap is refused."},
		{Name: "hook-after-swap", value: (*command)(&s.HookAfterSwap), Example: "logger swapped",
			Meaning: "Command to run after a swap, or an attempt at one."},
		{Name: "hook-before-shutdown", value: (*command)(&s.HookBeforeShutdown), Example: "logger stopping",
			Meaning: "Command to run before the workers are stopped."},
		{Name: "hook-on-disconnect", value: (*command)(&s.HookOnDisconnect), Example: "kill $SERVER_STARTER_PID",
			Meaning: "Command to run when the client of a worker has gone away while the worker is busy with the request; SERVER_STARTER_PID is the worker's."},
		{Name: "hook-timeout", value: (*duration)(&s.HookTimeout), Default: "30s", Example: "2m",
			Meaning: "A hook that runs longer is killed, and has failed; 0 is no limit."},

		{Name: "control-socket", value: (*pathOrNone)(&s.ControlSocket), Example: "/run/app/initd.sock",
			Meaning: "Unix socket by which initctl sees and steers initd, or none. If not given it is /run/initd.sock, or else /dev/shm/initd.sock, where initd is PID 1 and no plain init."},
		{Name: "http", value: (*text)(&s.HTTP), Example: ":9100",
			Meaning: "Serve health, metrics and a page for people on [host:]port. That does initctl, which has to be beside initd or in PATH."},
		{Name: "stderr-lines", value: &size{&s.StderrLines, 0}, Default: "0", Example: "20",
			Meaning: "Keep so many of the last lines that each worker has written to stderr, to be shown where it fails. They go through initd then."},
		{Name: "log-format", value: &choice{(*string)(&s.LogFormat), []string{string(AutoFormat), string(Text), string(JSON)}}, Default: "auto", Example: "json",
			Meaning: "Form of the log on stderr; auto is text on a terminal and json elsewhere."},
		{Name: "log-level", value: &choice{(*string)(&s.LogLevel), []string{string(Debug), string(Info), string(Warn), string(Error)}}, Default: "info", Example: "debug",
			Meaning: "Least level that is logged."},
		{Name: "examined", value: (*boolean)(&s.Examined), Default: "false", Example: "true", Hidden: true,
			Meaning: "Set by initctl check: sockets that are named by =fd are taken wherever they are bound."},
	}
}

var tongues = []string{"server-starter", "systemd", "nginx", "php-fpm", "unicorn", "puma"}

// A source is where a value came from: a variable, a flag, or neither.
type source struct {
	variable, flag string
	text           string // as given, the last of a list
}

func (s source) String() string { return cmp.Or(s.variable, s.flag, "default") }

// Given says whether the user set it, in whatever way. It panics for a name
// that is no setting's.
func (s *Settings) Given(name string) bool {
	from := s.sources[row(name).Name]
	return from.variable != "" || from.flag != ""
}

func row(name string) Setting {
	for _, r := range new(Settings).table() {
		if r.Name == name {
			return r
		}
	}
	panic("settings: no setting " + name)
}

// Scrub drops from K=V strings the variables of the settings, as a worker must
// not see them: it might be an initd itself. With them go those that another
// initd has handed to this one, for they are about its pool.
func Scrub(environ []string) []string {
	ours := make(map[string]bool)
	for _, word := range handed {
		ours[prefix+"_"+word] = true
	}
	for _, r := range new(Settings).table() {
		ours[r.Variable()] = true
	}
	kept := make([]string, 0, len(environ))
	for _, kv := range environ {
		if name, _, _ := strings.Cut(kv, "="); !ours[name] {
			kept = append(kept, kv)
		}
	}
	return kept
}
