package eventlog

import (
	"strings"
	"testing"
)

func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Kinds {
		word := r.String()
		if seen[word] || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-") != "" || !strings.HasSuffix(r.Meaning, ".") {
			t.Errorf("%q means %q", word, r.Meaning)
		}
		seen[word] = true
	}
	if len(seen) < 40 {
		t.Errorf("there are %d kinds", len(seen))
	}
}
