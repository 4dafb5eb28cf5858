package initd

import "runtime/debug"

// keepHeapSmall has the heap collected when it has grown by a tenth. What is in
// use is a few hundred KB, and by default the first collection would come at
// 4 MB: that much would be garbage while clients ask for the status all the
// time. A memory limit (debug.SetMemoryLimit) is no substitute: near it the
// collector runs all the time, and a swap took three times the processor time.
func keepHeapSmall() { debug.SetGCPercent(10) }

// freeHeap gives the kernel back what a start, a swap or clients have left on
// the heap, and is called when initd becomes idle. The runtime would do so by
// itself only as the heap grows, which it does not while initd waits; the
// garbage would stay for as long. It takes half a millisecond, after the swap.
func freeHeap() { debug.FreeOSMemory() }
