package settings

// Arguments writes the settings of those names as flags again, in the order of
// the table, so that another initd can be started with them; one that has no
// value is left out. A name that is no setting's means nothing.
func (s *Settings) Arguments(names ...string) (args []string) {
	wanted := make(map[string]bool)
	for _, name := range names {
		wanted[name] = true
	}
	for _, r := range s.table() {
		if !wanted[r.Name] {
			continue
		}
		items := []string{r.value.String()}
		if several, ok := r.value.(plural); ok {
			items = several.words()
		}
		for _, item := range items {
			if item != "" {
				args = append(args, r.Flag()+"="+item)
			}
		}
	}
	return args
}
