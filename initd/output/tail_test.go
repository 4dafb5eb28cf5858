package output

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// role is what the test binary plays, and with which number.
const role = "OUTPUT_TEST_ROLE"

func TestMain(m *testing.M) {
	what, argument, _ := strings.Cut(os.Getenv(role), " ")
	number, _ := strconv.Atoi(argument)
	switch what {
	case "":
		os.Exit(m.Run())
	case "flood": // lines, a write each
		for i := range number {
			os.Stderr.WriteString(numbered(i))
		}
	case "write": // of 1 KB
		line := []byte(strings.Repeat("x", 1023) + "\n")
		for range number {
			os.Stderr.Write(line)
		}
	case "shell":
		syscall.Exec("/bin/sh", []string{"sh", "-c", argument}, nil)
	default:
		panic(what)
	}
}

// numbered is a line that is of some length, up to 4096 bytes, and is known to be whole.
func numbered(i int) string {
	head := fmt.Sprintf("%d ", i)
	return head + strings.Repeat(string(rune('a'+i%26)), (i*i*31)%(4096-len(head))) + "\n"
}

// start starts a process with a descriptor as its stderr, and others from number 3 on.
func start(t testing.TB, what string, stderr int, others ...int) (pid int) {
	t.Helper()
	files := []uintptr{0, 1, uintptr(stderr)}
	for _, fd := range others {
		files = append(files, uintptr(fd))
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"worker"}, &syscall.ProcAttr{Env: []string{role + "=" + what}, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func wait(t testing.TB, pid int) {
	t.Helper()
	for {
		_, err := syscall.Wait4(pid, nil, 0, nil)
		if err == nil {
			return
		}
		if err != syscall.EINTR {
			t.Fatal(err)
		}
	}
}

// stream is a pipe that a relay writes to.
func stream(t testing.TB) *Pipe {
	t.Helper()
	p, err := NewPipe(-1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.CloseWrite()
		syscall.Close(p.Read)
	})
	return p
}

// relay returns one to a stream, which it has left alone when the test ends.
func relay(t testing.TB, to *Pipe, lines int) *Relay {
	t.Helper()
	r := NewRelay(to.Write, lines, -1, goroutine)
	t.Cleanup(func() {
		syscall.Close(to.Read) // so it does not hang any more
		to.Read = -1
		r.Close(time.Minute)
	})
	return r
}

func tail(t testing.TB, r *Relay) *Tail {
	t.Helper()
	tail, err := r.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tail.CloseWrite)
	return tail
}

func ends(t testing.TB, tail *Tail) {
	t.Helper()
	select {
	case <-tail.done:
	case <-time.After(time.Minute):
		t.Fatal("it never ends")
	}
}

// arrives reads from a stream until what is wanted has come.
func arrives(t *testing.T, p *Pipe, want string) {
	t.Helper()
	var got []byte
	buffer := make([]byte, size)
	for len(got) < len(want) {
		n, err := read(p.Read, buffer[:min(len(want)-len(got), size)])
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got = append(got, buffer[:n]...)
	}
	if string(got) != want {
		t.Fatalf("got %.2000q, want %.2000q", got, want)
	}
}

func has(t *testing.T, tail *Tail, want ...string) {
	t.Helper()
	if got := tail.Lines(); !slices.Equal(got, want) {
		t.Errorf("lines %.2000q, want %.2000q", got, want)
	}
}

// fill writes to a pipe until nobody takes anything any more, and returns how
// much it has written.
func fill(t *testing.T, fd int) (written int) {
	t.Helper()
	own, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(own)
	text := bytes.Repeat([]byte("...............\n"), 64)
	for full := 0; full < 100; {
		n, _ := unix.Write(own, text)
		if n > 0 {
			written += n
			full = 0
			continue
		}
		full++
		runtime.Gosched()
	}
	return written
}

