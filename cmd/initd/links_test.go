package main_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"server-starter/cmd/initd/internal/initdtest"
)

// documents are all pages in Markdown, by their paths.
func documents(t *testing.T) (paths []string) {
	t.Helper()
	for _, root := range []string{"../../README.md", "../../CONTRIBUTING.md", "../../CHANGELOG.md", "../../docs", "../../deploy"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if filepath.Ext(path) == ".md" {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

var (
	target   = regexp.MustCompile(`(?m)\]\(([^)\s]+)[^)]*\)|\b(?:src|srcset|href)="([^"\s]+)|^\[[^\]]+\]: (\S+)`)
	verbatim = regexp.MustCompile("`[^`\n]*`")
	heading  = regexp.MustCompile(`(?m)^#{1,6} (.*)$`)
	mark     = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchor is where GitHub puts a heading: in lower case, with hyphens for spaces and without punctuation.
func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r):
			return unicode.ToLower(r)
		}
		return -1
	}, mark.ReplaceAllString(title, "$1"))
}

// anchors are those of a page. Of equal headings the second has -1 at its end.
func anchors(t *testing.T, path string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, title := range heading.FindAllStringSubmatch(initdtest.Prose(t, path), -1) {
		first := anchor(title[1])
		a := first
		for n := 1; found[a]; n++ {
			a = fmt.Sprint(first, "-", n)
		}
		found[a] = true
	}
	return found
}

// TestLinks: each link of a document to a file or a heading here leads to one.
func TestLinks(t *testing.T) {
	t.Parallel()
	paths := documents(t)
	known := map[string]map[string]bool{}
	for _, path := range paths {
		known[path] = anchors(t, path)
	}
	links := 0
	for _, path := range paths {
		for _, found := range target.FindAllStringSubmatch(verbatim.ReplaceAllString(initdtest.Prose(t, path), "``"), -1) {
			place := found[1] + found[2] + found[3]
			if strings.Contains(place, "://") || strings.HasPrefix(place, "mailto:") {
				continue
			}
			links++
			name, anchor, anchored := strings.Cut(place, "#")
			file := path
			if name != "" {
				file = filepath.Join(filepath.Dir(path), name)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s: there is no such file", path, place)
			} else if headings, document := known[file]; anchored && document && !headings[anchor] {
				t.Errorf("%s links to %s: there is no such heading", path, place)
			}
		}
	}
	if links < 100 {
		t.Errorf("there are %d links: this test does not find them", links)
	}
}
