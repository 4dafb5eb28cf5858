package machine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseLog takes a line of initd's log apart, if it is one. The message is
// empty where it is not of the machine's.
func parseLog(line string) (at time.Time, message string, ok bool) {
	fields := map[string]string{}
	switch {
	case strings.HasPrefix(line, "{"):
		var all map[string]any
		if json.Unmarshal([]byte(line), &all) != nil {
			return at, "", false
		}
		for k, v := range all {
			fields[k] = fmt.Sprint(v)
		}
	case strings.HasPrefix(line, "time="):
		var err error
		if fields, err = parsePairs(line); err != nil {
			return at, "", false
		}
	default:
		return at, "", false
	}
	at, err := time.Parse(time.RFC3339Nano, fields["time"])
	if err != nil {
		return at, "", false
	}
	if event := fields["event"]; fields["level"] != "DEBUG" || event != "" && event != "step" {
		return at, "", true
	}
	return at, fields["msg"], true
}

// parsePairs reads key=value pairs. A value may be quoted.
func parsePairs(text string) (map[string]string, error) {
	pairs := map[string]string{}
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		key, rest, ok := strings.Cut(text, "=")
		if !ok || key == "" || strings.ContainsAny(key, " \"") {
			return nil, fmt.Errorf("%q is not key=value", text)
		}
		if _, ok := pairs[key]; ok {
			return nil, fmt.Errorf("%s comes twice", key)
		}
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			pairs[key], _ = strconv.Unquote(quoted)
			text = rest[len(quoted):]
			continue
		}
		pairs[key], text, _ = strings.Cut(rest, " ")
	}
	return pairs, nil
}
