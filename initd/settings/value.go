package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"
)

// A value is a setting's place in Settings. Set takes one trimmed text; its
// error is the reason alone. String gives a text that Set takes for the same
// value, empty for none. Type says in words what Set expects.
type value = pflag.Value

// A plural value adds what Set is given to what it has. Its String has several
// joined by semicolons.
type plural interface {
	value
	clear()
	words() []string
}

var errEmpty = errors.New("needs a value")

// split takes a list apart.
func split(text string) (items []string) {
	for item := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// text is taken as it is.
type text string

func (t *text) Set(s string) error { *t = text(s); return nil }
func (t *text) String() string     { return string(*t) }
func (t *text) Type() string       { return "a path" }

// list is of texts. As a flag's value a text may have semicolons in it.
type list []string

func (l *list) Set(s string) error {
	if s != "" {
		*l = append(*l, s)
	}
	return nil
}
func (l *list) String() string { return strings.Join(*l, ";") }
func (l *list) Type() string {
	return "a list: the flag repeated, or in a variable separated by semicolons or newlines"
}
func (l *list) clear()          { *l = nil }
func (l *list) words() []string { return *l }

// choice is one of a few words.
type choice struct {
	to *string
	of []string
}

func (c *choice) Set(s string) (err error) {
	word, err := choose(s, c.of)
	if err == nil {
		*c.to = word
	}
	return err
}
func (c *choice) String() string { return *c.to }
func (c *choice) Type() string   { return oneOf(c.of) }

// choices are several of a few words, each once.
type choices struct {
	to *[]string
	of []string
}

func (c *choices) Set(s string) error {
	if s == "" {
		return nil
	}
	word, err := choose(s, c.of)
	if err == nil && !slices.Contains(*c.to, word) {
		*c.to = append(*c.to, word)
	}
	return err
}
func (c *choices) String() string  { return strings.Join(*c.to, ";") }
func (c *choices) Type() string    { return oneOf(c.of) + ", or several separated by semicolons" }
func (c *choices) clear()          { *c.to = nil }
func (c *choices) words() []string { return *c.to }

func choose(s string, of []string) (string, error) {
	for _, word := range of {
		if strings.EqualFold(s, word) {
			return word, nil
		}
	}
	if s == "" {
		return "", errEmpty
	}
	if near := nearest(s, of); near != "" {
		return "", fmt.Errorf("unknown word; did you mean %s?", near)
	}
	return "", errors.New("unknown word")
}

func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// boolean is true as a flag without a value.
type boolean bool

func (b *boolean) Set(s string) error {
	switch strings.ToLower(s) {
	case "1", "true", "yes", "on":
		*b = true
	case "0", "false", "no", "off":
		*b = false
	case "":
		return errEmpty
	default:
		return errors.New("neither true nor false")
	}
	return nil
}
func (b *boolean) String() string { return strconv.FormatBool(bool(*b)) }
func (b *boolean) Type() string   { return "1 or 0, true or false, yes or no, on or off" }

// count is what fits a C int, as listen(2) has it.
type count int

func (c *count) Set(s string) error {
	n, err := number(s, 10, 1<<31-1)
	if err == nil {
		*c = count(n)
	}
	return err
}
func (c *count) String() string { return strconv.Itoa(int(*c)) }
func (c *count) Type() string   { return "a whole number, 0 or more" }

// size is of a pool.
type size struct {
	to    *int
	least int
}

func (z *size) Set(s string) error {
	n, err := number(s, 10, MostWorkers)
	if err == nil && n < z.least {
		err = fmt.Errorf("less than %d", z.least)
	}
	if err == nil {
		*z.to = n
	}
	return err
}
func (z *size) String() string { return strconv.Itoa(*z.to) }
func (z *size) Type() string {
	return fmt.Sprintf("a whole number from %d to %d", z.least, MostWorkers)
}

// bytes are of memory. Units are powers of 1024, as those of docker run -m and
// of systemd are, with or without an i: who limits a worker and a container
// means the same by 512M.
type bytes int64

// leastBytes is what no program gets by with. A bare 512 means 512M.
const leastBytes = 1 << 20

func (b *bytes) Set(s string) error {
	digits := strings.TrimRight(s, "KMGTIBkmgtib")
	exponent, ok := unit(strings.ToUpper(s[len(digits):]))
	whole, fraction, pointed := strings.Cut(digits, ".")
	switch {
	case s == "":
		return errEmpty
	case strings.HasPrefix(s, "-"):
		return errors.New("negative")
	case !ok || !decimal(whole) || pointed && !decimal(fraction) || pointed && exponent == 0:
		return errors.New("not a number of bytes")
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > math.MaxInt64>>exponent {
		return errors.New("too large")
	}
	n <<= exponent
	if pointed { // less than a unit, of which a float64 knows each byte
		part, _ := strconv.ParseFloat("0."+fraction, 64)
		more := int64(part * float64(int64(1)<<exponent))
		if n > math.MaxInt64-more {
			return errors.New("too large")
		}
		n += more
	}
	if n < leastBytes && strings.Trim(digits, "0.") != "" {
		return errors.New("less than any program needs; is the unit missing?")
	}
	*b = bytes(n)
	return nil
}

// unit is the power of 2 that K, Ki, KB and KiB stand for.
func unit(s string) (exponent int, ok bool) {
	s = strings.TrimSuffix(s, "B")
	if len(s) > 1 {
		s = strings.TrimSuffix(s, "I")
	}
	exponent, ok = map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[s]
	return exponent, ok
}

func (b *bytes) String() string {
	n, units := int64(*b), "TGMK"
	for i := range units {
		if exponent := 10 * (len(units) - i); n > 0 && n&(1<<exponent-1) == 0 {
			return strconv.FormatInt(n>>exponent, 10) + units[i:i+1]
		}
	}
	return strconv.FormatInt(n, 10)
}
func (b *bytes) Type() string { return "bytes (512M, 1.5G, 512Mi, 1073741824), at least 1M, or 0" }

// pathOrNone is a path or a word.
type pathOrNone string

func (p *pathOrNone) Set(s string) error {
	if strings.EqualFold(s, noPath) {
		s = noPath
	}
	*p = pathOrNone(s)
	return nil
}
func (p *pathOrNone) String() string { return string(*p) }
func (p *pathOrNone) Type() string   { return "a path, or " + noPath }

// scoreboard is a path or a word. What is handed to workers in the variable of
// its name is a file descriptor, so that is never a path.
type scoreboard string

func (b *scoreboard) Set(s string) error {
	if decimal(s) {
		return fmt.Errorf("a number is what workers are handed; for a file of that name write ./%s", s)
	}
	return (*pathOrNone)(b).Set(s)
}
func (b *scoreboard) String() string { return (*pathOrNone)(b).String() }
func (b *scoreboard) Type() string   { return (*pathOrNone)(b).Type() }

// mode is of chmod(2), not Go's: 04000 is set-user-ID.
type mode fs.FileMode

func (m *mode) Set(s string) error {
	n, err := octal(s)
	if err == nil {
		*m = mode(n)
	}
	return err
}
func (m *mode) String() string { return fmt.Sprintf("%04o", uint32(*m)) }
func (m *mode) Type() string   { return octalForm }

// umask is a mode, or -1 for none.
type umask int

func (u *umask) Set(s string) error {
	n, err := octal(s)
	if err == nil {
		*u = umask(n)
	}
	return err
}
func (u *umask) String() string {
	if *u < 0 {
		return ""
	}
	return fmt.Sprintf("%04o", int(*u))
}
func (u *umask) Type() string { return octalForm }

const octalForm = "an octal mode (0777, 777 or 0o777) up to 07777"

func octal(s string) (int, error) {
	return number(strings.TrimPrefix(strings.ToLower(s), "0o"), 8, 0o7777)
}

// number takes digits alone, no sign.
func number(s string, base int, limit uint64) (int, error) {
	n, err := strconv.ParseUint(s, base, 64)
	switch {
	case s == "":
		return 0, errEmpty
	case errors.Is(err, strconv.ErrRange) || err == nil && n > limit:
		return 0, errors.New("too large")
	case err != nil && base == 8:
		return 0, errors.New("not an octal number")
	case err != nil:
		return 0, errors.New("not a whole number of 0 or more")
	}
	return int(n), nil
}

// duration takes a bare number for seconds, as start_server does.
type duration time.Duration

// Duration is a value that reads a duration into d as settings have it: seconds
// (10, 1.5), or Go's form (500ms, 1m30s).
func Duration(d *time.Duration) pflag.Value { return (*duration)(d) }

func (d *duration) Set(s string) error {
	if s == "" {
		return errEmpty
	}
	// Left to ParseDuration, so that 1.5 is exact and no float can be NaN.
	form := s
	if strings.Trim(strings.TrimPrefix(s, "-"), "0123456789.") == "" {
		form += "s"
	}
	t, err := time.ParseDuration(form)
	switch {
	case err != nil:
		return errors.New("not a duration")
	case t < 0:
		return errors.New("negative")
	}
	*d = duration(t)
	return nil
}
func (d *duration) String() string {
	s := time.Duration(*d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
func (d *duration) Type() string {
	return "seconds (10, 1.5) or Go's form (500ms, 1m30s), 292 years at most"
}

// An Account is a user and perhaps a group, each by name or number; nobody has
// looked them up. The zero Account is none.
type Account struct{ User, Group string }

// Set takes name|uid[:group|gid].
func (a *Account) Set(s string) error {
	if s == "" {
		*a = Account{}
		return nil
	}
	user, group, grouped := strings.Cut(s, ":")
	if err := named("user", user); err != nil {
		return err
	}
	if grouped {
		if err := named("group", group); err != nil {
			return err
		}
	}
	*a = Account{user, group}
	return nil
}

func (a *Account) String() string {
	if a.Group == "" {
		return a.User
	}
	return a.User + ":" + a.Group
}

// Type says what Set expects.
func (a *Account) Type() string { return "name or uid, with :group or :gid if wanted" }

// named refuses what no passwd(5) can have, and (uid_t)-1, which chown(2) and
// setreuid(2) take for "leave it".
func named(what, s string) error {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || r == ':' || r == '/' }
	switch {
	case s == "":
		return fmt.Errorf("the %s is missing", what)
	case s[0] == '-' || s[0] == '+' || strings.ContainsFunc(s, bad):
		return fmt.Errorf("%q is no %s", s, what)
	case decimal(s):
		if n, err := strconv.ParseUint(s, 10, 32); err != nil || n == 1<<32-1 {
			return fmt.Errorf("%s %s is too large", what, s)
		}
	}
	return nil
}

func decimal(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// command is an argv.
type command []string

func (c *command) Set(s string) error {
	switch {
	case s == "":
		*c = nil
	case s[0] != '[':
		*c = command{"/bin/sh", "-c", s}
	default:
		// Pointers, because null would pass for an empty string; and no
		// bad UTF-8, which would silently become something else.
		var words []*string
		if err := json.Unmarshal([]byte(s), &words); err != nil || !utf8.ValidString(s) || slices.Contains(words, nil) {
			return errors.New("begins with [ but is no JSON array of strings (for the shell's own [, write test)")
		}
		if len(words) == 0 || *words[0] == "" {
			return errors.New("names no program")
		}
		argv := make(command, len(words))
		for i, word := range words {
			if strings.ContainsRune(*word, 0) {
				return errors.New("has a NUL in it")
			}
			argv[i] = *word
		}
		*c = argv
	}
	return nil
}

func (c *command) String() string {
	argv := *c
	if len(argv) == 0 {
		return ""
	}
	if len(argv) == 3 && argv[0] == "/bin/sh" && argv[1] == "-c" {
		if line := argv[2]; line != "" && line[0] != '[' && line == strings.TrimSpace(line) {
			return line
		}
	}
	array, _ := json.Marshal(argv) // strings cannot fail
	return string(array)
}
func (c *command) Type() string { return `a line for /bin/sh, or a JSON array of strings` }

func (c *command) words() []string { return *c }
