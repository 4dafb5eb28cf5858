package main_test

import (
	"strings"
	"testing"

	"server-starter/cmd/initd/internal/initdtest"
)

// TestSlips: what is probably not meant is named, with what probably is.
func TestSlips(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writes(t, dir+"/NAME", "value\n")
	writes(t, dir+"/CERTIFICATE", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
	for name, test := range map[string]struct{ environ, settings, says []string }{
		"Worker":        {environ: []string{"SERVER_STARTER_WORKER=4"}, says: []string{"SERVER_STARTER_WORKER", "did you mean SERVER_STARTER_WORKERS?"}},
		"WatchMissing":  {settings: []string{"watch=/nonexist"}, says: []string{"watch: /nonexist does not exist"}},
		"WatchMisspelt": {settings: []string{"watch=envdri"}, says: []string{"/envdri does not exist", "did you mean envdir?"}},
		"EnvdirLines":   {settings: []string{"envdir=" + dir}, says: []string{"envdir: only the first line of CERTIFICATE is its value"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			d := run{mode: subreaper, environ: test.environ, args: flags(s.puppet(), append(test.settings, "ready=notify", "port=127.0.0.1:0")...)}.start(t)
			s.next().ready()
			d.event("it warns", func(e initdtest.Entry) bool {
				for _, text := range test.says {
					if !strings.Contains(e.Message, text) {
						return false
					}
				}
				return e.Event == "note"
			})
			d.stop()
			if said := d.output(); strings.Count(said, `"event":"note"`) != 1 {
				t.Errorf("it warns more than once:\n%s", said)
			}
		})
	}
}
