package proc

import (
	"os"
	"syscall"
	"testing"
)

func TestUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("takes root: processes of several users")
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65533, NoSetGroups: true}
	for _, test := range []struct {
		at    string
		whose *syscall.Credential
		want  int
	}{{"stay", nil, 0}, {"stay Uid:\t1\t1\t1\t1", nobody, 65534}, {"hidden", nobody, 65534}} {
		p := started(t, test.at, test.whose)
		if got, err := new(Reader).User(p.pid); got != test.want || err != nil {
			t.Errorf("%s: %d, %v; want %d", test.at, got, err, test.want)
		}
	}
	if _, err := new(Reader).User(1 << 30); !Gone(err) {
		t.Errorf("of no process: %v", err)
	}
}
