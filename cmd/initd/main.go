package main

import (
	"os"

	"server-starter/initd"
	"server-starter/initd/launch"
)

func main() {
	launch.Child()
	os.Exit(initd.Run(os.Args))
}
