package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"server-starter/initd/bindfilter"
)

// A Credential is who a program runs as: real, effective and saved ids alike, and exactly these supplementary groups.
type Credential struct {
	UID, GID uint32
	Groups   []uint32
}

// LookupUser reads `name|uid[:group|gid]`. Without a group it is the user's own, with the supplementary groups that
// /etc/group gives the user; with one it is that group alone, as in a Dockerfile's USER. Numbers need no entry in
// /etc/passwd or /etc/group, nor the files: the group of an unknown uid is the gid of the same number.
func LookupUser(spec string) (*Credential, error) {
	return lookupUser(spec, "/etc/passwd", "/etc/group")
}

func lookupUser(spec, passwd, group string) (*Credential, error) {
	user, wanted, grouped := strings.Cut(spec, ":")
	users, err := table(passwd)
	uid, numeric := parseID(user)
	if err != nil && !(numeric && errors.Is(err, fs.ErrNotExist)) {
		return nil, fmt.Errorf("user %q: %w", user, err)
	}
	// name:password:UID:GID:…, passwd(5)
	entry := slices.IndexFunc(users, func(u []string) bool {
		id, ok := parseID(field(u, 2))
		_, valid := parseID(field(u, 3))
		return ok && valid && (u[0] == user || numeric && id == uid)
	})
	c := &Credential{UID: uid, GID: uid}
	if entry >= 0 {
		c.UID, _ = parseID(users[entry][2])
		c.GID, _ = parseID(users[entry][3])
	} else if !numeric {
		return nil, fmt.Errorf("user %q: not in %s", user, passwd)
	}

	groups, err := table(group)
	if grouped {
		gid, numeric := parseID(wanted)
		// name:password:GID:member,…, group(5)
		for _, g := range groups {
			if id, ok := parseID(field(g, 2)); ok && !numeric && g[0] == wanted {
				gid, numeric = id, true
			}
		}
		switch {
		case numeric:
			c.GID = gid
		case err != nil:
			return nil, fmt.Errorf("group %q: %w", wanted, err)
		default:
			return nil, fmt.Errorf("group %q: not in %s", wanted, group)
		}
		return c, nil
	}
	if entry < 0 {
		return c, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("user %q: %w", user, err)
	}
	c.Groups = []uint32{c.GID} // as initgroups(3) does
	for _, g := range groups {
		gid, ok := parseID(field(g, 2))
		member := slices.Contains(strings.Split(field(g, 3), ","), users[entry][0])
		if ok && member && !slices.Contains(c.Groups, gid) {
			c.Groups = append(c.Groups, gid)
		}
	}
	return c, nil
}

// table reads a file of lines with fields between colons.
func table(file string) (lines [][]string, err error) {
	text, err := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		lines = append(lines, strings.Split(strings.TrimSpace(line), ":"))
	}
	return lines, err
}

func field(line []string, i int) string {
	if i < len(line) {
		return line[i]
	}
	return ""
}

// parseID reads a user's or group's number. For the kernel the highest means «unchanged» (setresuid(2)), so that it is none.
func parseID(text string) (uint32, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil && n != math.MaxUint32
}

// setgroups takes the supplementary groups. Without CAP_SETGID that is forbidden even where it changes nothing, as in a
// container that runs as the wanted user already; the primary group may be among them or not.
func setgroups(groups []int) error {
	err := unix.Setgroups(groups) // of this thread alone, as setres
	if err == syscall.EPERM {
		if have, _ := syscall.Getgroups(); slices.Equal(withPrimary(have), withPrimary(groups)) {
			return nil
		}
	}
	return err
}

// refused explains why the kernel does not let the stage take a step, and says what to do.
func refused(stage string, errno syscall.Errno) string {
	if stage == "binds" {
		return bindfilter.Explain(errno)
	}
	capability := map[string]string{"setgroups": "SETGID", "setresgid": "SETGID", "setresuid": "SETUID"}[stage]
	switch {
	case stage == "session_keyring" && errno == syscall.EDQUOT:
		// Each worker has one, and only root outside of user namespaces may have many: keyrings(7).
		return "initd's user may have no more keys (/proc/key-users): raise the sysctl kernel.keys.maxkeys"
	case capability == "":
		return ""
	case errno == syscall.EINVAL:
		return "this user namespace has no such id: see /proc/self/uid_map and gid_map" // user_namespaces(7)
	case errno != syscall.EPERM:
		return ""
	case syscall.Geteuid() != 0:
		return fmt.Sprintf("initd runs as uid %d, and only root can run workers as another user: start it as root, or without this setting", syscall.Geteuid())
	}
	if allowed, _ := os.ReadFile("/proc/self/setgroups"); stage == "setgroups" && string(allowed) == "deny\n" {
		return "this user namespace does not allow it (/proc/self/setgroups)"
	}
	return "the capability " + capability + " is missing: add SETUID, SETGID and KILL " +
		"(docker run --cap-add, capabilities.add in Kubernetes), or start the container as the workers' user and remove this setting"
}

func withPrimary(groups []int) []int {
	groups = append(slices.Clone(groups), syscall.Getegid())
	slices.Sort(groups)
	return slices.Compact(groups)
}
