package notify

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("é", MaxStatus) // two bytes each
	tests := []struct {
		name, datagram string
		want           Assignments
	}{
		{"nothing", "", Assignments{}},
		{"ready", "READY=1", Assignments{Ready: true}},
		{"final newline", "READY=1\n", Assignments{Ready: true}},
		{"final NUL", "READY=1\x00", Assignments{Ready: true}},
		{"final newline and NUL", "READY=1\n\x00", Assignments{Ready: true}},
		{"all", "READY=1\nRELOADING=1\nSTOPPING=1\nWATCHDOG=1\nWATCHDOG=trigger\nSTATUS=x",
			Assignments{Ready: true, Reloading: true, Stopping: true, Watchdog: true, WatchdogTrigger: true, HasStatus: true, Status: "x"}},
		{"more time and another process", "EXTEND_TIMEOUT_USEC=1500000\nMAINPID=7", Assignments{Extend: 1500 * time.Millisecond, MainPID: 7}},
		{"more time than there is", "EXTEND_TIMEOUT_USEC=18446744073709551615", Assignments{Extend: maxExtend}},
		{"no numbers", "EXTEND_TIMEOUT_USEC=-1\nMAINPID=0x7\nMAINPID=-7\nMAINPID=0\nSTATUS\nMAINPID", Assignments{}},
		{"unknown among known", "MAINPIDS=7\nX_FOO=READY=1\nREADY=1\nFDSTORE=1\nBARRIER=1", Assignments{Ready: true}},
		{"empty lines", "\n\nREADY=1\n\n", Assignments{Ready: true}},
		{"other values", "READY=0\nREADY=11\nREADY=\nREADY\nWATCHDOG=0\nSTOPPING=yes", Assignments{}},
		{"other case", "ready=1\nReady=1", Assignments{}},
		{"blanks count", " READY=1\nREADY=1 \nREADY =1\nREADY=1\r", Assignments{}},
		{"NUL inside a line", "READY=1\x00READY=1", Assignments{}},
		{"NUL inside another line", "\x00X=1\nREADY=1", Assignments{Ready: true}},

		{"status", "STATUS=Serving 3 of 4: a=b", Assignments{HasStatus: true, Status: "Serving 3 of 4: a=b"}},
		{"status cleared", "STATUS=", Assignments{HasStatus: true}},
		{"first status", "STATUS=one\nSTATUS=two", Assignments{HasStatus: true, Status: "one"}},
		{"first status is empty", "STATUS=\nSTATUS=two", Assignments{HasStatus: true}},
		{"status in other scripts", "STATUS=準備完了 ✓", Assignments{HasStatus: true, Status: "準備完了 ✓"}},
		{"status with controls", "STATUS=a\x1b[2Jb\rc\td\x7fe\u0085f", Assignments{HasStatus: true, Status: "a[2Jbcdef"}},
		{"status with line separators and bidi", "STATUS=a\u2028b\u2029c\u202ed", Assignments{HasStatus: true, Status: "abcd"}},
		{"status that is no UTF-8", "STATUS=a\xffb", Assignments{HasStatus: true, Status: "a\ufffdb"}},
		{"long status", "STATUS=x" + long, Assignments{HasStatus: true, Status: "x" + long[:MaxStatus-2]}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Parse([]byte(test.datagram)); got != test.want {
				t.Errorf("Parse(%q)\n got %+v\nwant %+v", test.datagram, got, test.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "READY=1", "STATUS=x\nREADY=1\x00", "STATUS=\nWATCHDOG=trigger", "STATUS=\xff\x1b\u2028\nSTOPPING=1\nRELOADING=1\nWATCHDOG=1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		before := string(datagram)
		a := Parse(datagram)
		if string(datagram) != before {
			t.Fatal("the datagram was changed")
		}
		lines := strings.Split(strings.TrimRight(before, "\x00"), "\n")
		has := func(line string) bool {
			for _, l := range lines {
				if l == line {
					return true
				}
			}
			return false
		}
		want := Assignments{Ready: has("READY=1"), Reloading: has("RELOADING=1"), Stopping: has("STOPPING=1"),
			Watchdog: has("WATCHDOG=1"), WatchdogTrigger: has("WATCHDOG=trigger"),
			HasStatus: a.HasStatus, Status: a.Status}
		if a != want {
			t.Fatalf("got %+v, want %+v", a, want)
		}
		if a.HasStatus != strings.Contains("\n"+strings.Join(lines, "\n"), "\nSTATUS=") {
			t.Fatalf("HasStatus is %v", a.HasStatus)
		}
		if len(a.Status) > MaxStatus || !utf8.ValidString(a.Status) || strings.ContainsFunc(a.Status, unicode.IsControl) {
			t.Fatalf("status %q", a.Status)
		}
		if again := Parse([]byte("STATUS=" + a.Status)); again.Status != a.Status {
			t.Fatalf("status %q does not survive a second time: %q", a.Status, again.Status)
		}
	})
}
