package control

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"testing"
)

// TestMain plays the client of another user, too: the test binary with the path
// of a socket in its environment asks there for the health and prints the answer.
func TestMain(m *testing.M) {
	if path := os.Getenv("CONTROL_TEST_CLIENT"); path != "" {
		conn, err := net.Dial("unix", path)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Fprintln(conn, `{"request":"health"}`)
		line, _ := bufio.NewReader(conn).ReadString('\n')
		fmt.Print(line)
		os.Exit(0)
	}
	// Which lines of code a conversation reaches depends on how goroutines take turns. So an input that reached new ones
	// cannot be minimized, and trying that for a minute each, the default, would take almost all of the time to fuzz.
	flag.Set("test.fuzzminimizetime", "10x")
	os.Exit(m.Run())
}
