package worker

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestStandardLibrary: a program that imports this package gets nothing else by it, but
// for the layout of the scoreboard, which is held to the same.
func TestStandardLibrary(t *testing.T) {
	files, _ := filepath.Glob("*.go")
	others, _ := filepath.Glob("../scoreboard/layout/*.go")
	if len(others) == 0 {
		t.Fatal("the layout is not where it was")
	}
	files = append(files, others...)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if first, _, _ := strings.Cut(path, "/"); strings.ContainsAny(first, ".-") && path != "server-starter/initd/scoreboard/layout" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}
