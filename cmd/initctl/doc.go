// Initctl inspects and controls the initd of a container.
//
//	initctl [--control-socket PATH] command [flags] [arguments]
//
// # Commands
//
// To see:
//
//	status      generations, workers, listeners and the last swaps: a table, --wide, or --json
//	top         the same live, with generations as bars on a time line
//	events      initd's log from now on, as text or --json
//	env         variables of a generation; with --values for root
//	settings    the settings in force, and where each came from
//	metrics     what Prometheus reads
//	version     of initctl, initd and the protocol
//
// To steer:
//
//	restart     swap, and wait for the outcome: --keep-trying, --no-wait, --timeout
//	await       wait for the outcome of a swap that was asked for with restart --no-wait
//	stop        stop initd, and wait until it is gone: --signal, --no-wait, --timeout
//	scale       change how many workers the pool has when idle
//	signal      send workers a signal: --generation, --slot
//
// For containers:
//
//	check       find out whether a server is fit for swaps, and what to set: with initd's settings, and --initd
//	health      one line and 0 or 1: --live, --ready, --startup
//	sleep       wait for a while, as a preStop hook
//	install     copy initd and initctl into a directory
//	completion  completions for shells
//
// Each has examples in its --help. Durations are as in initd's settings: seconds (10, 1.5), or with units (500ms, 1m30s).
//
// # Where initd is found
//
// The control socket is the one that --control-socket names, else the variable SERVER_STARTER_CONTROL_SOCKET, else
// /run/initd.sock, else /dev/shm/initd.sock. Only root and the user that initd runs as may connect.
//
// # Exit status
//
//	0    done; healthy; fit; the new generation is serving
//	1    not done, for the reason given: initd refuses it, it took too long, a file cannot be written; not healthy; not fit
//	3    restart, await: the first attempt failed (not with --keep-trying), or the swap was refused, given up or stopped:
//	     that is where initd is stopping
//	4    restart, await: the swap was superseded by a newer one
//	5    no initd answers, or it has ended meanwhile (of health: 1)
//	64   wrong usage or settings
//	125  check: nothing could be found out
//	130  interrupted (of events and top: 0); check: 128 and the number of the signal
//
// # Terminals
//
// Colours are for terminals alone; NO_COLOR=1 and TERM=dumb do without. What is waited for is shown on stderr: on a
// terminal in one line that goes away in the end, and elsewhere, or with TERM=dumb, in a line each.
package main
