package web

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"strings"
)

//go:embed page.html
var page string

// policy lets the page do what it does and nothing else: run its own script, as
// it is here, and ask this server. What initd answers is not trusted, either.
var policy = "default-src 'none'; connect-src 'self'; img-src data:; script-src " + hash("script") +
	"; style-src " + hash("style") + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// hash is that of the page's only element of this name, as
// Content-Security-Policy has it.
func hash(element string) string {
	_, text, _ := strings.Cut(page, "<"+element+">")
	text, _, found := strings.Cut(text, "</"+element+">")
	if !found {
		panic("page.html has no " + element)
	}
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
