package main

import (
	"context"
	"errors"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"server-starter/initd/control"
	"server-starter/initd/settings"
)

func (t *tool) topCommand() *cobra.Command {
	interval := time.Second
	c := &cobra.Command{
		Use:   "top",
		Short: "Watch generations, workers and queues live",
		Long: `top shows generations as bars on a timeline, busy and idle workers, queues, and requests
per second, if workers count them on the scoreboard. Press q to quit, - and + to show
less or more history.`,
		Example: `  initctl top
  initctl top --interval 0.2`,
		Args: arguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if !isTerminal(t.stdin) || !isTerminal(t.stdout) || t.dumb() {
				return errors.New("top needs a terminal (docker exec -it); initctl status and initctl events do not")
			}
			if interval <= 0 {
				return wrongUsage("--interval must be greater than 0")
			}
			return t.top(c.Context(), interval)
		},
	}
	c.Flags().Var((*settings.Duration)(&interval), "interval", "`duration` between updates")
	return c
}

func (t *tool) top(ctx context.Context, interval time.Duration) error {
	first, err := t.ask(ctx, control.Request{Request: control.AskStatus}) // an error is better read without the screen
	if err != nil {
		return err
	}
	m := monitor{
		screen:   screen{palette: t.palette(t.stdout), width: narrow, height: 24}.observe(first.Status),
		interval: interval,
		look: func() tea.Msg {
			a, err := t.ask(ctx, control.Request{Request: control.AskStatus})
			if err != nil {
				return err
			}
			return a.Status
		},
	}
	_, err = tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(t.stdin), tea.WithOutput(t.stdout), tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil {
		return nil // it has been asked for
	}
	return err
}

// A monitor has a screen, and looks at initd again and again.
type monitor struct {
	screen   screen
	interval time.Duration
	look     tea.Cmd // yields a *control.Status or an error
}

type due struct{}

func (m monitor) wait() tea.Cmd {
	return tea.Tick(m.interval, func(time.Time) tea.Msg { return due{} })
}

func (m monitor) Init() tea.Cmd { return m.wait() }

func (m monitor) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch message := message.(type) {
	case *control.Status:
		m.screen = m.screen.observe(message)
		return m, m.wait()
	case error:
		m.screen.wrong = message
		return m, m.wait()
	case due:
		return m, m.look
	case tea.WindowSizeMsg:
		m.screen.width, m.screen.height = message.Width, message.Height
	case tea.KeyPressMsg:
		switch message.String() {
		case "q", "esc", "ctrl+c":
			return m, tea.Quit
		case "-":
			m.screen = m.screen.zoom(-1)
		case "+", "=":
			m.screen = m.screen.zoom(1)
		}
	}
	return m, nil
}

func (m monitor) View() tea.View {
	v := tea.NewView(m.screen.view())
	v.AltScreen = true
	v.WindowTitle = "initctl top"
	return v
}
