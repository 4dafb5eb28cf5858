package initd

import (
	"log/slog"

	"server-starter/initd/eventlog"
	"server-starter/initd/launch"
	"server-starter/initd/machine"
)

// probe is the role of the command that judges a generation.
type probe struct{ generation int }

func (p *probe) command(l *loop, _ *child) (*launch.Command, error) {
	return l.programs.probe(l.environments[p.generation]), nil
}

func (p *probe) begun(*loop, *child)    {}
func (p *probe) executed(*loop, *child) {}

func (p *probe) unstarted(l *loop, err error) {
	l.log.Warn(eventlog.Probe, "cannot start the probe: "+err.Error(), "generation", p.generation)
	l.then(machine.Probed{Generation: p.generation, Status: machine.Status{Code: exitSetup}})
}

func (p *probe) ended(l *loop, c *child, status machine.Status) {
	l.logEnd(slog.LevelInfo, eventlog.Probe, "probe ended", c, status, "generation", p.generation)
	l.then(machine.Probed{Generation: p.generation, Status: status})
}
