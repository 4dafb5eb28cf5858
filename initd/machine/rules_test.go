package machine

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPure keeps the machine what its documentation says: it reads no clock,
// starts nothing, waits for nothing and reaches nobody but its caller.
func TestPure(t *testing.T) {
	imports := []string{"fmt", "maps", "slices", "time"}
	uses := []string{
		"fmt.Sprint", "fmt.Sprintf", "fmt.Stringer",
		"time.Duration", "time.Hour", "time.Millisecond", "time.Second", "time.Time",
	}
	files, _ := filepath.Glob("*.go")
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			if path, _ := strconv.Unquote(spec.Path.Value); !slices.Contains(imports, path) {
				t.Errorf("%v: import of %s", set.Position(spec.Pos()), path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SendStmt, *ast.SelectStmt, *ast.ChanType:
				t.Errorf("%v: %T", set.Position(n.Pos()), n)
			case *ast.SelectorExpr:
				of, ok := n.X.(*ast.Ident)
				use := ""
				if ok {
					use = of.Name + "." + n.Sel.Name
				}
				if ok && (of.Name == "fmt" || of.Name == "time") && !slices.Contains(uses, use) {
					t.Errorf("%v: %s", set.Position(n.Pos()), use)
				}
			}
			return true
		})
	}
}
