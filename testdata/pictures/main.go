// Pictures makes the documents' pictures of a pool that is swapped, from a real initd whose workers are under load:
//
//	go run ./testdata/pictures
//
// writes docs/pictures/status.svg and top.svg, which are what initctl prints on a terminal, and dashboard-light.png and
// dashboard-dark.png, which are its page in a browser. It needs root, for namespaces in which port 8080 is free and initd
// is PID 1, and Debian's packages chromium, tmux and util-linux. It takes a minute, which is the history that is shown.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

// album is where the pictures are kept.
const album = "docs/pictures"

// inside is the argument by which the program knows that it is in namespaces of its own.
const inside = "inside"

func main() {
	log.SetFlags(0)
	log.SetPrefix(filepath.Base(os.Args[0]) + ": ")
	var err error
	switch {
	case filepath.Base(os.Args[0]) == app:
		err = serve()
	case len(os.Args) == 3 && os.Args[1] == inside:
		err = take(os.Args[2])
	case len(os.Args) == 1:
		err = isolated()
	default:
		err = errors.New("usage: go run ./testdata/pictures")
	}
	if err != nil {
		log.Fatal(err)
	}
}

// isolated builds what is needed, and runs this program in namespaces of its own, with which all ends that it has started.
func isolated() error {
	dir, err := os.MkdirTemp("", "pictures-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, filepath.Join(dir, app))
	}
	if err != nil {
		return err
	}
	for _, command := range [][]string{
		{"go", "build", "-o", dir + "/", "./cmd/initd", "./cmd/initctl"},
		{"unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", self, inside, dir},
	} {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", command[0], err)
		}
	}
	return nil
}

// take takes all pictures.
func take(dir string) error {
	pool, err := start(dir)
	if err != nil {
		return err
	}
	tmux := terminal{filepath.Join(dir, "tmux")}
	if err := tmux.open("top", "initctl top --interval 0.5"); err != nil {
		return err
	}
	var status, top string
	err = pool.play(func() (err error) {
		if err = tmux.open("status", "initctl status; tmux wait-for -S shown"); err == nil {
			err = tmux.await("shown")
		}
		if err == nil {
			status, err = tmux.screen("status")
		}
		return err
	}, func() (err error) {
		top, err = tmux.screen("top")
		return err
	})
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"status": status, "top": top} {
		if err := os.WriteFile(filepath.Join(album, name+".svg"), []byte(draw("initctl "+name, text)), 0o644); err != nil {
			return err
		}
	}
	for _, scheme := range schemes {
		if err := pool.record.photograph(dir, filepath.Join(album, "dashboard-"+scheme.name+".png"), scheme); err != nil {
			return err
		}
	}
	return nil
}
