package proc

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AsOwner runs look, and if root is refused runs it again as the user that owns
// the process.
//
// ptrace(2) lets a process be read by its own user, and by root if that has
// CAP_SYS_PTRACE, which containers do not have by default. But they have
// CAP_SETUID and CAP_SETGID, or initd could not start workers as another user.
// What counts is the file system user of the calling thread
// (PTRACE_MODE_FSCREDS), which setfsuid(2) changes for this thread alone; nobody
// gets any right over initd by it, which is what that call was made for. It
// makes all of initd non-dumpable and clears the thread's death signal (PR_SET_DUMPABLE
// and PR_SET_PDEATHSIG of prctl(2)), which is undone.
//
// It does not help with a process that is not dumpable itself, because it has changed
// its user since its exec, that has capabilities which initd lacks, or that is in a
// user namespace of its own.
func (r *Reader) AsOwner(pid int, look func() error) error {
	refused := look()
	if !errors.Is(refused, fs.ErrPermission) {
		return refused
	}
	// A zombie belongs to root, and has nothing left to see.
	if s, err := r.Stat(pid); Gone(err) || err == nil && s.State == 'Z' {
		return &fs.PathError{Op: "open", Path: path(pid, ""), Err: unix.ESRCH}
	}
	var st unix.Stat_t // the process's effective user and group, or root's if it is not dumpable
	if os.Geteuid() != 0 || unix.Stat(path(pid, ""), &st) != nil || st.Uid == 0 {
		return refused
	}
	if err := as(int(st.Uid), int(st.Gid), look); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return refused
}

// one thread at a time has another user, because dumpable is an attribute of the process.
var one sync.Mutex

func as(uid, gid int, look func() error) error {
	one.Lock()
	defer one.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return err
	}
	var deathSignal int32 // 0 where the kernel refuses to say
	unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&deathSignal)), 0, 0, 0)
	// A change back to one's effective ids is always allowed. A call that fails
	// changes nothing, and what the user that remains may not read does no harm.
	defer func() {
		unix.SetfsuidRetUid(os.Geteuid())
		unix.SetfsgidRetGid(os.Getegid())
		if deathSignal != 0 {
			unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(deathSignal), 0, 0, 0)
		}
		if dumpable == 1 {
			unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
		}
	}()
	unix.SetfsgidRetGid(gid)
	unix.SetfsuidRetUid(uid)
	return look()
}