func count(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestLines(t *testing.T) {
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r := NewRelay(int(null.Fd()), 3, -1, goroutine)
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name   string
		writes []string
		want   []string
	}{
		{"nothing", nil, nil},
		{"one", []string{"one\n"}, []string{"one"}},
		{"no end", []string{"one\ntw"}, []string{"one", "tw"}},
		{"no end at first", []string{"one\ntw", "o", "\n"}, []string{"one", "two"}},
		{"three", []string{"one\ntwo\nthree\n"}, []string{"one", "two", "three"}},
		{"four", []string{"one\ntwo\nthree\nfour\n"}, []string{"two", "three", "four"}},
		{"four, the last without end", []string{"one\ntwo\n", "three\n", "four"}, []string{"two", "three", "four"}},
		{"empty ones", []string{"one\n\n", "\n"}, []string{"one", "", ""}},
		{"NUL", []string{"a\x00b\n"}, []string{"a\x00b"}},
		{"no UTF-8", []string{"a\xff\xfeb\xc3\n\xa4\n"}, []string{"a\uFFFDb\uFFFD", "\uFFFD"}},
		{"UTF-8 in two writes", []string{"ä\xc3", "\xa4\n"}, []string{"ää"}},
		{"exactly the limit", []string{x(511), "y\nz"}, []string{x(511) + "y", "z"}},
		{"too long", []string{x(512) + "yyy", "yyy", "yyy\nnext"}, []string{x(512), "next"}},
		{"far too long", []string{x(40000), "\nnext\n"}, []string{x(512), "next"}},
		{"no end and far too long", []string{"one\n" + x(40000)}, []string{"one", x(512)}},
		{"many", []string{strings.Repeat("one\n", 9999) + "two\nthree\nfour"}, []string{"two", "three", "four"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tail := tail(t, r)
			for _, text := range c.writes {
				write(t, tail.Pipe, text)
			}
			has(t, tail, c.want...) // at once
			tail.CloseWrite()
			ends(t, tail)
			has(t, tail, c.want...)
		})
	}
}

// However many lines are wanted, 4096 bytes of them are kept.
func TestManyLines(t *testing.T) {
	null, _ := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	defer null.Close()
	tail := tail(t, NewRelay(int(null.Fd()), 1_000_000, -1, goroutine))
	var want []string
	for i := range 3000 {
		want = append(want, fmt.Sprint(i))
		write(t, tail.Pipe, want[i]+"\n")
	}
	got := tail.Lines()
	if len(got) != 4096/5 || !slices.Equal(got, want[len(want)-len(got):]) {
		t.Errorf("%d lines: %q", len(got), got)
	}
	tail.CloseWrite()
	ends(t, tail)
	if cap(tail.last.ring) != 4096 {
		t.Errorf("the ring has %d bytes", cap(tail.last.ring))
	}
}

// What a worker writes arrives in order, byte for byte, and its last lines are
// there as soon as it has been reaped.
func TestWorker(t *testing.T) {
	to := stream(t)
	tail := tail(t, relay(t, to, 2))
	var want strings.Builder
	for i := range 5000 {
		want.WriteString(numbered(i))
	}
	pid := start(t, "flood 5000", tail.Write)
	tail.CloseWrite()
	arrives(t, to, want.String())
	wait(t, pid)
	has(t, tail, numbered(4998)[:512], numbered(4999)[:512])
	ends(t, tail)
}

// Dots without a newline come one by one.
func TestPrompt(t *testing.T) {
	to := stream(t)
	tail := tail(t, relay(t, to, 1))
	for range 10 {
		write(t, tail.Pipe, ".")
		arrives(t, to, ".")
	}
	has(t, tail, "..........")
}

func TestKilled(t *testing.T) {
	to, ready := stream(t), stream(t)
	tail := tail(t, relay(t, to, 5))
	pid := start(t, "shell echo one >&2; printf tw >&2; echo x >&3; read never <&4", tail.Write, ready.Write, ready.Read)
	tail.CloseWrite()
	arrives(t, to, "one\ntw")
	syscall.Kill(pid, syscall.SIGKILL)
	wait(t, pid)
	has(t, tail, "one", "tw")
	ends(t, tail)
}

