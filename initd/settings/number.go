package settings

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// number takes digits alone, no sign.
func number[T ~int](to *T, s string, base int, least, most T) error {
	n, err := strconv.ParseUint(s, base, 64)
	switch {
	case s == "":
		return errEmpty
	case errors.Is(err, strconv.ErrRange) || err == nil && n > uint64(most):
		return errors.New("too large")
	case err != nil && base == 8:
		return errors.New("not an octal number")
	case err != nil:
		return errors.New("not a whole number of 0 or more")
	case n < uint64(least):
		return fmt.Errorf("less than %d", int(least))
	}
	*to = T(n)
	return nil
}

func decimal(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// A Count is what fits a C int, as listen(2) has it.
type Count int

func (c *Count) Set(s string) error { return number(c, s, 10, 0, math.MaxInt32) }
func (c Count) String() string      { return strconv.Itoa(int(c)) }
func (c Count) Type() string        { return "a whole number, 0 or more" }

// A Size is at most MostWorkers.
type Size int

func (z *Size) Set(s string) error { return number(z, s, 10, 0, MostWorkers) }
func (z Size) String() string      { return strconv.Itoa(int(z)) }
func (z Size) Type() string        { return fmt.Sprintf("a whole number from 0 to %d", MostWorkers) }

// A PoolSize is a Size of at least 1.
type PoolSize int

func (z *PoolSize) Set(s string) error { return number(z, s, 10, 1, MostWorkers) }
func (z PoolSize) String() string      { return strconv.Itoa(int(z)) }
func (z PoolSize) Type() string        { return fmt.Sprintf("a whole number from 1 to %d", MostWorkers) }

// A Mode has the bits of chmod(2) and umask(2), 0 to 07777, not those of Go:
// 04000 is set-user-ID. It is -1 where there is none.
type Mode int

const noMode Mode = -1

func (m *Mode) Set(s string) error {
	return number(m, strings.TrimPrefix(strings.ToLower(s), "0o"), 8, 0, 0o7777)
}
func (m Mode) String() string {
	if m == noMode {
		return ""
	}
	return fmt.Sprintf("%04o", int(m))
}
func (m Mode) Type() string { return "an octal mode (0777, 777 or 0o777) up to 07777" }

// Bytes are of memory. Units are powers of 1024, as those of docker run -m and
// of systemd are, with or without an i: who limits a worker and a container
// means the same by 512M.
type Bytes int64

// leastBytes is what no program gets by with. A bare 512 means 512M.
const leastBytes = 1 << 20

func (b *Bytes) Set(s string) error {
	digits := strings.TrimRight(s, "KMGTIBkmgtib")
	exponent, ok := unit(strings.ToUpper(s[len(digits):]))
	whole, fraction, pointed := strings.Cut(digits, ".")
	switch {
	case s == "":
		return errEmpty
	case strings.HasPrefix(s, "-"):
		return errors.New("negative")
	case !ok || !decimal(whole) || pointed && !decimal(fraction) || pointed && exponent == 0:
		return errors.New("not a number of bytes")
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > math.MaxInt64>>exponent {
		return errors.New("too large")
	}
	n <<= exponent
	if pointed { // less than a unit, of which a float64 knows each byte
		part, _ := strconv.ParseFloat("0."+fraction, 64)
		more := int64(part * float64(int64(1)<<exponent))
		if n > math.MaxInt64-more {
			return errors.New("too large")
		}
		n += more
	}
	if n < leastBytes && strings.Trim(digits, "0.") != "" {
		return errors.New("less than any program needs; is the unit missing?")
	}
	*b = Bytes(n)
	return nil
}

// unit is the power of 2 that K, Ki, KB and KiB stand for.
func unit(s string) (exponent int, ok bool) {
	s = strings.TrimSuffix(s, "B")
	if len(s) > 1 {
		s = strings.TrimSuffix(s, "I")
	}
	exponent, ok = map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[s]
	return exponent, ok
}

func (b Bytes) String() string {
	n, units := int64(b), "TGMK"
	for i := range units {
		if exponent := 10 * (len(units) - i); n > 0 && n&(1<<exponent-1) == 0 {
			return strconv.FormatInt(n>>exponent, 10) + units[i:i+1]
		}
	}
	return strconv.FormatInt(n, 10)
}
func (b Bytes) Type() string { return "bytes (512M, 1.5G, 512Mi, 1073741824), at least 1M, or 0" }

// A Duration is a time.Duration for which a bare number means seconds, as it
// does for start_server.
type Duration time.Duration

// Set takes seconds (10, 1.5), or Go's form (500ms, 1m30s).
func (d *Duration) Set(s string) error {
	if s == "" {
		return errEmpty
	}
	// Left to ParseDuration, so that 1.5 is exact and no float can be NaN.
	form := s
	if strings.Trim(strings.TrimPrefix(s, "-"), "0123456789.") == "" {
		form += "s"
	}
	t, err := time.ParseDuration(form)
	switch {
	case err != nil:
		return errors.New("not a duration")
	case t < 0:
		return errors.New("negative")
	}
	*d = Duration(t)
	return nil
}

// String is Go's form without the zeros at its end: 1m, where Go has 1m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (d Duration) Type() string {
	return "seconds (10, 1.5) or Go's form (500ms, 1m30s), 292 years at most"
}
