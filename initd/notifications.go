package initd

import (
	"os"

	"server-starter/initd/notify"
)

// hear opens the notification socket of a generation and returns its address.
// What it brings goes to the loop, one at a time.
func (in *instance) hear(generation int) (address string, err error) {
	server, err := notify.Listen()
	if err != nil {
		return "", err
	}
	in.notify[generation] = server
	go func() {
		defer in.breaks()
		for {
			message, err := server.Receive()
			if err != nil {
				return // closed
			}
			in.notes <- note{generation, message}
		}
	}()
	return server.Address(), nil
}

// forget closes the notification socket of a generation.
func (in *instance) forget(generation int) {
	if server := in.notify[generation]; server != nil {
		server.Close()
		delete(in.notify, generation)
	}
}

// trusts reports whether a user is the workers', initd's own or root.
func (in *instance) trusts(uid int) bool {
	return uid == 0 || uid == os.Geteuid() || in.credential != nil && uid == int(in.credential.UID)
}

// report speaks to the supervisor of initd itself, if there is one.
func (in *instance) report(state string) {
	if err := notify.Send(in.supervisor, state); err != nil {
		in.log.Debug(err.Error(), "event", "report-failed")
	}
}
