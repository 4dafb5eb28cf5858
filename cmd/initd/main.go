package main

import (
	"os"

	"server-starter/initd"
)

func main() {
	os.Exit(initd.Run(os.Args))
}