// A process that a worker leaves behind keeps neither its last words nor the
// relay's goroutine from the others.
func TestLeftBehind(t *testing.T) {
	to, latch := stream(t), stream(t)
	r := relay(t, to, 5)
	tail := tail(t, r)
	pid := start(t, "shell { cat <&3; echo later >&2; } & echo last words >&2; exit 1", tail.Write, latch.Read)
	tail.CloseWrite()
	wait(t, pid)
	has(t, tail, "last words")
	arrives(t, to, "last words\n")
	select {
	case <-tail.done:
		t.Error("the tail has ended, though somebody may write")
	default:
	}
	latch.CloseWrite()
	arrives(t, to, "later\n")
	ends(t, tail)
	has(t, tail, "last words", "later")
	if len(r.tails) > 0 {
		t.Error("the relay keeps a tail that has ended")
	}
}

// A stream that hangs makes workers wait, as it would without the relay; nothing
// is lost, and the last lines are known all the same.
func TestBlocked(t *testing.T) {
	to := stream(t)
	before := fill(t, to.Write)
	r := relay(t, to, 2)
	quick := tail(t, r)
	write(t, quick.Pipe, "one\ntwo\nthree")
	slow := tail(t, r)
	pid := start(t, "flood 300", slow.Write)
	slow.CloseWrite()
	has(t, quick, "two", "three")
	// Both are in the pipe or one in the hands of who waits, and it stays so.
	full := tail(t, r)
	if written := fill(t, full.Write); written > 1<<16+size {
		t.Errorf("%d bytes were taken that nobody wants", written)
	}
	full.CloseWrite()
	var status syscall.WaitStatus
	if ended, _ := syscall.Wait4(pid, &status, syscall.WNOHANG, nil); ended != 0 {
		t.Error("the worker did not wait")
	}
	quick.CloseWrite()
	all := make(chan []byte)
	go func() {
		source := readEnd(to)
		defer source.Close()
		text, _ := io.ReadAll(source)
		all <- text
	}()
	wait(t, pid)
	for _, tail := range []*Tail{quick, slow, full} {
		ends(t, tail)
	}
	to.CloseWrite()
	text := (<-all)[before:]
	text = bytes.ReplaceAll(text, []byte("...............\n"), nil)
	var want strings.Builder
	for i := range 300 {
		want.WriteString(numbered(i))
	}
	if got := strings.Replace(string(text), "one\ntwo\nthree", "", 1); got != want.String() {
		t.Errorf("%d bytes came, want %d: %.2000q", len(got), want.Len(), got)
	}
	has(t, slow, numbered(298)[:512], numbered(299)[:512])
}

// readEnd is a file of its own for a pipe's read end.
func readEnd(p *Pipe) *os.File {
	fd, _ := unix.FcntlInt(uintptr(p.Read), unix.F_DUPFD_CLOEXEC, 0)
	return os.NewFile(uintptr(fd), "pipe")
}

// A stream that is broken costs what is written, and no worker waits or sees an error.
func TestBroken(t *testing.T) {
	to := stream(t)
	syscall.Close(to.Read)
	to.Read = -1
	reading, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	for name, fd := range map[string]int{"EPIPE": to.Write, "EBADF": 1 << 20, "EBADF, open for reading": int(reading.Fd())} {
		t.Run(name, func(t *testing.T) {
			tail := tail(t, NewRelay(fd, 1, -1, goroutine))
			pid := start(t, "flood 1000", tail.Write)
			tail.CloseWrite()
			wait(t, pid)
			has(t, tail, numbered(999)[:512])
			ends(t, tail)
		})
	}
}

