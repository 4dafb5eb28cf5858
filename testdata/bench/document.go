package main

import (
	"fmt"
	"os"
	"strings"
)

// document has the last run in a section of its own.
const document = "docs/PERFORMANCE.md"

// replace replaces the content of the section "The last run" of a file.
func replace(path, text string) error {
	const title = "\n## The last run\n"
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(old), title)
	_, after, followed := strings.Cut(rest, "\n## ")
	if !found || !followed {
		return fmt.Errorf("%s: no section %q with another after it", path, strings.TrimSpace(title))
	}
	return os.WriteFile(path, []byte(before+title+"\n"+text+"\n## "+after), 0o644)
}
