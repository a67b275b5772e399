// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"math"
	"os"
	"strconv"
	"strings"
)

// By the names, units and defaults of benchmarks/options.c, sched.c and
// wake.c.
type options struct {
	workload  string
	workers   int
	pin       bool
	only      string
	rounds    int
	samples   int
	seconds   int
	tasks     int
	bs        int
	iodepth   int
	runtimeNS int64
	numberIOs uint64
	rate      uint64 // operations a second; 0 is a closed loop
	filename  string
	size      int64
	overwrite bool
	direct    bool
	lock      bool
	verify    bool
	seed      uint64
	lat       bool
	stuck     bool
}

func parseOptions() *options {
	o := &options{workers: 2, rounds: 11, samples: 2000, seconds: 2, tasks: 1000000, bs: 4096,
		iodepth: 64, runtimeNS: 5e9, size: 512 << 20, seed: 1, lat: true, stuck: true}
	arguments := os.Args[1:]

	if len(arguments) > 0 {
		o.workload, arguments = arguments[0], arguments[1:]
	}
	if !strings.Contains(" sched read mixed wake ", " "+o.workload+" ") {
		refuse("usage: PROGRAM sched|read|mixed|wake [--OPTION=VALUE ...]")
	}
	for len(arguments) > 0 {
		option, isOption := strings.CutPrefix(arguments[0], "--")
		arguments = arguments[1:]
		name, value, hasValue := strings.Cut(option, "=")
		switch {
		case !isOption:
			o.filename = option
			continue
		case name == "overwrite":
			o.overwrite = true
			continue
		case !hasValue && len(arguments) == 0:
			refuse("--%s: must have a value", name)
		case !hasValue:
			value, arguments = arguments[0], arguments[1:]
		}
		o.apply(name, value)
	}
	o.check()
	return o
}

func (o *options) apply(name, value string) {
	flag := func() bool { return number(name, value, 0, 1) != 0 }
	count := func(max uint64) int { return int(number(name, value, 1, max)) }

	switch name {
	case "workers":
		o.workers = count(64)
	case "pin":
		o.pin = flag()
	case "only", "bench":
		o.only = value
	case "rounds":
		o.rounds = count(1000)
	case "samples":
		o.samples = count(10000000)
	case "seconds":
		o.seconds = count(3600)
	case "tasks":
		o.tasks = count(100000000)
	case "bs":
		o.bs = int(number(name, value, 8, 1<<26))
	case "iodepth":
		o.iodepth = count(16384)
	case "runtime":
		o.runtimeNS = duration(name, value)
	case "number_ios":
		o.numberIOs = number(name, value, 1, math.MaxUint64)
	case "rate":
		o.rate = number(name, value, 0, 1e9)
	case "filename":
		o.filename = value
	case "size":
		o.size = int64(number(name, value, 8, 1<<43))
	case "direct":
		o.direct = flag()
	case "lock":
		o.lock = flag()
	case "verify":
		o.verify = flag()
	case "seed":
		o.seed = number(name, value, 0, math.MaxUint64)
	case "lat":
		o.lat = flag()
	case "stuck":
		o.stuck = flag()
	case "output":
		if value != "json" {
			refuse("--output: must be json")
		}
	default:
		refuse("--%s: is no option", name)
	}
}

func (o *options) check() {
	unit := 8
	if o.direct {
		unit = 512
	}
	if o.bs%unit != 0 {
		refuse("--bs: must be a multiple of 8, and of 512 with --direct=1")
	}
	if int64(o.bs) > o.size {
		refuse("--bs: must be at most --size")
	}
	o.size -= o.size % int64(o.bs)
}

// Operations in flight at any time, over all workers.
func (o *options) slots() int {
	return o.workers * o.iodepth
}

// fio's units: k, m and g are powers of 1024.
func number(name, text string, min, max uint64) uint64 {
	digits := strings.TrimRight(text, "kKmMgG")
	shift, known := map[string]uint{"": 0, "k": 10, "m": 20, "g": 30}[strings.ToLower(text[len(digits):])]
	value, err := strconv.ParseUint(digits, 10, 64)

	if err != nil || !known || value > math.MaxUint64>>shift || value<<shift < min || value<<shift > max {
		refuse("--%s: '%s' must be a number from %d to %d", name, text, min, max)
	}
	return value << shift
}

// Nanoseconds: text is seconds, or has a unit.
func duration(name, text string) int64 {
	digits := strings.TrimRight(text, "ums")
	unit, known := map[string]int64{"": 1e9, "s": 1e9, "us": 1e3, "ms": 1e6, "m": 60e9}[text[len(digits):]]
	value, err := strconv.ParseInt(digits, 10, 64)

	if err != nil || !known || value < 1 || value > 1000000 {
		refuse("--%s: '%s' must be seconds, or a time in us, ms, s or m", name, text)
	}
	return value * unit
}
