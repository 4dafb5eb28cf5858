package settings

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kelseyhightower/envconfig"
	"github.com/spf13/pflag"
)

// The types of this package's settings are pflag.Values, by whose Set envconfig
// reads them, too. Set takes one trimmed text; its error is the reason alone.
// String gives a text that Set takes for the same value, empty for none. Type
// says in words what Set expects.

// A plural value adds what Set is given to what it has. Decode, which envconfig
// prefers to Set, takes several separated by semicolons, and String gives them so.
type plural interface {
	envconfig.Decoder
	words() []string
}

var errEmpty = errors.New("needs a value")

// parse gives a value a text, or the items of one, and collects what it says
// against them.
func parse(v pflag.Value, text string, whole bool) (errs []error) {
	items := []string{text}
	if _, ok := v.(plural); ok && !whole {
		items = elements(text)
	}
	for _, item := range items {
		err := v.Set(item)
		if err != nil && item != text {
			err = fmt.Errorf("%q: %w", item, err)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// elements takes a list apart.
func elements(text string) (items []string) {
	for item := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// text is how flags and --show-config see a string, which envconfig reads by
// itself.
type text string

func (t *text) Set(s string) error { *t = text(s); return nil }
func (t text) String() string      { return string(t) }
func (t text) Type() string        { return "a path" }

// A List is of texts, as given, trimmed. As a flag's value a text may have
// semicolons in it.
type List []string

func (l *List) Decode(text string) error { return errors.Join(parse(l, text, false)...) }
func (l *List) Set(s string) error {
	if s != "" {
		*l = append(*l, s)
	}
	return nil
}
func (l List) String() string { return strings.Join(l, ";") }
func (l List) Type() string {
	return "a list: the flag repeated, or in a variable separated by semicolons or newlines"
}
func (l List) words() []string { return l }

// Protocols are those by which workers learn of their listeners, in the order
// given, each once.
type Protocols []string

func (p *Protocols) Decode(text string) error { return errors.Join(parse(p, text, false)...) }
func (p *Protocols) Set(s string) error {
	if s == "" {
		return nil
	}
	i, err := choose(s, protocolNames())
	if err == nil && !slices.Contains(*p, ExportProtocols[i].Name) {
		*p = append(*p, ExportProtocols[i].Name)
	}
	return err
}
func (p Protocols) String() string { return strings.Join(p, ";") }
func (p Protocols) Type() string {
	return oneOf(protocolNames()) + ", or several separated by semicolons"
}
func (p Protocols) words() []string { return p }

// A Choice is one of the values of an enumeration, by its word.
type Choice[E interface {
	comparable
	fmt.Stringer
	Values() []E // in the order in which they are listed to users
}] struct{ Value E }

func (c *Choice[E]) Set(s string) error {
	i, err := choose(s, c.all())
	if err == nil {
		c.Value = c.Value.Values()[i]
	}
	return err
}
func (c Choice[E]) String() string { return c.Value.String() }
func (c Choice[E]) Type() string   { return oneOf(c.all()) }
func (c Choice[E]) all() (words []string) {
	for _, v := range c.Value.Values() {
		words = append(words, v.String())
	}
	return words
}

// choose finds the word that is meant.
func choose(s string, of []string) (int, error) {
	i := slices.IndexFunc(of, func(word string) bool { return strings.EqualFold(s, word) })
	if i >= 0 {
		return i, nil
	}
	if s == "" {
		return i, errEmpty
	}
	if near := nearest(s, of); near != "" {
		return i, fmt.Errorf("unknown word; did you mean %s?", near)
	}
	return i, errors.New("unknown word")
}

func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// A Bool is true as a flag without a value.
type Bool bool

func (b *Bool) Set(s string) error {
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
func (b Bool) String() string { return strconv.FormatBool(bool(b)) }
func (b Bool) Type() string   { return "1 or 0, true or false, yes or no, on or off" }

// A PathOrNone is a path or NoControlSocket.
type PathOrNone string

func (p *PathOrNone) Set(s string) error {
	if strings.EqualFold(s, noPath) {
		s = noPath
	}
	*p = PathOrNone(s)
	return nil
}
func (p PathOrNone) String() string { return string(p) }
func (p PathOrNone) Type() string   { return "a path, or " + noPath }

// A Scoreboard is a path or NoScoreboard. What is handed to workers in the
// variable of its name is a file descriptor, so that is never a path.
type Scoreboard string

func (b *Scoreboard) Set(s string) error {
	if decimal(s) {
		return fmt.Errorf("a number is what workers are handed; for a file of that name write ./%s", s)
	}
	return (*PathOrNone)(b).Set(s)
}
func (b Scoreboard) String() string { return string(b) }
func (b Scoreboard) Type() string   { return PathOrNone(b).Type() }

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
	err := named("user", user)
	if grouped {
		err = cmp.Or(err, named("group", group))
	}
	if err == nil {
		*a = Account{user, group}
	}
	return err
}

func (a Account) String() string {
	if a.Group == "" {
		return a.User
	}
	return a.User + ":" + a.Group
}

func (a Account) Type() string { return "name or uid, with :group or :gid if wanted" }

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
