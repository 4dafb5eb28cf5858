package envdir

import (
	"slices"
	"testing"
)

func TestLonger(t *testing.T) {
	dir := write(t, map[string]string{
		"ONE": "1\n", "BARE": "1", "EMPTY": "", "BLANK": "\n", "SPACED": "1\n\n \n",
		"DOTENV": "A=1\nB=2\n", "PEM": "-----BEGIN\nx\n-----END", "LATE": "\n\nx",
	})
	environ, _, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Longer(dir, environ), []string{"DOTENV", "LATE", "PEM"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Longer(dir+"/missing", environ); got != nil {
		t.Errorf("a missing directory: %q", got)
	}
}
