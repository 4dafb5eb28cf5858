// Initctl inspects and controls the initd of a container.
//
//	initctl [--control-socket PATH] command [flags] [arguments]
//
// # Commands
//
// Inspect:
//
//	status      generations, workers, listeners and recent swaps, as a table or, with --json, as JSON; --wide shows everything
//	top         the same live, with generations as bars on a timeline
//	events      new lines of initd's log, as text or, with --json, as JSON
//	env         the variables of a generation; for root, with --values, also their values
//	settings    the settings in effect and where each one comes from
//	metrics     the metrics in the format of Prometheus
//	version     the versions of initctl, initd and the protocol
//
// Control:
//
//	restart     swap, and wait for the outcome: --keep-trying, --no-wait, --timeout
//	await       wait for the outcome of a swap requested with restart --no-wait
//	stop        stop initd, and wait until it is gone: --signal, --no-wait, --timeout
//	scale       set how many workers the pool has when idle
//	signal      send workers a signal: --generation, --slot
//
// Use in containers:
//
//	check       check whether a server supports hot swaps, and recommend settings; takes initd's settings, and --initd
//	health      print one line, and exit with 0 or 1: --live, --ready, --startup
//	sleep       sleep, as a preStop hook without a shell
//	install     copy initd and initctl into a directory
//	completion  generate shell completions
//
// The --help of each command has examples. Durations are written as in initd's settings: seconds (10, 1.5), or with units
// (500ms, 1m30s).
//
// # Where initd is found
//
// The control socket is the path given with --control-socket, else the variable SERVER_STARTER_CONTROL_SOCKET, else
// /run/initd.sock, else /dev/shm/initd.sock. Only root and the user that initd runs as may connect.
//
// # Exit status
//
//	0    done; healthy; ready for hot swaps; the new generation is serving
//	1    failed, for the reason given: initd refused the request, a timeout, a file that cannot be written; not healthy; not
//	     ready for hot swaps
//	3    restart, await: the first attempt failed (without --keep-trying), or the swap was refused, given up, or stopped
//	     because initd is stopping
//	4    restart, await: the swap was superseded by a newer one
//	5    no initd answers, or it exited in the meantime (health: 1)
//	64   wrong usage or settings
//	125  check: the check could not be carried out
//	130  interrupted (events and top: 0; check: 128 plus the number of the signal)
//
// # Terminals
//
// Colours are used on terminals only; NO_COLOR=1 and TERM=dumb turn them off. While a command waits, its progress is shown
// on stderr: on a terminal in one line that disappears at the end; elsewhere, or with TERM=dumb, one line for each step.
package main
