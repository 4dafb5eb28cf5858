package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func (t *tool) installCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "install DIR",
		Short: "Copy initd and initctl into a directory, such as a volume",
		Long: `install copies initctl, and the initd in the same directory, into DIR: for example from
an init container into a volume, for an image that has neither. Existing files are
replaced atomically, even while they are running.`,
		Example: `  initctl install /shared`,
		Args:    arguments,
		RunE: func(c *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			// The program that runs, even if its file has been replaced: proc(5).
			for _, from := range []source{{"initd", filepath.Join(filepath.Dir(self), "initd")}, {"initctl", "/proc/self/exe"}} {
				to := filepath.Join(args[0], from.name)
				if err := install(from, to); err != nil {
					return fmt.Errorf("install %s: %w", to, withAdvice(err))
				}
				if isTerminal(t.stdout) {
					to = printable(to)
				}
				fmt.Fprintln(t.stdout, to)
			}
			return nil
		},
	}
}

// A source is a program to be installed.
type source struct{ name, path string }

// errNoexec is EACCES of execve(2), foreseen; mount(2).
var errNoexec = errors.New("programs cannot be executed from there")

// errNoSource is a program that is not where it should be.
var errNoSource = errors.New("there is no initd beside initctl")

// install makes the file to, or replaces it, in one piece.
func install(from source, to string) (err error) {
	in, err := os.Open(from.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errNoSource, err)
	}
	if err != nil {
		return err
	}
	defer in.Close()

	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer dir.Close()
	var where unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &where); err == nil && where.Flags&unix.ST_NOEXEC != 0 {
		return fmt.Errorf("%s is mounted noexec: %w", dir.Name(), errNoexec)
	}

	// A file that is executed cannot be written (ETXTBSY), but another can take its name.
	out, err := os.CreateTemp(dir.Name(), "."+from.name+"-*")
	if err != nil {
		return err
	}
	defer func() {
		out.Close()
		if err != nil {
			os.Remove(out.Name())
		}
	}()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	if err := out.Chmod(0o755); err != nil { // whatever the umask
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), to); err != nil {
		return err
	}
	return dir.Sync()
}

// withAdvice adds to an error what can be done about it.
func withAdvice(err error) error {
	advice := ""
	switch {
	case errors.Is(err, errNoSource):
		advice = "run the initctl of initd's own image, which has both"
	case errors.Is(err, errNoexec):
		advice = "mount it without noexec: docker run --tmpfs DIR:exec, or medium: Memory for an emptyDir on a node whose disk is mounted so"
	case errors.Is(err, fs.ErrNotExist):
		advice = "make the directory, or mount a volume there"
	case errors.Is(err, syscall.ENOTDIR):
		advice = "name a directory"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "make room: initd and initctl together take some 20 MB"
	case errors.Is(err, syscall.EROFS):
		advice = "mount it so that it can be written"
	case errors.Is(err, fs.ErrPermission):
		advice = fmt.Sprintf("uid %d must be allowed to write there: fsGroup or runAsUser, in Kubernetes", os.Geteuid())
	default:
		return err
	}
	return fmt.Errorf("%w (%s)", err, advice)
}
