package initd

import (
	"server-starter/initd/notify"
	"server-starter/initd/output"
	"server-starter/initd/scoreboard"
	"server-starter/initd/socket"
	"server-starter/initd/terminal"
)

// resources are what initd holds for its workers over all generations. Of each
// but the logs nil means that there is none.
type resources struct {
	sockets  *socket.Set
	board    *scoreboard.Board
	notify   *notify.Sockets
	logs     *output.Logs
	terminal *terminal.Terminal
}
