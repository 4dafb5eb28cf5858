package initd

import (
	"runtime"
	"sync"
)

// reserveThreads makes threads while there can be some. The runtime makes one
// when it wants it and never ends it, but where a limit of processes is reached
// it gives up the whole program; that must not be PID 1 because its workers
// have used the limit up. The caller is locked to its thread.
//
// There are to be enough for all that may block in the kernel at one time
// beside the loop: the log, the receiver of signals, and where there are clients
// or generations a reader of /proc and the poller. Who is alone, a plain init
// without clients, has none of these. Blocking are the goroutines that read or
// write files, or look at workers.
//
// All that does not block shares one processor: there is nothing to be done in
// parallel, the runtime would want a thread for each that is idle when a signal
// comes, and what a processor costs in memory and wakeups is not to grow with the
// machine.
func reserveThreads(alone bool, blocking int) {
	runtime.GOMAXPROCS(1)
	spare := 4 + blocking
	if alone {
		spare = 2 + blocking
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
	over.Wait() // a thread that is still locked to its goroutine cannot take another
}
