package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"server-starter/initd/signals"
	"server-starter/initd/socket"
	"server-starter/reaper"
)

// A place is where the program is examined.
type place struct {
	about     []string               // for the report
	own       bool                   // it is a network of our own
	elsewhere func(socket.Spec) bool // the listeners that cannot be at their address here
}

func nowhere(socket.Spec) bool    { return false }
func everywhere(socket.Spec) bool { return true }
func onDisk(spec socket.Spec) bool {
	return spec.Network == "unix" && !strings.HasPrefix(spec.Path, "@")
}

// apartName is the argv[0] of the doctor in a network of its own.
const apartName = "initd: examining"

func isApart() bool { return os.Args[0] == apartName }

// beApart runs the doctor once more in a network of its own, where the program
// gets the very addresses that it will have, and nothing real is touched. An
// empty refusal means that it has made its report, and ended with that status.
func (x *examination) beApart() (status int, refusal string, err error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, err.Error(), nil
	}
	argv := slices.Concat([]string{apartName, "--check"}, x.settings.Arguments(carried...), []string{"--"}, x.settings.Command)
	pid, err := syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{
		Env: surroundings(x.settings), Files: []uintptr{0, 1, 2, uintptr(pipe[1])}, Sys: namespaces(),
	})
	unix.Close(pipe[1])
	unix.SetNonblock(pipe[0], true)
	file := os.NewFile(uintptr(pipe[0]), "refusal")
	defer file.Close()
	if err != nil {
		return 0, "a network of its own is not permitted here (" + err.Error() + "); docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN permits it", nil
	}
	refused := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(file)
		refused <- string(text)
	}()
	var late <-chan time.Time
	for {
		var ended *syscall.WaitStatus
		reaper.Drain(0, func(e reaper.Exit) {
			if e.PID == pid {
				ended = &e.Status
			}
		})
		switch {
		case ended != nil && err != nil:
			return 0, "", err
		case ended != nil && ended.Signaled():
			return 0, "", fmt.Errorf("the doctor was ended by signal %v", ended.Signal())
		case ended != nil:
			return ended.ExitStatus(), <-refused, nil
		}
		select {
		case <-signals.Child:
		case s := <-signals.Stop:
			err = interrupted(s.(syscall.Signal))
		case s := <-signals.Hangup:
			err = interrupted(s.(syscall.Signal))
		case <-late:
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil && late == nil {
			syscall.Kill(pid, syscall.SIGTERM)
			late = time.After(grace)
		}
	}
}

// namespaces are those of beApart. Who has not the right to make them is given
// it by a user namespace in which all else is as it was; user_namespaces(7).
// The capabilities are ambient because execve(2) would take others away.
func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN}
	}
	return attr
}

// settle makes the new namespaces fit to be lived in. What the program inherits
// is to have no more rights than it will have.
func settle(specs []socket.Spec) (place, error) {
	p := place{own: true, elsewhere: nowhere, about: []string{"in a network of its own, at its own addresses"}}
	if err := network(specs); err != nil {
		return place{}, fmt.Errorf("a network of its own cannot be set up here: %w", err)
	}
	if err := shadows(specs); err != nil {
		p.elsewhere = onDisk
		p.about = append(p.about, "unix sockets are elsewhere: "+err.Error())
	}
	if os.Geteuid() != 0 {
		return p, unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	}
	return p, nil
}

// network brings the loopback interface up, with the addresses of specs.
func network(specs []socket.Spec) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return err
	}
	// Whether this user may bind privileged ports is no question of the program's.
	os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0)
	for i, spec := range specs {
		ctx, cancel := context.WithTimeout(context.Background(), dialTime)
		addresses, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", spec.Host) // none without a host
		cancel()
		for _, a := range addresses {
			if a = a.Unmap(); a.IsLoopback() || a.IsUnspecified() {
				continue
			}
			if err := addAddress(fd, i, a.AsSlice()); err != nil && err != unix.EEXIST {
				return fmt.Errorf("add %v: %w", a, err)
			}
		}
	}
	return nil
}

