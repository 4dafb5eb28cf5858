package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"server-starter/initd/machine"
)

// TestStates: every state that docs/CONTROL.md lists, and every one of the machine's,
// has its words; and none is left over.
func TestStates(t *testing.T) {
	page, err := os.ReadFile("../../docs/CONTROL.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{stateWaiting: true, stateGivenUp: true}
	rows := regexp.MustCompile("(?m)^\\| `(?:state|outcome)` \\| string \\| (.*) \\|$").FindAllStringSubmatch(string(page), -1)
	if len(rows) != 5 {
		t.Errorf("%d rows of states and outcomes in docs/CONTROL.md", len(rows))
	}
	for _, row := range rows {
		values, _, _ := strings.Cut(row[1], ". ")
		for _, value := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(values, -1) {
			known[value[1]] = true
		}
	}
	for s := machine.Preparing; s <= machine.Gone; s++ {
		if s != machine.Lost { // it has no worker left, and no status shows it
			known[s.String()] = true
		}
	}
	for r := machine.NotReady; r <= machine.Stopping; r++ {
		known[r.String()] = true
	}
	for r := machine.OutcomeBegun; r <= machine.OutcomeStopped; r++ {
		known[r.String()] = true
	}
	for value := range known {
		if _, ok := states[value]; !ok {
			t.Errorf("no words for %q", value)
		}
	}
	for value := range states {
		if !known[value] {
			t.Errorf("%q is in no list", value)
		}
	}
}

// TestStateOfAnother: a state that this initctl does not know is named as it is.
func TestStateOfAnother(t *testing.T) {
	if is := generationIs(2, "dreaming"); is != "generation 2 is dreaming" {
		t.Error(is)
	}
}
