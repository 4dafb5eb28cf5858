package settings

// What users have to know apart from the settings: --help and docs/REFERENCE.md
// are made from these tables, too.

// A Row is of a table for users.
type Row struct {
	Word    string
	Brief   string // in a line of --help; empty: most people do not need it
	Meaning string // in --help=all and docs/REFERENCE.md
}

// Syntax is how settings are written, a paragraph each, and Types how values are.
var Syntax = []string{
	"Every setting has a flag, --stop-timeout, and a variable, SERVER_STARTER_STOP_TIMEOUT. A flag overrides the variable, and the variable overrides the default. ENVDIR, KILL_OLD_DELAY, ENABLE_AUTO_RESTART and AUTO_RESTART_INTERVAL are read without SERVER_STARTER_ as well, as start_server reads them; the variable with the prefix overrides the one without. Flags end at the first word that is not one, or at --. An empty variable counts as unset, and white space around a value is ignored.",
	"All wrong settings are reported at once, and nothing is started. An unknown variable that begins with SERVER_STARTER_ is an error, except those that initd gives its own workers: it ignores these, and logs a warning unless another initd has started it. Kubernetes makes such variables for a Service named server-starter: initd ignores these, but refuses a SERVER_STARTER_PORT made that way. To keep them out, set enableServiceLinks: false in the pod's spec.",
}

// Types are how values are written.
var Types = []Row{
	{"list", "", "Repeat the flag; in a variable, separate the items by semicolons or newlines. Flags replace the whole list of the variable."},
	{"duration", "", "Seconds (10, 1.5), or a number with units (500ms, 1m30s)."},
	{"signal", "", "TERM, SIGTERM, sigterm, 15 or RTMIN+1."},
	{"boolean", "", "1 or 0, true or false, yes or no, on or off. A flag without a value is true."},
	{"octal mode", "", "0777, 777 or 0o777."},
	{"size in bytes", "", "512M, 1.5G, 512Mi or 1073741824; at least 1M, or 0. K, M, G and T are powers of 1024, as are Ki, KB and KiB."},
	{"user[:group]", "", "Names or numbers."},
	{"command", "", "A line for /bin/sh, or a JSON array of words, which is run without a shell."},
	{"path or | command", "", "A file, or a pipe and a command."},
}

// Signals are what signals to initd mean.
var Signals = []Row{
	{"HUP", "swap: start new workers, then stop the old ones",
		"Swap: start a new generation, then stop the old one. Any number of requests that come while a swap is under way make one more swap after it."},
	{"TERM, INT, QUIT", "stop; TERM or INT again kills what is left",
		"Stop: workers get signal-on-term, TERM, or QUIT. A second TERM or INT kills those that are left."},
	{"TTIN, TTOU", "one worker more, one worker fewer",
		"One worker more, one worker fewer. Ignored with respawn=never, because a terminal sends them as well."},
	{"others", "passed on to the workers",
		"Passed on to the workers; signal-map may change them, or make one reopen the log files (USR1:REOPEN)."},
	{"KILL", "",
		"Cannot be caught: initd is killed, and workers get the death-signal."},
}

// SignalNotes complete Signals, a paragraph each.
var SignalNotes = []string{
	"With respawn=never HUP, TERM, INT and QUIT are passed on to the command as well.",
	"Never passed on: CHLD, PIPE and XFSZ; TSTP, TTIN and TTOU, unless signal-map rewrites them; and the signals that a Go program cannot catch or shares with its runtime: KILL, STOP, URG, PROF, 32, 33 and 34 (34 is what the C library calls RTMIN).",
}

// ExitStatuses are those of initd.
var ExitStatuses = []Row{
	{"0", "stopped as asked",
		"Stopped as asked, whatever the workers' statuses were. --restart and --stop: done. --daemonize: the first generation is ready."},
	{"1", "",
		"--restart, --stop or --daemonize failed, for the reason given."},
	{"64", "wrong usage or settings; nothing was started",
		"Wrong usage or settings; nothing was started."},
	{"70", "",
		"A defect in initd."},
	{"125", "set-up failed: port in use, no such user",
		"initd could not set itself up: a port in use, no such user, an unreadable envdir."},
	{"126, 127", "command cannot be executed, not found",
		"The command cannot be executed, or is not found."},
	{"other", "the command's own; 128+n if signal n ended it",
		"The command's own, or 128+n if signal n ended it; exit-map may change it. initd exits with it where respawn=never; where respawn=on-failure and the worker succeeded; and where max-failures was reached and nothing is serving."},
}

