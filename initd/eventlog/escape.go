package eventlog

import (
	"bytes"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Escape returns JSON that means the same and has no character that a terminal would
// obey. encoding/json escapes the control characters of ASCII alone, and leaves DEL and
// those of eight bits, ECMA-48. In a string each may be written as \u and its number;
// outside of strings they can be white space only, RFC 8259.
func Escape(json []byte) []byte {
	if utf8.Valid(json) && !bytes.ContainsFunc(json, unprintable) {
		return json
	}
	var b bytes.Buffer
	for _, r := range string(json) {
		switch {
		case !unprintable(r):
			b.WriteRune(r)
		case r < ' ':
			b.WriteByte(' ')
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

func unprintable(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }

// escapingWriter writes lines of JSON escaped.
type escapingWriter struct{ to io.Writer }

func (w escapingWriter) Write(line []byte) (int, error) {
	if _, err := w.to.Write(Escape(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}
