package settings

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/pflag"
)

const prefix = "SERVER_STARTER"

// A Setting is a field of Settings and what its tags say.
type Setting struct {
	Name    string // kill-old-delay
	Default string // as a user would write it; empty: none
	Example string
	Meaning string
	Kind    string   // what its values are, in a few words
	Common  string   // what it does, in a line; empty: most people do not need it
	See     []string // the settings that it interacts with
	Bare    bool     // start_server reads the variable without the prefix too

	word  string // KILL_OLD_DELAY
	field reflect.StructField
	group reflect.StructTag // of the blank field that begins its group
}

// A Group is settings with one purpose.
type Group struct {
	Title, Intro string
	Settings     []Setting
}

// Variable is SERVER_STARTER_KILL_OLD_DELAY.
func (r Setting) Variable() string { return prefix + "_" + r.word }

// Flag is --kill-old-delay.
func (r Setting) Flag() string { return "--" + r.Name }

func (r Setting) tag(key string) string { return r.field.Tag.Get(key) }
func (r Setting) isBare() bool          { return r.tag("envconfig") != "" }
func (r Setting) isHidden() bool        { return r.tag("hidden") != "" }

// Table has the settings that are documented, in the order of --help=all.
func Table() (rows []Setting) {
	for _, r := range all() {
		if !r.isHidden() {
			r.Default, r.Example, r.Meaning, r.Bare = r.tag("default"), r.tag("example"), r.tag("desc"), r.isBare()
			r.Kind, r.Common, r.See = r.kind(), r.tag("common"), strings.Fields(r.tag("see"))
			rows = append(rows, r)
		}
	}
	return rows
}

// Groups has the settings of Table in their groups.
func Groups() (groups []Group) {
	for _, r := range Table() {
		title := r.group.Get("group")
		if len(groups) == 0 || groups[len(groups)-1].Title != title {
			groups = append(groups, Group{Title: title, Intro: r.group.Get("intro")})
		}
		last := &groups[len(groups)-1]
		last.Settings = append(last.Settings, r)
	}
	return groups
}

// kind is what the values of a setting are: a word or two for readers, where
// Type is what an error expects.
func (r Setting) kind() string {
	if kind := r.tag("kind"); kind != "" {
		return kind
	}
	v := new(Settings).value(r)
	switch v.(type) {
	case *Duration:
		return "duration"
	case *Signal, *OptionalSignal:
		return "signal"
	case *Bool:
		return "boolean"
	case *Mode:
		return "octal mode"
	case *Account:
		return "user[:group]"
	case *Bytes:
		return "size in bytes"
	case *Command:
		return "command"
	case *Output:
		return "path or | command"
	case *Protocols:
		return "list of " + oneOf(protocolNames())
	case *SignalMap:
		return "list of SIGNAL:SIGNAL"
	case *ExitMap:
		return "list of STATUS:STATUS"
	case *Count, *Size, *PoolSize, *text, *PathOrNone, *Scoreboard:
		return strings.NewReplacer("a whole number", "number", "a path, or", "path or", "a path", "path").Replace(v.Type())
	}
	return "one of " + v.Type() // a Choice
}

// documented are the names that may be proposed to a user.
func documented() (names []string) {
	for _, r := range Table() {
		names = append(names, r.Name)
	}
	return names
}

// all are the settings, the hidden too. The rest of their tags is left to those
// who need it: to search tags takes longer than all else here.
var all = sync.OnceValue(func() (rows []Setting) {
	t := reflect.TypeFor[Settings]()
	rows = make([]Setting, 0, t.NumField())
	var group reflect.StructTag
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "_" {
			group = f.Tag
		}
		if f.IsExported() && f.Tag != `ignored:"true"` {
			name, word := split(f.Name)
			rows = append(rows, Setting{Name: name, word: word, field: f, group: group})
		}
	}
	return rows
})

// split makes kill-old-delay and KILL_OLD_DELAY of KillOldDelay, as envconfig's
// split_words does.
func split(field string) (name, word string) {
	const lower = 'a' - 'A'
	small, capital := make([]byte, 0, 40), make([]byte, 0, 40)
	for i := range len(field) {
		if i > 0 && field[i] < 'a' && field[i-1] >= 'a' {
			small, capital = append(small, '-'), append(capital, '_')
		}
		small, capital = append(small, field[i]|lower), append(capital, field[i]&^lower)
	}
	return string(small), string(capital)
}

// value is the field in s.
func (s *Settings) value(r Setting) pflag.Value {
	field := reflect.ValueOf(s).Elem().FieldByIndex(r.field.Index).Addr().Interface()
	if plain, ok := field.(*string); ok {
		return (*text)(plain)
	}
	return field.(pflag.Value)
}

// lookup finds a setting by its name. A Setting is large: only the one that is
// found is copied.
func lookup(name string) (Setting, bool) {
	rows := all()
	for i := range rows {
		if rows[i].Name == name {
			return rows[i], true
		}
	}
	return Setting{}, false
}

// row is lookup for a name of this program's own.
func row(name string) Setting {
	r, ok := lookup(name)
	if !ok {
		panic("settings: no setting " + name)
	}
	return r
}

// A source is where a value came from: a variable, a flag, or neither.
type source struct {
	variable, flag string
	text           string // as given, the last of a list
}

func (s source) String() string { return cmp.Or(s.variable, s.flag, "default") }

// Given says whether the user set it, in whatever way. It panics for a name
// that is no setting's.
func (s *Settings) Given(name string) bool {
	_, given := s.sources[row(name).Name]
	return given
}

// set puts texts in place of what the setting had.
func (s *Settings) set(r Setting, from source, texts ...string) (problems Problems) {
	v := s.value(r)
	if _, ok := v.(plural); ok {
		reflect.ValueOf(v).Elem().SetZero()
	}
	_, whole := v.(*List) // as a flag's value a text may have semicolons in it
	for _, text := range texts {
		from.text = strings.TrimSpace(text)
		s.sources[r.Name] = from
		for _, err := range parse(v, from.text, whole && from.flag != "") {
			problems = append(problems, s.Problem(r.Name, from.text, err))
		}
	}
	return problems
}

// Arguments writes the settings of those names as flags again, in the order of
// the table, so that another initd can be started with them; one that has no
// value is left out. A name that is no setting's means nothing.
func (s *Settings) Arguments(names ...string) (args []string) {
	for _, r := range all() {
		if !slices.Contains(names, r.Name) {
			continue
		}
		items := []string{s.value(r).String()}
		if v, ok := s.value(r).(plural); ok {
			items = v.words()
		}
		for _, item := range items {
			if item != "" {
				args = append(args, r.Flag()+"="+item)
			}
		}
	}
	return args
}
