package doctor

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"server-starter/initd/proc"
)

// A process is a pid and when it began, in ticks since the boot: a pid alone
// may have been given away again.
type process struct {
	pid   int
	birth uint64
	name  string
}

// family is a process and all that descend from it, as /proc tells.
func family(root int) (all []process) {
	known, children := map[int]process{}, map[int][]int{}
	pids, _ := new(proc.Reader).Processes()
	for _, pid := range pids {
		if p, parent := stat(pid); p.birth != 0 {
			known[pid] = p
			children[parent] = append(children[parent], pid)
		}
	}
	if _, lives := known[root]; !lives {
		return nil
	}
	for _, pid := range proc.Descendants(root, func(pid int, pids []int) []int { return append(pids, children[pid]...) }) {
		all = append(all, known[pid])
	}
	return all
}

// stat finds a process and its parent. Of a zombie there is nothing left.
func stat(pid int) (p process, parent int) {
	s, err := new(proc.Reader).Stat(pid)
	if err != nil || s.State == 'Z' {
		return process{}, 0
	}
	return process{pid, s.Start, s.Name}, s.Parent
}

func (p process) lives() bool {
	now, _ := stat(p.pid)
	return now.birth == p.birth
}

func (p process) String() string { return fmt.Sprintf("%s (%d)", p.name, p.pid) }

// memory is what the processes have in memory, in bytes, a page that several
// share divided among them. Of a process that lets nobody look it is the
// resident set.
func memory(of []process) (sum int) {
	var r proc.Reader
	for _, p := range of {
		size, err := r.Proportional(p.pid)
		if err != nil {
			size, _ = r.Resident(p.pid)
		}
		sum += int(size)
	}
	return sum
}

// memoryLimit is that of our cgroup in bytes, 0 for none; cgroups(7).
func memoryLimit() int {
	text, _ := os.ReadFile("/sys/fs/cgroup/memory.max")
	limit, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return limit
}

// A door is a socket on which someone listens.
type door struct {
	network, address string
	inode            string
	queue            int // connections that wait to be accepted
}

func (d door) String() string { return d.network + " " + d.address }

// doors are those of this network namespace; proc_net(5), proc_pid_net(5). UDP
// sockets are among them that are bound and not connected.
func doors() (all []door) {
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
				all = append(all, door{strings.TrimSuffix(network, "6"), address(fields[1]), fields[9], int(queue)})
			}
		}
	}
	waiting := map[string]int{}
	for fields := range table("unix", 8) {
		const listens = 0x10000 // __SO_ACCEPTCON
		flags, _ := strconv.ParseUint(fields[3], 16, 32)
		switch {
		case flags&listens != 0:
			all = append(all, door{network: "unix", address: fields[7], inode: fields[6]})
		case fields[5] == "02": // SS_CONNECTING
			waiting[fields[7]]++
		}
	}
	for i, d := range all {
		if d.network == "unix" {
			all[i].queue = waiting[d.address]
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

// inodes are those of the sockets that the processes have open.
func inodes(of []process) map[string]bool {
	open := map[string]bool{}
	var r proc.Reader
	for _, p := range of {
		held, _ := r.Sockets(p.pid, nil)
		for _, inode := range held {
			open[strconv.FormatUint(uint64(inode), 10)] = true
		}
	}
	return open
}
