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
// beside the loop: the log, a reader of /proc, the poller, the receiver of
// signals. Who is alone has the first and the last of these: a plain init without
// clients, whose goroutines are too few to make the runtime want a thread for each
// processor. Blocking are the goroutines that read or write files, or look at
// workers.
func reserveThreads(alone bool, blocking int) {
	spare := 1 + blocking
	if !alone {
		spare = 4 + blocking
		// There is nothing to be done in parallel, and what a processor costs in
		// memory and wakeups is not to grow with the machine.
		runtime.GOMAXPROCS(1)
	}
	var running sync.WaitGroup
	release := make(chan struct{})
	for range spare {
		running.Add(1)
		go func() {
			runtime.LockOSThread() // one thread each
			running.Done()
			<-release
			runtime.UnlockOSThread()
		}()
	}
	running.Wait()
	close(release)
}