// A worker may have made the stream's description, which it shares, non-blocking.
func TestNonblocking(t *testing.T) {
	to := stream(t)
	unix.SetNonblock(to.Write, true)
	fill(t, to.Write)
	tail := tail(t, relay(t, to, 1))
	pid := start(t, "flood 500", tail.Write)
	tail.CloseWrite()
	source := readEnd(to)
	defer source.Close()
	lines := bufio.NewScanner(source)
	for i := 0; i < 500 && lines.Scan(); {
		if text := lines.Text() + "\n"; text == numbered(i) {
			i++
		} else if text != "...............\n" {
			t.Fatalf("line %d is %q", i, text)
		}
	}
	wait(t, pid)
	ends(t, tail)
}

// Lines stay whole, whoever else writes to the stream.
func TestWholeLines(t *testing.T) {
	to := stream(t)
	r := relay(t, to, 1)
	var pids []int
	for range 4 {
		tail := tail(t, r)
		pids = append(pids, start(t, "flood 1000", tail.Write))
		tail.CloseWrite()
	}
	pids = append(pids, start(t, "flood 1000", to.Write))
	source := readEnd(to)
	defer source.Close()
	lines := bufio.NewScanner(source)
	var seen [1000]int
	for range 1000 * len(pids) {
		lines.Scan()
		head, _, _ := strings.Cut(lines.Text(), " ")
		i, err := strconv.Atoi(head)
		if err != nil || i >= len(seen) || lines.Text()+"\n" != numbered(i) {
			t.Errorf("torn: %.2000q", lines.Text())
			break
		}
		seen[i]++
	}
	for i, n := range seen {
		if n != len(pids) && !t.Failed() {
			t.Errorf("line %d came %d times", i, n)
		}
	}
	if t.Failed() {
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	for _, pid := range pids {
		wait(t, pid)
	}
}

// Many workers cost no threads, also while nothing of what they write is taken,
// and leave no descriptors.
func TestMany(t *testing.T) {
	const many = 200
	to := stream(t)
	before := fill(t, to.Write)
	r := relay(t, to, 3)
	first := tail(t, r)
	write(t, first.Pipe, "first\n") // it or another has the thread that blocks
	has(t, first, "first")
	descriptors, threads := count(t, "/proc/self/fd"), count(t, "/proc/self/task")
	tails := make([]*Tail, many)
	for i := range tails {
		tails[i] = tail(t, r)
		write(t, tails[i].Pipe, fmt.Sprintf("%d\n", i))
	}
	for i, tail := range tails {
		has(t, tail, fmt.Sprint(i))
		tail.CloseWrite()
	}
	if n := count(t, "/proc/self/task"); n > threads+10 { // of the runtime's own
		t.Errorf("%d threads, %d before", n, threads)
	}
	first.CloseWrite()
	arrives(t, to, strings.Repeat("...............\n", before/16))
	lines := map[string]bool{}
	source := readEnd(to)
	defer source.Close()
	for scanner := bufio.NewScanner(source); len(lines) <= many && scanner.Scan(); {
		lines[scanner.Text()] = true
	}
	for i, tail := range tails {
		ends(t, tail)
		if !lines[fmt.Sprint(i)] {
			t.Errorf("line %d is missing", i)
		}
	}
	ends(t, first)
	source.Close()
	if n := count(t, "/proc/self/fd"); n > descriptors-2 { // those of the first
		t.Errorf("%d descriptors, %d before", n, descriptors)
	}
}

// What a worker has written is nowhere in memory but for its end.
func TestMemory(t *testing.T) {
	null, _ := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	defer null.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tail := tail(t, NewRelay(int(null.Fd()), 3, -1, goroutine))
	pid := start(t, "flood 30000", tail.Write) // some 60 MB
	tail.CloseWrite()
	wait(t, pid)
	ends(t, tail)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 6<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
	if tail.partial != nil {
		t.Error("it holds a buffer")
	}
}

// At the end what was written arrives, to the last byte, and what somebody goes
// on writing is not waited for.
func TestClose(t *testing.T) {
	to := stream(t)
	before := fill(t, to.Write)
	r := relay(t, to, 1)
	idle, first := tail(t, r), tail(t, r)
	write(t, first.Pipe, "first\n")
	for left := 1; left > 0; left, _ = unix.IoctlGetInt(first.Pipe.Read, unix.TIOCINQ) {
		runtime.Gosched() // until it has the turn
	}
	// As much as is taken at once, with a line that might go on, and no more.
	exact := tail(t, r)
	text := strings.Repeat("0123456789abcde\n", size/16-1) + "0123456789abcdef"
	for rest := text; rest != ""; rest = rest[4096:] {
		write(t, exact.Pipe, rest[:4096])
	}
	endless := tail(t, r)
	written := fill(t, endless.Write)
	r.Close(time.Millisecond) // asks them all to end
	arrives(t, to, strings.Repeat("...............\n", before/16)+"first\n")

	own, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", endless.Write), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(own)
	unix.SetNonblock(to.Read, true)
	ended := make(chan bool)
	go func() {
		for _, tail := range []*Tail{idle, first, exact, endless} {
			<-tail.done
		}
		close(ended)
	}()
	var got []byte
	buffer := make([]byte, 1024)
	for open := true; open; {
		select {
		case <-ended:
			open = false
		default:
		}
		if n, err := read(to.Read, buffer); err == nil {
			got = append(got, buffer[:n]...)
		}
		if len(got) > len(text)+written+1<<20 {
			t.Fatal("there is no end to it")
		}
		for err = nil; err == nil; {
			_, err = unix.Write(own, bytes.Repeat([]byte("...............\n"), 64))
		}
	}
	for {
		n, err := read(to.Read, buffer)
		if err != nil {
			break
		}
		got = append(got, buffer[:n]...)
	}
	// The end of the one's last line may have come later, after others.
	if rest := bytes.ReplaceAll(got, []byte("...............\n"), nil); string(rest) != text {
		t.Errorf("%d bytes of the text have come: %.2000q", len(rest), rest)
	}
	if n := len(got) - len(text); n < written {
		t.Errorf("%d bytes have come of %d", n, written)
	}
}

// A stream takes all of a text, whatever the flags of its description are.
func TestStream(t *testing.T) {
	to := stream(t)
	unix.SetNonblock(to.Write, true)
	var lines strings.Builder
	for i := range 500 {
		lines.WriteString(numbered(i))
	}
	text := lines.String()
	wrote := make(chan error)
	go func() {
		n, err := NewStream(to.Write).Write([]byte(text))
		if err == nil && n != len(text) {
			err = fmt.Errorf("wrote %d bytes", n)
		}
		wrote <- err
	}()
	arrives(t, to, text)
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	syscall.Close(to.Read)
	to.Read = -1
	if n, err := NewStream(to.Write).Write([]byte("one")); n != 0 || err != syscall.EPIPE {
		t.Errorf("wrote %d, %v", n, err)
	}
}

// A stream that hangs does not keep initd from its end.
func TestCloseBlocked(t *testing.T) {
	to := stream(t)
	fill(t, to.Write)
	r := relay(t, to, 1)
	for range 3 {
		tail := tail(t, r)
		write(t, tail.Pipe, "one\n")
	}
	ended := make(chan bool)
	go func() {
		r.Close(time.Millisecond)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("it hangs, too")
	}
}

// BenchmarkWorker is a worker that writes lines of 1 KB: the time of a line, and
// the processor's of both processes; and of cat, where it reads from a pipe.
func BenchmarkWorker(b *testing.B) {
	for _, where := range []string{"null", "file", "pipe"} {
		for _, how := range []string{"straight", "relayed"} {
			b.Run(where+"/"+how, func(b *testing.B) {
				path := map[string]string{"null": "/dev/null", "file": b.TempDir() + "/file"}[where]
				if where == "pipe" {
					to := stream(b)
					cat := start(b, "shell exec cat <&3 >/dev/null", 2, to.Read)
					defer wait(b, cat)
					defer to.CloseWrite()
					path = fmt.Sprintf("/proc/self/fd/%d", to.Write)
				}
				file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
				if err != nil {
					b.Fatal(err)
				}
				defer file.Close()
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // as initd has it
				b.SetBytes(1024)
				used := processor()
				fd := int(file.Fd())
				var tail *Tail
				if how == "relayed" {
					tail, err = NewRelay(fd, 10, -1, goroutine).Open()
					if err != nil {
						b.Fatal(err)
					}
					fd = tail.Write
				}
				b.ResetTimer()
				pid := start(b, fmt.Sprint("write ", b.N), fd)
				if tail != nil {
					tail.CloseWrite()
					<-tail.done
				}
				wait(b, pid)
				b.ReportMetric(float64(processor()[0]-used[0])/float64(b.N), "initd-ns/op")
				b.ReportMetric(float64(processor()[1]-used[1])/float64(b.N), "worker-ns/op")
			})
		}
	}
}

// processor is the time that this process and its children have used.
func processor() (used [2]time.Duration) {
	for i, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		unix.Getrusage(who, &u)
		used[i] = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return used
}

// BenchmarkTail is the memory of a worker's tail: of one that is idle, and of one
// that has written.
func BenchmarkTail(b *testing.B) {
	null, _ := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	defer null.Close()
	for _, text := range []string{"", strings.Repeat("line\n", 2000)} {
		b.Run(fmt.Sprintf("%d bytes written", len(text)), func(b *testing.B) {
			r := NewRelay(int(null.Fd()), 10, -1, goroutine)
			in := func() uint64 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc + m.StackInuse
			}
			const tails = 300
			var total uint64
			for b.Loop() {
				before := in()
				all := make([]*Tail, tails)
				for i := range all {
					all[i], _ = r.Open()
					syscall.Write(all[i].Write, []byte(text))
				}
				for _, t := range all {
					for left := 1; left > 0; left, _ = unix.IoctlGetInt(t.Pipe.Read, unix.TIOCINQ) {
						runtime.Gosched()
					}
				}
				total += in() - before
				for _, t := range all {
					t.CloseWrite()
					<-t.done
				}
			}
			b.ReportMetric(float64(total)/float64(b.N)/tails, "B/tail")
		})
	}
}

