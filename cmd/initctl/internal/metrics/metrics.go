// Package metrics exports the status of initd to Prometheus.
//
// All that is exported is in one table, from which docs/METRICS.md is made, too.
// How many series there are is known beforehand: labels have the values that the
// table names, or are the listeners, which are bound once. Nothing is labelled
// with a pid, a generation or a slot, whose number grows.
package metrics

import (
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"server-starter/initd/control"
)

// ContentType is that of what [Write] writes.
const ContentType = string(expfmt.FmtText)

// Write writes a status in Prometheus' text format, version 0.0.4.
func Write(w io.Writer, s *control.Status) error {
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(Collector(s)); err != nil {
		return err
	}
	gathered, err := registry.Gather()
	if err != nil {
		return err
	}
	encoder := expfmt.NewEncoder(w, expfmt.FmtText)
	for _, f := range gathered {
		if err := encoder.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// Collector returns the metrics of one status, which is not changed.
func Collector(s *control.Status) prometheus.Collector { return collector{s} }

type collector struct{ status *control.Status }

func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, f := range families {
		descs <- f.desc()
	}
}

func (c collector) Collect(metrics chan<- prometheus.Metric) {
	for _, f := range families {
		desc := f.desc()
		for _, s := range f.samples(c.status) {
			metrics <- f.metric(desc, s)
		}
	}
}

// A family is a metric with all values of its label.
type family struct {
	name    string
	kind    kind
	label   string // "": it has none
	help    string // what a value means, one sentence
	samples func(*control.Status) []sample
}

// A kind is the type of a metric, as Prometheus calls it.
type kind string

const (
	gauge   kind = "gauge"
	counter kind = "counter"
	summary kind = "summary" // without quantiles
)

// A sample is one value. For a summary it is the sum of count observations.
type sample struct {
	label string
	value float64
	count uint64
}

func (f family) desc() *prometheus.Desc {
	var labels []string
	if f.label != "" {
		labels = []string{f.label}
	}
	return prometheus.NewDesc(f.name, f.help, labels, nil)
}

func (f family) metric(desc *prometheus.Desc, s sample) prometheus.Metric {
	var labels []string
	if f.label != "" {
		labels = []string{s.label}
	}
	switch f.kind {
	case counter:
		return prometheus.MustNewConstMetric(desc, prometheus.CounterValue, s.value, labels...)
	case summary:
		return prometheus.MustNewConstSummary(desc, s.count, s.value, nil, labels...)
	}
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, s.value, labels...)
}

// one is a family's only sample.
func one[T int | int64 | float64](v T) []sample { return []sample{{value: float64(v)}} }

// known is the only sample of a family that has none while its value is zero,
// which stands for one that is not known.
func known[T int | int64 | float64](v T) []sample {
	if v == 0 {
		return nil
	}
	return one(v)
}

func truth(b bool) []sample {
	if b {
		return one(1)
	}
	return one(0)
}

// moment is a point in time in seconds since 1970, none for one that is unset.
func moment(t *time.Time) []sample {
	if t == nil || t.IsZero() {
		return nil
	}
	return one(float64(t.UnixMilli()) / 1000)
}
