package initd

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestGoroutines keeps PID 1 alive: a panic of a goroutine ends the program at once, and
// in a container everything with it, unless inbox.start has started it. Others have to be
// listed here, with the reason why their panics are no loss.
func TestGoroutines(t *testing.T) {
	excepted := map[string]string{
		"inbox.go start":            "inbox.start itself",
		"run.go fatal":              "initd has not begun, and ends",
		"run.go setUpUnlessStopped": "initd has not begun",
		"signals/signals.go init":   "before main",
		"control/accept.go accept":  "the server recovers, and one client loses its connection",
		"control/follow.go follow":  "the same",
		"daemon/start.go Start":     "in the parent of a daemon, which is not PID 1",
	}
	used := map[string]bool{}
	filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			t.Fatal(err)
		case path == "worker": // a library for workers
			return fs.SkipDir
		case d.IsDir(), !strings.HasSuffix(path, ".go"), strings.HasSuffix(path, "_test.go"):
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range file.Decls {
			f, ok := declared.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if _, starts := n.(*ast.GoStmt); starts {
					place := fmt.Sprintf("%s %s", path, f.Name.Name)
					if used[place] = true; excepted[place] == "" {
						t.Errorf("%v: a goroutine that inbox.start has not started", set.Position(n.Pos()))
					}
				}
				return true
			})
		}
		return nil
	})
	var unused []string
	for place := range excepted {
		if !used[place] {
			unused = append(unused, place)
		}
	}
	if slices.Sort(unused); len(unused) > 0 {
		t.Errorf("there is no goroutine at %q", unused)
	}
}
