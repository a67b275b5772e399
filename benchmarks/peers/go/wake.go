// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"encoding/binary"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// Between two events; the workers fall asleep within it.
	pauseNS = 50000
	// A turn of a busy goroutine, and how many each worker gets.
	busyNS        = 5000
	busyPerWorker = 4
)

type figure struct {
	name  string
	value float64
}

var wakeBenches = []struct {
	name string
	run  func(o *options) []figure
}{
	{"eventfd", func(o *options) []figure { return eventfd(o, 0) }},
	{"eventfd_busy", func(o *options) []figure { return eventfd(o, o.workers*busyPerWorker) }},
	{"timer", func(o *options) []figure { return timer(o, 0) }},
	{"timer_busy", func(o *options) []figure { return timer(o, o.workers*busyPerWorker) }},
	{"task", task},
	{"idle", idle},
	{"parked", func(o *options) []figure { return parked(o, func(wait chan struct{}) { <-wait }) }},
	{"parked_timer", func(o *options) []figure {
		return parked(o, func(chan struct{}) { time.Sleep(time.Hour) })
	}},
}

func latency(h *histogram) []figure {
	return []figure{
		{"p50_ns", float64(h.percentile(0.5))},
		{"p99_ns", float64(h.percentile(0.99))},
		{"p999_ns", float64(h.percentile(0.999))},
		{"max_ns", float64(h.max.Load())},
		{"samples", float64(h.count.Load())},
	}
}

// Goroutines that compute and yield until stop is set.
func busy(count int) *atomic.Bool {
	stop := new(atomic.Bool)

	for range count {
		go func() {
			for !stop.Load() {
				spin(busyNS)
				runtime.Gosched()
			}
		}()
	}
	return stop
}

// A plain thread's sleep.  A goroutine in it has handed its processor over by
// the time it returns.
func threadPause(ns int64) {
	ts := syscall.NsecToTimespec(ns)

	_ = syscall.Nanosleep(&ts, nil)
}

// Descriptor that netpoll waits for, and the same for plain calls.
func eventfdOpen() (*os.File, int) {
	const flags = syscall.O_CLOEXEC | syscall.O_NONBLOCK

	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, flags, 0)
	if errno != 0 {
		fail("eventfd: %v", errno)
	}
	return os.NewFile(fd, "eventfd"), int(fd)
}

// The sender is a goroutine with a thread of its own, in system calls all but
// always, as near to a plain thread as Go has it.
func eventfd(o *options, busyCount int) []figure {
	var h histogram
	var sent atomic.Int64
	var taken atomic.Int64
	var one [8]byte
	file, fd := eventfdOpen()
	stop := busy(busyCount)
	runtime.LockOSThread()
	apart := newApart(o.pin)

	go func() {
		var value [8]byte
		for h.count.Load() != uint64(o.samples) {
			if _, err := file.Read(value[:]); err != nil {
				fail("read of an eventfd: %v", err)
			}
			now := nowNS()
			if apart.counts() {
				h.record(uint64(now - sent.Load()))
			}
			taken.Add(1)
		}
	}()
	binary.NativeEndian.PutUint64(one[:], 1)
	for i := int64(0); ; i++ {
		apart.move()
		for first := true; first || taken.Load() != i; first = false {
			threadPause(pauseNS)
		}
		if h.count.Load() == uint64(o.samples) {
			break
		}
		sent.Store(nowNS())
		if _, err := syscall.Write(fd, one[:]); err != nil {
			fail("write to an eventfd: %v", err)
		}
	}
	apart.end()
	runtime.UnlockOSThread()
	stop.Store(true)
	_ = file.Close()
	return latency(&h)
}

func timer(o *options, busyCount int) []figure {
	var h histogram
	random := uint32(1)
	stop := busy(busyCount)

	for range o.samples {
		// Between 0.05 and 1.1 ms, so that it meets no tick of the kernel.
		random = random*1664525 + 1013904223
		deadline := nowNS() + pauseNS + int64(random>>12)
		time.Sleep(time.Duration(deadline - nowNS()))
		h.record(uint64(max(0, nowNS()-deadline)))
	}
	stop.Store(true)
	return latency(&h)
}

// The goroutine that wakes sleeps, sends, and waits for the answer.
func task(o *options) []figure {
	var h histogram
	there := make(chan int64)
	back := make(chan struct{})

	go func() {
		for sent := range there {
			h.record(uint64(nowNS() - sent))
			back <- struct{}{}
		}
	}()
	for range o.samples {
		time.Sleep(pauseNS)
		there <- nowNS()
		<-back
	}
	close(there)
	check(h.count.Load() == uint64(o.samples), "a wake got lost")
	return latency(&h)
}

// Beside a timer that is far away and a descriptor that stays silent; the
// sleep of main is a timer too, and its goroutine the one that measures.
func idle(o *options) []figure {
	file, _ := eventfdOpen()

	go func() {
		var value [8]byte
		_, _ = file.Read(value[:])
	}()
	go time.Sleep(time.Hour)
	time.Sleep(200 * time.Millisecond)
	before, cpu, begin := switches(), cpuNS(), nowNS()
	time.Sleep(time.Duration(o.seconds) * time.Second)
	seconds := float64(nowNS()-begin) / 1e9
	_ = file.Close()
	return []figure{
		{"wakes_per_s", float64(switches()-before) / seconds},
		{"cpu_percent", float64(cpuNS()-cpu) / seconds / 1e7},
		{"seconds", seconds},
	}
}

// They stay: goroutines that end are kept for reuse, and the next measurement
// would find them.
func parked(o *options, park func(wait chan struct{})) []figure {
	var waiting atomic.Int64
	wait := make(chan struct{})

	runtime.GC()
	before := anonymousBytes()
	for range o.tasks {
		go func() {
			waiting.Add(1)
			park(wait)
		}()
	}
	for waiting.Load() < int64(o.tasks) {
		time.Sleep(time.Millisecond)
	}
	each := float64(anonymousBytes()-before) / float64(o.tasks)
	return []figure{{"bytes_per_task", each}, {"rss_per_task", each}, {"tasks", float64(o.tasks)}}
}

func wakeRun(o *options) {
	found := false

	for _, bench := range wakeBenches {
		if o.only != "" && o.only != bench.name {
			continue
		}
		found = true
		l := newLine("wake/" + bench.name)
		l.put("program", "wake")
		l.put("bench", bench.name)
		l.put("workers", o.workers)
		l.put("pin", o.pin)
		l.put("driver", "go")
		for _, f := range bench.run(o) {
			digits := 3
			if f.value == float64(int64(f.value)) {
				digits = 0
			}
			l.real(f.name, f.value, digits)
		}
		l.print()
	}
	if !found {
		refuse("--bench: must name a benchmark that this peer can do")
	}
}
