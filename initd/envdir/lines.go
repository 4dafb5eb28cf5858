package envdir

import (
	"bytes"
	"io"
	"os"
	"strings"
)

// Longer returns the names of the variables, of those that Read has returned for dir, whose files have more than the
// line that is the value: a file of several assignments, or a certificate.
func Longer(dir string, environ []string) (names []string) {
	d, err := open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	for _, kv := range environ {
		if name, value, _ := strings.Cut(kv, "="); hasMore(d, name, len(value)) {
			names = append(names, name)
		}
	}
	return names
}

// hasMore reports whether a file in d has more than its first line, which is that long. Blank lines do not count.
func hasMore(d *os.File, name string, line int) bool {
	f, err := openRegular(d, name)
	if err != nil || f == nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() <= int64(line)+1 {
		return false
	}
	rest, _ := io.ReadAll(io.NewSectionReader(f, int64(line), maxVariable))
	return len(bytes.TrimSpace(rest)) > 0
}
