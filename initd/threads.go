package initd

import (
	"runtime"
	"sync"
)

// spareThreads are for all that may block in the kernel at one time beside the
// loop: the log, a reader of /proc, the poller, the receiver of signals, one to
// run, and one to spare.
const spareThreads = 4

// reserveThreads makes threads while there can be some. The runtime makes one
// when it wants it and never ends it, but where a limit of processes is reached
// it gives up the whole program; that must not be PID 1 because its workers
// have used the limit up. The caller is locked to its thread.
func reserveThreads(n int) {
	var running sync.WaitGroup
	release := make(chan struct{})
	for range n {
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
