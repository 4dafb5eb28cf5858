//go:build man

package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Man pages are made by `go run -tags man ./cmd/initctl man DIR`. What it takes
// makes each start of the program dearer, so it is not in what is installed.
func init() {
	more = append(more, func(root *cobra.Command) *cobra.Command {
		return &cobra.Command{
			Use:    "man DIR",
			Short:  "Write man pages into a directory",
			Hidden: true,
			Args:   arguments,
			RunE: func(_ *cobra.Command, args []string) error {
				root.DisableAutoGenTag = true
				return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "initctl " + root.Version, Manual: "initd"}, args[0])
			},
		}
	})
}
