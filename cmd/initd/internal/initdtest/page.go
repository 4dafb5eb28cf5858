package initdtest

import (
	"regexp"
	"strings"
	"testing"
)

var (
	fence = regexp.MustCompile("(?m)^( *)```(\\w*)\n((?s:.*?))^ *```$")
	span  = regexp.MustCompile("`([^`\n]+)`")
)

// Blocks returns the code blocks in a language that a page has, in order, without the indentation of a list. They
// are what its readers copy.
func Blocks(t testing.TB, page, language string) (blocks []string) {
	t.Helper()
	for _, block := range fence.FindAllStringSubmatch(Read(t, page), -1) {
		if block[2] == language {
			text := strings.TrimPrefix(block[3], block[1])
			blocks = append(blocks, strings.ReplaceAll(text, "\n"+block[1], "\n"))
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no block in %q", page, language)
	}
	return blocks
}

// Prose returns what a page has outside its code blocks.
func Prose(t testing.TB, page string) string {
	t.Helper()
	return fence.ReplaceAllString(Read(t, page), "")
}

// Code returns all code that a page has, however short: each command on a line.
func Code(t testing.TB, page string) string {
	t.Helper()
	var code strings.Builder
	for _, block := range fence.FindAllStringSubmatch(Read(t, page), -1) {
		code.WriteString(strings.ReplaceAll(block[3], "\\\n", " "))
	}
	for _, words := range span.FindAllStringSubmatch(Prose(t, page), -1) {
		code.WriteString(strings.ReplaceAll(words[1], `\|`, "|") + "\n") // in a table
	}
	return code.String()
}
