// Initd is the PID 1 of a container that replaces a server with a new version of it without losing a connection.
//
//	initd [flags] [--] command [argument ...]
//
// It binds the listeners, starts the command with them as a generation of workers, and reaps every process that ends. On
// HUP it starts the command again next to the old one, on the same listeners and with the environment and the program
// file as they are then; waits until the new generation is ready; and only then asks the old one to stop. A new
// generation that fails changes nothing for the old one.
//
// A server on port 8080; one that notifies when it is ready, in a pool of four; and a plain init for one command:
//
//	initd --port=8080 -- ./server
//	initd --port=8080 --ready=notify --workers=4 -- ./server
//	initd --respawn=never -- make test
//
// docs/REFERENCE.md describes all settings, signals, exit statuses, what a worker is given, files and the log. `initd
// --help` prints what most people need, and `initd --help=all` all settings, signals and exit statuses.
package main
