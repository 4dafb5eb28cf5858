package doctor

import (
	"context"
	"fmt"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"server-starter/initd/socket"
)

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
	// That this user may not bind privileged ports is not to fail the program.
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
