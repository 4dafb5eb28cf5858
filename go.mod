module server-starter

go 1.26.0

require (
	github.com/kelseyhightower/envconfig v1.4.0
	github.com/spf13/pflag v1.0.10
	golang.org/x/sys v0.49.0
)