// Commands are the flags that are no settings.
var Commands = []Row{
	{"--help, --help=all", "", "Print the usage and the settings most people need, or everything. -h is --help."},
	{"--version", "", "Print the version. -v is --version."},
	{"--show-config", "print each setting and where it came from",
		"Print the value of each setting and where it came from."},
	{"--restart", "swap the initd of --pid-file, and wait",
		"Ask the initd that pid-file names to swap, and wait until a generation begun after the request is the only one left. It fails if initd ends or the swap is refused or given up. While attempts fail and are repeated it waits; to limit that, run it under timeout(1). Needs pid-file and status-file."},
	{"--stop", "stop the initd of --pid-file, and wait",
		"Ask the initd that pid-file names to stop, and wait until it has ended. Needs pid-file. In the container that it stops, --stop is killed together with PID 1 and does not return."},
}

// A Variable is one that initd sets for the processes that it starts. An initd
// that is itself a worker is given them: they are no settings.
type Variable struct {
	Name    string
	For     Reader
	Meaning string
}

// Reader is what finds a variable in its environment.
type Reader int

const (
	ForWorkers Reader = 1 << iota
	ForProbes
	ForHooks
)

// Variables are those that initd sets, besides those of the protocols.
var Variables = []Variable{
	{prefix + "_GENERATION", ForWorkers | ForProbes | ForHooks, "Number of the generation: 1, 2, 3 … Every attempt takes the next number."},
	{prefix + "_WORKER", ForWorkers | ForHooks, "Slot of the worker in its generation: 0, 1, 2 … Of hooks only hook-on-disconnect has it."},
	{prefix + "_SCOREBOARD", ForWorkers, "File descriptor of the scoreboard, if there is one: see docs/SCOREBOARD.md."},
	{prefix + "_SCOREBOARD_ROW", ForWorkers, "Row of the worker on the scoreboard."},
	{prefix + "_EVENT", ForHooks, "Name of the hook without hook-: after-init, before-swap and so on."},
	{prefix + "_RESULT", ForHooks, "success or failure."},
	{prefix + "_REASON", ForHooks, "Reason for a failure, else empty."},
	{prefix + "_PID", ForHooks, "hook-on-disconnect: pid of the worker."},
	{"NOTIFY_SOCKET", ForWorkers, "Socket that receives READY=1, STATUS=… and WATCHDOG=1: sd_notify(3). A plain init leaves it as it is."},
	{"WATCHDOG_USEC", ForWorkers, "If watchdog is set: its value in microseconds. A plain init leaves it as it is."},
}

// A Protocol is a way to tell a worker about its sockets.
type Protocol struct {
	Name    string
	Example string // of its variables, for port 8080 and path /run/app.sock
	Meaning string
}

// BindProtocol is the one by which initd answers the worker's own bind(2).
const BindProtocol = "bind"

// ExportProtocols are those that the setting export may name.
var ExportProtocols = []Protocol{
	{"server-starter", prefix + "_PORT=8080=3;/run/app.sock=4", "Always set; empty without a socket."},
	{"systemd", "LISTEN_FDS=2, LISTEN_PID=…, LISTEN_FDNAMES=tcp-8080:unix-/run/app.sock", "The descriptors from 3 up to the first gap: sd_listen_fds(3)."},
	{"nginx", "NGINX=3;4;", "Sockets of TCP, UDP and Unix."},
	{"php-fpm", "FPM_SOCKETS=0.0.0.0:8080=3", "TCP only."},
	{"unicorn", "UNICORN_FD=3,4", "TCP and Unix."},
	{"puma", "PUMA_INHERIT_0=3:tcp://0.0.0.0:8080, PUMA_INHERIT_1=4:unix:///run/app.sock", "TCP and Unix."},
	{BindProtocol, "", "No variable: where the worker itself binds the address of a listener, it gets the listener instead. TCP, UDP and Unix: see docs/guide/bind.md."},
}

// protocolNames are the words that export takes.
func protocolNames() (names []string) {
	for _, p := range ExportProtocols {
		names = append(names, p.Name)
	}
	return names
}