// addAddress adds an address to the loopback interface; netdevice(7).
func addAddress(fd, n int, ip []byte) error {
	if len(ip) == net.IPv4len {
		alias, err := unix.NewIfreq(fmt.Sprintf("lo:%d", n))
		if err == nil {
			err = alias.SetInet4Addr(ip)
		}
		if err == nil {
			err = unix.IoctlIfreq(fd, unix.SIOCSIFADDR, alias)
		}
		return err
	}
	// struct in6_ifreq of linux/ipv6.h; the loopback interface is the first of a network.
	request := struct {
		address [net.IPv6len]byte
		prefix  uint32
		index   int32
	}{[net.IPv6len]byte(ip), 128, 1}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}

// shadows gives each directory in which a unix socket is to lie a double that
// only this mount namespace sees, with all that is in there but the sockets.
func shadows(specs []socket.Spec) error {
	absent := map[string][]string{} // the sockets, by directory
	for _, spec := range specs {
		if !onDisk(spec) {
			continue
		}
		dir, err := filepath.Abs(filepath.Dir(spec.Path))
		if err != nil {
			return err
		}
		absent[dir] = append(absent[dir], filepath.Base(spec.Path))
	}
	if len(absent) == 0 {
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	for dir, sockets := range absent {
		if err := shadow(dir, sockets); err != nil {
			return err
		}
	}
	return os.Chdir(here) // which may be one of them
}

// shadow covers a directory by one in memory and binds what is in the former to
// the same names in the latter.
func shadow(dir string, without []string) error {
	const most = 1000
	if dir == "/" {
		return errors.New("the root directory cannot be covered")
	}
	real, err := os.Open(dir) // where it is still to be had
	if err != nil {
		return err
	}
	defer real.Close()
	info, err := real.Stat()
	if err != nil {
		return err
	}
	entries, err := real.ReadDir(most)
	if err != nil && err != io.EOF {
		return err
	}
	if len(entries) == most {
		return fmt.Errorf("too much is in %s", dir)
	}
	owner := info.Sys().(*syscall.Stat_t)
	options := fmt.Sprintf("mode=%o", owner.Mode&0o7777)
	if os.Geteuid() == 0 { // else others are unknown here
		options += fmt.Sprintf(",uid=%d,gid=%d", owner.Uid, owner.Gid)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
next:
	for _, e := range entries {
		for _, name := range without {
			if e.Name() == name {
				continue next
			}
		}
		from, to := fmt.Sprintf("/proc/self/fd/%d/%s", real.Fd(), e.Name()), filepath.Join(dir, e.Name())
		if e.Type() == fs.ModeSymlink {
			link, err := os.Readlink(from)
			if err == nil {
				err = os.Symlink(link, to)
			}
			if err != nil {
				return err
			}
			continue
		}
		if e.IsDir() {
			err = os.Mkdir(to, 0o700)
		} else {
			err = os.WriteFile(to, nil, 0o600)
		}
		if err == nil {
			err = unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
		}
		if err != nil {
			return fmt.Errorf("bind %s: %w", to, err)
		}
	}
	return nil
}

// here is the place where a network of its own cannot be had, or is not enough.
func here(refusal string) place {
	if os.Getpid() == 1 && desolate() {
		return place{elsewhere: onDisk, about: []string{
			"in this container's network, which nobody else is in", refusal}}
	}
	return place{elsewhere: everywhere, about: []string{
		"in this very network, on sockets that are elsewhere",
		refusal,
		"a program that compares addresses may refuse them, and one that binds a port itself binds the real one",
	}}
}

// desolate reports whether nobody listens in this network, as in that of a
// container that was made for the examination. Docker has its name server in some.
func desolate() bool {
	for _, d := range doors() {
		if !strings.HasPrefix(d.address, "127.0.0.11:") && d.network != "unix" {
			return false
		}
	}
	return true
}
