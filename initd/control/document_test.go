package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// document is docs/CONTROL.md.
func document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/CONTROL.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocumentExamples plays the document's examples: each request is answered
// to the letter.
func TestDocumentExamples(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(document(t), -1)
	played := map[string]bool{}
	for i, block := range blocks {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			in := start(t)
			p := in.connect()
			for values := json.NewDecoder(strings.NewReader(block[1])); ; {
				var value json.RawMessage
				if err := values.Decode(&value); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%v in %s", err, block[1])
				}
				var line bytes.Buffer
				json.Compact(&line, value)
				var request struct{ Request string }
				if json.Unmarshal(value, &request); request.Request != "" {
					played[request.Request] = true
					p.send(line.String() + "\n")
					continue
				}
				a := understand(t, value)
				switch {
				case a.Outcome != nil:
					in.PublishOutcome(*a.Outcome)
				case a.Event != nil:
					eventually(t, "it subscribes", in.Subscribed)
					in.Publish(a.Event)
					if n := missed(t, a); n > 0 && untimed(a.Event) != untimed(missedEvents(int64(n))) {
						t.Errorf("%s is in truth %s", a.Event, missedEvents(int64(n)))
					}
				}
				got, err := p.lines.ReadString('\n')
				if got != line.String()+"\n" {
					t.Fatalf("the document says\n%s\nand it is (%v)\n%s", line.Bytes(), err, got)
				}
			}
			if !in.Subscribed() {
				p.conn.CloseWrite()
				p.receiveEnd() // no answer is missing in the document
			}
		})
	}
	if want := slices.Sorted(maps.Keys(takes)); !slices.Equal(slices.Sorted(maps.Keys(played)), want) {
		t.Errorf("the examples request %v; there are %v", slices.Sorted(maps.Keys(played)), want)
	}
}

func untimed(event []byte) string {
	return regexp.MustCompile(`"time":"[^"]*"`).ReplaceAllString(string(event), "")
}

// TestDocumentFields: each field of requests and answers is in the document, in
// its order and with its type, and no other.
func TestDocumentFields(t *testing.T) {
	text := document(t)
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(r reflect.Type) {
		if seen[r] {
			return
		}
		seen[r] = true
		var want []string
		for f := range r.Fields() {
			name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			said := typeName(f.Type, visit)
			if option == "omitempty" {
				said += "?"
			}
			want = append(want, name+": "+said)
		}
		got := []string{}
		for _, row := range table(t, text, "### "+r.Name()+"\n") {
			got = append(got, strings.Trim(row[0], "`")+": "+row[1])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the document says\n%s\nand it is\n%s", r.Name(), strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	visit(reflect.TypeFor[Request]())
	visit(reflect.TypeFor[Answer]())
	if len(seen) < 15 {
		t.Errorf("only %d types were looked at", len(seen))
	}
}

// typeName is a type as the document calls it.
func typeName(r reflect.Type, visit func(reflect.Type)) string {
	switch {
	case r == reflect.TypeFor[time.Time]():
		return "time"
	case r == reflect.TypeFor[json.RawMessage]():
		return "object"
	}
	switch r.Kind() {
	case reflect.Pointer:
		return typeName(r.Elem(), visit)
	case reflect.Slice:
		return "list of " + typeName(r.Elem(), visit)
	case reflect.Map:
		return "object of " + typeName(r.Elem(), visit)
	case reflect.Struct:
		visit(r)
		return fmt.Sprintf("[%s](#%s)", r.Name(), strings.ToLower(r.Name()))
	case reflect.Int, reflect.Int64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "boolean"
	}
	return r.Kind().String()
}

// table are the cells of the first table after a line that begins so.
func table(t *testing.T, text, after string) (rows [][]string) {
	t.Helper()
	_, text, found := strings.Cut(text, "\n"+after)
	if !found {
		t.Errorf("the document has no line %q", after)
	}
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "|"):
			var cells []string
			for cell := range strings.SplitSeq(strings.Trim(strings.TrimSpace(line), "|"), "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			rows = append(rows, cells)
		case len(rows) > 0, strings.HasPrefix(line, "#"):
			return rows[min(2, len(rows)):] // after the head
		}
	}
	return rows[min(2, len(rows)):]
}

// TestDocumentWords: the requests with what they take, the codes and the bounds
// are as they are.
func TestDocumentWords(t *testing.T) {
	text := document(t)
	requests := map[string][]string{}
	for _, row := range table(t, text, "Each request takes") {
		fields := []string{}
		for _, name := range strings.Split(row[1], ",") {
			if name = strings.Trim(name, " `"); name != "" {
				fields = append(fields, name)
			}
		}
		requests[row[0]] = fields
	}
	if !reflect.DeepEqual(requests, takes) {
		t.Errorf("the document says\n%v\nand it is\n%v", requests, takes)
	}

	var codes []string
	for _, row := range table(t, text, "## Errors") {
		codes = append(codes, row[0])
	}
	if want := []string{BadRequest, Forbidden, Busy, NotPossible, NotFound, Defect}; !slices.Equal(codes, want) {
		t.Errorf("codes: %v and not %v", codes, want)
	}

	var bounds []string
	for _, row := range table(t, text, "## Limits") {
		bounds = append(bounds, row[1])
	}
	want := []string{
		fmt.Sprintf("%d bytes", MaxRequest), fmt.Sprint(maxConnections), fmt.Sprint(maxWaiting),
		fmt.Sprintf("%g s", idleLimit.Seconds()), fmt.Sprintf("%g s", writeLimit.Seconds()),
		fmt.Sprint(keptOutcomes), fmt.Sprint(keptEvents), fmt.Sprintf("%d bytes", maxEvent),
	}
	if !slices.Equal(bounds, want) {
		t.Errorf("bounds: %v and not %v", bounds, want)
	}
	if !strings.Contains(text, fmt.Sprintf("version %d of the protocol", Version)) {
		t.Error("the document is of another version")
	}
}
