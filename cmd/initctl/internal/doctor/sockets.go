package doctor

import (
	"encoding/binary"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// An openSocket is a socket on which some process listens or, of UDP, receives.
type openSocket struct {
	network, address string
	inode            string
	queue            int // connections that wait to be accepted
}

func (s openSocket) String() string { return s.network + " " + s.address }

// openSockets are those of this network namespace; proc_pid_net(5). The UDP
// sockets among them are bound and not connected.
func openSockets() (all []openSocket) {
	for _, network := range []string{"tcp", "tcp6", "udp", "udp6"} {
		open := "0A" // TCP_LISTEN
		if strings.HasPrefix(network, "udp") {
			open = "07" // TCP_CLOSE
		}
		for fields := range table(network, 10) {
			if fields[3] == open {
				// Of a listening socket rx_queue is the length of its accept queue.
				_, rx, _ := strings.Cut(fields[4], ":")
				queue, _ := strconv.ParseUint(rx, 16, 32)
				all = append(all, openSocket{strings.TrimSuffix(network, "6"), address(fields[1]), fields[9], int(queue)})
			}
		}
	}
	waiting := map[string]int{}
	for fields := range table("unix", 8) {
		const listens = 0x10000 // __SO_ACCEPTCON
		flags, _ := strconv.ParseUint(fields[3], 16, 32)
		switch {
		case flags&listens != 0:
			all = append(all, openSocket{network: "unix", address: fields[7], inode: fields[6]})
		case fields[5] == "02": // SS_CONNECTING
			waiting[fields[7]]++
		}
	}
	for i, s := range all {
		if s.network == "unix" {
			all[i].queue = waiting[s.address]
		}
	}
	return all
}

// table yields the rows of a table of /proc/net that have so many fields.
func table(name string, fields int) func(func([]string) bool) {
	text, _ := os.ReadFile("/proc/net/" + name)
	return func(yield func([]string) bool) {
		first := true
		for line := range strings.Lines(string(text)) {
			row := strings.Fields(line)
			if !first && len(row) >= fields && !yield(row) {
				return
			}
			first = false
		}
	}
}

// address reads 0100007F:1F90: words as they lie in memory, and a port.
func address(hex string) string {
	words, port, _ := strings.Cut(hex, ":")
	var raw []byte
	for ; len(words) >= 8; words = words[8:] {
		word, _ := strconv.ParseUint(words[:8], 16, 32)
		raw = binary.NativeEndian.AppendUint32(raw, uint32(word))
	}
	ip, _ := netip.AddrFromSlice(raw)
	number, _ := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(ip, uint16(number)).String()
}
