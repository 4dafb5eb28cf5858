package initd

import (
	"runtime"
	"sync"

	"server-starter/initd/launch"
	"server-starter/initd/processes"
)

// reserveThreads makes threads while there can be some. The runtime makes one
// when it wants it and never ends it, but where a limit of processes is reached
// it gives up the whole program; that must not be PID 1 because its workers
// have used the limit up. The caller is locked to its thread. The error is that a
// limit allows too few.
//
// There have to be enough for all that may block in the kernel at the same time
// as the loop: the log, the receiver of signals, and, unless initd is alone, a reader
// of /proc and the poller. A plain init without clients is alone. Blocking is the
// number of goroutines that read or write files, or look at workers.
//
// The rest needs one thread, as package signals has left the runtime one processor.
func reserveThreads(alone bool, blocking int) error {
	spare := 4 + blocking
	if alone {
		spare = 2 + blocking
	}
	if err := processes.Check(spare + launch.Processes); err != nil { // for the first worker
		return err
	}
	var running, over sync.WaitGroup
	release := make(chan struct{})
	running.Add(spare)
	for range spare {
		over.Go(func() {
			runtime.LockOSThread() // one thread each
			defer runtime.UnlockOSThread()
			running.Done()
			<-release
		})
	}
	running.Wait()
	close(release)
	over.Wait() // a thread that is locked to a goroutine runs no other
	return nil
}
