package machine

import "testing"

// FuzzMachine plays the schedules of the simulation from tapes of bytes.
func FuzzMachine(f *testing.F) {
	for seed := range uint64(20) {
		t := newTape(seed + 1)
		play(t)
		var tape []byte
		for _, pick := range t.picks {
			tape = append(tape, byte(pick))
		}
		f.Add(tape)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		var picks []uint32
		for _, b := range bytes {
			picks = append(picks, uint32(b))
		}
		recorded := &tape{picks: picks}
		if w := play(recorded); w.err != nil {
			t.Fatal(recorded.story())
		}
	})
}
