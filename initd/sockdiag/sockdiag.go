// Package sockdiag asks the kernel about the sockets of this network namespace
// by sock_diag(7), which needs no privilege.
//
// For each question the kernel walks its tables of all sockets: the cost grows a
// little with every connection there is, and much with those that match and are
// copied. So the kernel is asked to select by state and port. A dump is no snapshot: a
// connection that is opened or closed meanwhile may be in it or not.
package sockdiag

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// States is a set of states: the bit 1<<n is state n of linux/net/tcp_states.h.
// Unix sockets use the same numbers.
type States uint32

const (
	Established States = 1 << 1 // TCP_ESTABLISHED
	CloseWait   States = 1 << 8 // TCP_CLOSE_WAIT: the other end has closed, or will send no more
)

// byFamily is SOCK_DIAG_BY_FAMILY of linux/sock_diag.h.
const byFamily = 20

// ask sends a question and calls visit with each message of the answer, valid
// until visit returns. It opens a netlink socket for that and closes it, so that no
// child can inherit one and no late answer can remain in it.
func ask(network string, flags int, question message, visit func([]byte)) error {
	request := nl.NewNetlinkRequest(byFamily, flags)
	request.AddData(question)
	err := request.ExecuteIter(unix.NETLINK_SOCK_DIAG, byFamily, func(message []byte) bool {
		visit(message)
		return true
	})
	switch {
	case err == nil, errors.Is(err, nl.ErrDumpInterrupted): // it is no snapshot anyway
		return nil
	case flags&unix.NLM_F_DUMP == 0 && err == unix.ENOENT:
		return err
	case err == unix.ENOENT, // no module for the family
		err == unix.EPROTONOSUPPORT, err == unix.EAFNOSUPPORT, // no netlink, as under gVisor
		err == unix.EPERM, err == unix.EACCES: // a seccomp filter
		return fmt.Errorf("sock_diag %s: %w; %w: this needs the kernel modules inet_diag, tcp_diag and unix_diag, and a seccomp filter that allows AF_NETLINK",
			network, err, errors.ErrUnsupported)
	}
	return fmt.Errorf("sock_diag %s: %w", network, err)
}

// A message is the payload of a request, in the form that the library needs.
type message []byte

func (m message) Len() int          { return len(m) }
func (m message) Serialize() []byte { return m }
