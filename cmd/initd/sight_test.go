package main_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// accepts is a server in Perl that knows nothing of initd but its socket. It answers with its pid.
const accepts = `
use IO::Socket;
my ($fd) = $ENV{SERVER_STARTER_PORT} =~ /=(\d+)/;
my $listener = IO::Socket::INET->new_from_fd($fd, "r") or die $!;
while (1) {
	my $client = $listener->accept or next;
	scalar <$client>;
	print $client "$$\n";
}
`

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestLoadsAndFails: a server that loads for three seconds and then fails, as most do, changes nothing of the one
// that serves, with the defaults; and who asked for the swap learns of it.
func TestLoadsAndFails(t *testing.T) {
	t.Parallel()
	perl, dir := interpreter(t, "perl")[0], t.TempDir()
	script, socket := dir+"/server.pl", dir+"/control"
	write(t, script, accepts)
	d := run{mode: subreaper, args: flags([]string{perl, script}, "port=127.0.0.1:0", "control-socket="+socket)}.start(t)
	if e := d.is("serving", 1); e.ReadyBy != "accepting" {
		t.Errorf("it counts as ready by %q", e.ReadyBy)
	}
	address := d.address("127.0.0.1")
	first, err := converse(address)
	if err != nil {
		t.Fatal(err)
	}
	write(t, script, "sleep 3; exit 7")
	done := make(chan struct{})
	var status int
	var told []byte
	go func() {
		defer close(done)
		c := exec.Command(initctlBinary(t), "restart", "--control-socket", socket)
		told, _ = c.CombinedOutput()
		status = c.ProcessState.ExitCode()
	}()
	for asked := 0; ; asked++ {
		select {
		case <-done:
			if status != 3 || !strings.Contains(string(told), "exit status 7") {
				t.Errorf("after %d requests restart exits with %d: %s", asked, status, told)
			}
			d.stop()
			return
		default:
		}
		if pid, err := converse(address); err != nil || pid != first {
			t.Fatalf("request %d was answered by %d: %v", asked, pid, err)
		}
	}
}

// lates is a server in Perl that loads before it accepts, some time by sleeping or by computing, and says when it is
// done with that.
const lates = `
use Time::HiRes qw(time sleep);
srand $$;
my $time = rand 3;
if ($ENV{SERVER_STARTER_WORKER} % 2) {
	sleep $time;
} else {
	my ($user) = times; # of a CPU that others use as well
	while ((times)[0] - $user < $time / 10) {}
}
open my $log, ">>", $ARGV[0] or die $!;
syswrite $log, "$$ " . time() . "\n";
` + accepts

// TestNeverReadyTooEarly: of a hundred workers that load for up to three seconds, none counts as ready before it
// accepts connections.
func TestNeverReadyTooEarly(t *testing.T) {
	t.Parallel()
	perl, dir := interpreter(t, "perl")[0], t.TempDir()
	script, log := dir+"/server.pl", dir+"/log"
	write(t, script, lates)
	s := steerCommand(t, func(*stage) []string { return []string{perl, script, log} }, "port=127.0.0.1:0", "interval=0.05", "workers=100", "ready=accepting", "start-timeout=0")
	s.is("serving", 1)
	began := map[int]time.Time{}
	for line := range strings.Lines(content(log)) {
		pid, seconds, _ := strings.Cut(strings.TrimSpace(line), " ")
		number, _ := strconv.Atoi(pid)
		since, err := strconv.ParseFloat(seconds, 64)
		if err != nil {
			t.Fatal(err)
		}
		began[number] = time.Unix(0, int64(since*1e9))
	}
	early, latest := 0, time.Duration(0)
	s.client = connect(t, s.path) // the first one has been silent for too long
	for _, w := range s.state().Generations[0].Workers {
		at := began[w.PID]
		switch {
		case at.IsZero() || w.Ready == nil || w.Ready.Before(at):
			early++
			t.Errorf("worker %d accepts at %v and is ready at %v", w.PID, at, w.Ready)
		case w.ReadyBy != "accepting":
			t.Errorf("worker %d is ready by %s", w.PID, w.ReadyBy)
		default:
			latest = max(latest, w.Ready.Sub(at))
		}
	}
	t.Logf("%d of %d counted as ready too early, the others at most %v late", early, len(began), latest)
	s.stop()
}
