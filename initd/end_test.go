package initd

import (
	"os"
	"testing"

	"server-starter/initd/eventlog"
	"server-starter/initd/statusfile"
)

// After a panic at the end, the end comes again.
func TestEndTwice(t *testing.T) {
	w := newWorld(t, plan())
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	w.loop.lines = eventlog.NewWriter(int(null.Fd()), w.loop.inbox.start)
	w.loop.stderr = w.loop.lines
	if w.loop.published.statusFile, err = statusfile.Open(t.TempDir()+"/status", w.loop.inbox.start, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.loop.end("")
		w.loop.instance.close()
	}
}
