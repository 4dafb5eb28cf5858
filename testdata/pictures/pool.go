package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"server-starter/initd/control"
)

// port is where the pool serves.
const port = "127.0.0.1:8080"

// A pool is an initd with four workers under load.
type pool struct {
	dir    string
	load   *load
	record record
}

// start starts one, and returns when it is ready.
func start(dir string) (*pool, error) {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return nil, fmt.Errorf("lo: %w", err)
	}
	p := &pool{dir: dir}
	for name, value := range map[string]string{
		"PATH":                          dir + ":" + os.Getenv("PATH"),
		"SERVER_STARTER_CONTROL_SOCKET": filepath.Join(dir, "initd.sock"),
		"SERVER_STARTER_PORT":           "8080",
		"SERVER_STARTER_HTTP":           address,
		"SERVER_STARTER_WORKERS":        "4",
		"SERVER_STARTER_READY":          "notify",
		"SERVER_STARTER_LOG_LEVEL":      "warn",
		"SERVER_STARTER_STDERR_LINES":   "3",
		"SERVER_STARTER_ENVDIR":         filepath.Join(dir, "env"),
	} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "env"), 0o755); err != nil {
		return nil, err
	}
	if err := p.configure("info"); err != nil {
		return nil, err
	}
	initd := exec.Command("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "initd", app)
	initd.Stderr = os.Stderr
	if err := initd.Start(); err != nil {
		return nil, err
	}
	if err := p.await(func(s *control.Status) bool { return s.Health.Ready }); err != nil {
		return nil, err
	}
	p.load = press(port)
	return p, nil
}

// configure sets the variable of the next generation.
func (p *pool) configure(level string) error {
	return os.WriteFile(filepath.Join(p.dir, "env", "LOG_LEVEL"), []byte(level), 0o644)
}

// play has a swap fail, be tried again and succeed, and makes another; it calls starting when that has begun, and
// retiring when the old generation has been replaced and is not gone yet.
func (p *pool) play(starting, retiring func() error) error {
	serving := func(n int) func(*control.Status) bool {
		return func(s *control.Status) bool { return s.Health.Generation == n }
	}
	begun := time.Now()
	past := func(d time.Duration) func() error { // there is to be something to see on the time line
		return func() error {
			return p.await(func(*control.Status) bool { return time.Since(begun) >= d })
		}
	}
	for _, step := range []func() error{
		past(14 * time.Second),
		func() error { return p.configure("verbos") },
		p.swap,
		// The first attempt reads what is wrong, and the second what has been fixed meanwhile.
		func() error { return p.await(func(s *control.Status) bool { return s.Attempt == 2 }) },
		func() error { return p.configure("debug") },
		func() error { return p.await(serving(3)) },
		past(48 * time.Second),
		func() error { // so that a worker of generation 3 has something to finish when it retires
			p.load.once(port, 8*time.Second)
			return nil
		},
		p.swap,
		func() error {
			return p.await(func(s *control.Status) bool {
				return slices.ContainsFunc(s.Generations, func(g control.Generation) bool { return g.Number == 4 && len(g.Workers) == 4 })
			})
		},
		starting,
		func() error {
			return p.await(func(s *control.Status) bool {
				return slices.ContainsFunc(s.Generations, func(g control.Generation) bool {
					return g.Number == 4 && g.Ready != nil && s.Time.Sub(*g.Ready) > time.Second
				})
			})
		},
		retiring,
		p.load.end,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// swap asks for a swap.
func (p *pool) swap() error {
	if out, err := exec.Command("initctl", "restart", "--no-wait").CombinedOutput(); err != nil {
		return fmt.Errorf("initctl restart: %w\n%s", err, out)
	}
	return nil
}

// patience is how long any one event may take.
const patience = time.Minute

// await looks at the pool once a second, as the page does, until something is so.
func (p *pool) await(condition func(*control.Status) bool) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	late := time.After(patience)
	for {
		s, err := p.record.look()
		if err == nil && condition(s) {
			return nil
		}
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("not within %v: %+v, %v", patience, s, err)
		}
	}
}
