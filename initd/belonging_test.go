package initd

import (
	"errors"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"server-starter/initd/proc"
	"server-starter/initd/settings"
	"server-starter/initd/socket"
)

// TestOwner: whose an orphan is, where a worker of generation 1 has ended, and those of generation 2 and 3 live.
func TestOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, plan())
		l := w.loop
		l.settings.KillGroup = true
		set, err := socket.Open([]socket.Spec{{Network: "unix", Path: "@" + t.Name()}}, socket.Options{UID: -1, GID: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		l.sockets = set
		var st unix.Stat_t
		unix.Fstat(set.All()[0].FD, &st)
		ended := &worker{generation: 1, pid: 11, start: 100, groups: []int{11}, over: true}
		second := &worker{generation: 2, pid: 12, start: 200, groups: []int{12}}
		third := &worker{generation: 3, pid: 13, start: 300, groups: []int{13}}
		before := &worker{generation: 9, pid: 19, start: 10, groups: []int{19, 20}, over: true}
		l.children[12], l.children[13] = &child{role: second}, &child{role: third}
		l.children[14] = &child{role: &hook{}}
		l.orphans.worker[21] = before

		const orphan = 99
		for _, test := range []struct {
			name    string
			stat    proc.Stat
			environ []string // generation, slot, event
			holds   bool
			want    *worker
		}{
			{"shows nothing", proc.Stat{Group: orphan, Start: 150}, nil, false, nil},
			{"is in its group", proc.Stat{Group: 11, Start: 350}, nil, false, ended},
			{"is in the group of one that lives", proc.Stat{Group: 13, Start: 350}, []string{"1", "0", ""}, true, third},
			{"is in the group of an orphan of another", proc.Stat{Group: 20, Start: 350}, nil, false, before},
			{"is in the group of a hook", proc.Stat{Group: 14, Start: 350}, []string{"1", "0", ""}, true, nil},
			{"is a zombie", proc.Stat{Group: 11, State: 'Z'}, nil, false, nil},
			{"has its environment", proc.Stat{Group: orphan, Start: 350}, []string{"1", "0", ""}, false, ended},
			{"has the environment of one that lives", proc.Stat{Group: orphan, Start: 350}, []string{"2", "0", ""}, true, second},
			{"has the environment of another that has ended", proc.Stat{Group: orphan, Start: 350}, []string{"9", "0", ""}, true, before},
			{"has the environment of a hook", proc.Stat{Group: orphan, Start: 350}, []string{"1", "0", "after-swap"}, false, nil},
			{"has the environment of nobody", proc.Stat{Group: orphan, Start: 150}, []string{"1", "7", ""}, false, nil},
			{"holds a listener from before the others", proc.Stat{Group: orphan, Start: 150}, nil, true, ended},
			{"holds a listener from after another was started", proc.Stat{Group: orphan, Start: 250}, nil, true, nil},
		} {
			l.kernel.stat = func(pid int) (proc.Stat, error) { return test.stat, nil }
			l.kernel.environ = func(int, ...string) ([]string, error) {
				if test.environ == nil {
					return []string{"", "", ""}, nil
				}
				return test.environ, nil
			}
			l.kernel.sockets = func(int) ([]uint32, error) {
				if !test.holds {
					return nil, errors.New("denied")
				}
				return []uint32{7, uint32(st.Ino)}, nil
			}
			if got := l.owner(orphan, ended); got != test.want {
				t.Errorf("an orphan that %s is of %+v, not of %+v", test.name, got, test.want)
			}
		}
		l.settings = &settings.Settings{}
		l.leave(11, ended) // with kill-group=false nothing is looked at
		if len(l.events) > 0 {
			t.Errorf("there are the events %v", l.events)
		}
	})
}
