package main

import (
	"fmt"
	"time"
)

// memory measures what the programs hold with a worker ready, and whether initd holds more after many swaps.
func (b *bench) memory() ([]row, error) {
	keepers, err := b.everyone()
	if err != nil {
		return nil, err
	}
	for _, k := range keepers {
		defer k.kill()
	}
	resident := row{what: "resident memory with a worker ready; thereof anonymous", bar: "≤ 5,120 KB"}
	for _, k := range keepers {
		all, anonymous, err := memory(k.pid())
		if err != nil {
			return nil, err
		}
		resident.set(k.name, fmt.Sprintf("%d KB; %d KB", all, anonymous))
		if k.name == "initd" {
			resident.verdict(all <= 5120)
		}
	}

	initd, n := keepers[0], 1000
	if b.short {
		n = 100
	}
	more := row{what: fmt.Sprintf("resident memory more after %d swaps", n), bar: "< 256 KB"}
	open := row{what: fmt.Sprintf("files open before and after %d swaps", n), bar: "the same"}
	before, _, err := memory(initd.pid())
	if err != nil {
		return nil, err
	}
	filesBefore, err := files(initd.pid())
	if err != nil {
		return nil, err
	}
	for range n {
		if _, err := initd.swap(); err != nil {
			return nil, err
		}
		settle()
	}
	time.Sleep(time.Second)
	after, _, err := memory(initd.pid())
	if err != nil {
		return nil, err
	}
	filesAfter, err := files(initd.pid())
	if err != nil {
		return nil, err
	}
	more.set(initd.name, fmt.Sprintf("%+d KB", after-before))
	more.verdict(after-before < 256)
	open.set(initd.name, fmt.Sprintf("%d and %d", filesBefore, filesAfter))
	open.verdict(filesBefore == filesAfter)

	for _, k := range keepers {
		if err := k.stop(); err != nil {
			return nil, err
		}
	}
	return []row{resident, more, open}, nil
}
