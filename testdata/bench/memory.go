package main

import (
	"fmt"
	"slices"
	"time"
)

// The bars for memory, in KB.
const (
	maxAnonymous     = 2560
	maxResident      = 7168
	maxGrowth        = 256
	maxAnonymousPool = 4096 // with a large pool
	maxResidentPool  = 8192
)

// memory measures what the programs hold with a worker ready, and whether initd holds more after many swaps.
func (b *bench) memory() ([]row, error) {
	anonymous, resident := make(samples), make(samples)
	var keepers []*keeper // of the last round: the swaps are theirs
	defer func() {
		for _, k := range keepers {
			k.kill()
		}
	}()
	for range b.rounds(5) {
		if err := stopAll(keepers); err != nil {
			return nil, err
		}
		var err error
		if keepers, err = b.everyone(); err != nil {
			return nil, err
		}
		for _, k := range keepers {
			u, err := memory(k.pid())
			if err != nil {
				return nil, err
			}
			u.addTo(anonymous.of(k.name), resident.of(k.name))
		}
	}
	own := row{what: "anonymous memory with a worker ready", bar: fmt.Sprintf("≤ %d KB", maxAnonymous)}
	own.fill(anonymous, kilobytes)
	own.verdict(anonymous.of("initd").median() <= maxAnonymous)
	all := row{what: "resident memory then", bar: fmt.Sprintf("≤ %d KB", maxResident)}
	all.fill(resident, kilobytes)
	all.verdict(resident.of("initd").median() <= maxResident)
	rows, err := b.swapped(keepers)
	if err != nil {
		return nil, err
	}
	return append([]row{own, all}, rows...), stopAll(keepers)
}

// warmUp is the number of swaps with which the tables of Go's runtime come to their size: that is done once, and is shown
// apart from what each further swap leaves.
const warmUp = 10

// swapped measures what many swaps leave behind in initd, and what they cost it.
func (b *bench) swapped(keepers []*keeper) ([]row, error) {
	n := 1000
	if b.short {
		n = 100
	}
	initds := slices.DeleteFunc(slices.Clone(keepers), func(k *keeper) bool { return !isInitd(k.name) })
	first, before, filesBefore := make(map[string]usage), make(map[string]usage), make(map[string]int)
	for _, k := range initds {
		var err error
		if first[k.name], err = memory(k.pid()); err != nil {
			return nil, err
		}
	}
	if _, err := swapInTurn(initds, warmUp); err != nil {
		return nil, err
	}
	for _, k := range initds {
		var err error
		if before[k.name], err = memory(k.pid()); err != nil {
			return nil, err
		}
		if filesBefore[k.name], err = files(k.pid()); err != nil {
			return nil, err
		}
	}
	spent, err := swapInTurn(initds, n)
	if err != nil {
		return nil, err
	}
	own := row{what: fmt.Sprintf("anonymous memory more after %d swaps (of that, after the first %d)", warmUp+n, warmUp),
		bar: fmt.Sprintf("< %d KB, to ≤ %d KB", maxGrowth, maxAnonymous)}
	all := row{what: "resident memory more then"}
	open := row{what: fmt.Sprintf("files open before and after %d swaps", n), bar: "the same"}
	cost := row{what: "initd's processor time for one of them"}
	cost.fill(spent, milliseconds)
	for _, k := range initds {
		after, err := memory(k.pid())
		if err != nil {
			return nil, err
		}
		filesAfter, err := files(k.pid())
		if err != nil {
			return nil, err
		}
		grown := after.anonymous - first[k.name].anonymous
		own.set(k.name, fmt.Sprintf("%+d KB (%+d KB) to %d KB", grown, after.anonymous-before[k.name].anonymous, after.anonymous))
		own.compare(k.name, sample{float64(after.anonymous)})
		all.set(k.name, fmt.Sprintf("%+d KB to %d KB", after.resident-before[k.name].resident, after.resident))
		all.compare(k.name, sample{float64(after.resident)})
		open.set(k.name, fmt.Sprintf("%d and %d", filesBefore[k.name], filesAfter))
		if k.name == "initd" {
			own.verdict(grown < maxGrowth && after.anonymous <= maxAnonymous)
			open.verdict(filesBefore[k.name] == filesAfter)
		}
	}
	return []row{own, all, cost, open}, nil
}

// swapInTurn swaps each of them so many times, and then waits until they are idle. It returns the processor time that
// each swap took of the program itself.
func swapInTurn(keepers []*keeper, times int) (spent samples, err error) {
	spent = make(samples)
	for round := range times {
		for _, k := range inTurn(round, keepers) {
			from := processorTime(k.pid())
			if _, err := k.swap(); err != nil {
				return nil, err
			}
			pause()
			spent.of(k.name).add(processorTime(k.pid()) - from)
		}
	}
	time.Sleep(time.Second)
	return spent, nil
}

// stopAll ends the programs in order.
func stopAll(keepers []*keeper) error {
	for _, k := range keepers {
		if err := k.stop(); err != nil {
			return err
		}
	}
	return nil
}