// BenchmarkLine is one line that comes by itself, up to who reads the stream.
func BenchmarkLine(b *testing.B) {
	line := strings.Repeat("x", 99) + "\n"
	buffer := make([]byte, size)
	for _, how := range []string{"straight", "relayed"} {
		b.Run(how, func(b *testing.B) {
			to := stream(b)
			first := to
			if how == "relayed" {
				first = tail(b, relay(b, to, 10)).Pipe
			}
			used := processor()
			for b.Loop() {
				write(b, first, line)
				read(to.Read, buffer)
			}
			b.ReportMetric(float64(processor()[0]-used[0])/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkLines is a look at the last lines, while they are in the pipe and after.
func BenchmarkLines(b *testing.B) {
	for _, blocked := range []bool{false, true} {
		b.Run(fmt.Sprintf("blocked=%v", blocked), func(b *testing.B) {
			to := stream(b)
			if blocked {
				for fd := to.Write; ; {
					unix.SetNonblock(fd, true)
					if _, err := unix.Write(fd, make([]byte, 4096)); err != nil {
						break
					}
				}
			}
			tail := tail(b, relay(b, to, 10))
			write(b, tail.Pipe, strings.Repeat("some line or other\n", 20))
			for b.Loop() {
				tail.Lines()
			}
		})
	}
}

// TestTailsAreBounded: whoever keeps the ends of pipes does not use up the files that may be open.
func TestTailsAreBounded(t *testing.T) {
	r := NewRelay(2, 1, os.Geteuid(), goroutine)
	r.most = 2
	one, err := r.Open()
	if err != nil {
		t.Fatal(err)
	}
	two, err := r.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(); err == nil {
		t.Error("a third was opened")
	}
	one.CloseWrite()
	<-one.done
	three, err := r.Open()
	if err != nil {
		t.Fatalf("there is room again: %v", err)
	}
	two.CloseWrite()
	three.CloseWrite()
}
