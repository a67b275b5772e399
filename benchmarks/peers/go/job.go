// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	// A write of so many is followed by an fdatasync.
	writesPerSync = 64
	// The stuck goroutine computes so long, then sleeps until the period
	// is over.
	stuckNS       = 2e6
	stuckPeriodNS = 10e6
	// More than processors, so that two of them rarely share one.
	shards = 16
)

type kind int

const (
	kindRead kind = iota
	kindWrite
	kindSync
)

// What some of the slots have accounted for.
type shard struct {
	operations atomic.Uint64
	latency    [3]histogram
	syncs      atomic.Uint64
	_          [128]byte
}

type job struct {
	*options
	file   *os.File
	mixed  bool
	blocks uint64
	// when the run began
	beginNS int64
	stop    atomic.Bool
	writes  atomic.Uint64
	turns   atomic.Uint64 // of the stuck goroutine
	shards  [shards]shard
}

// One operation in flight.
type slot struct {
	*job
	shard   *shard
	random  uint64
	left    uint64
	syncDue bool
	beganNS int64
	// of an open loop's schedule, the place of the next operation
	place  uint64
	buffer []byte
}

func (j *job) slot(index int, buffer []byte) *slot {
	s := &slot{job: j, shard: &j.shards[index%shards], random: mix(j.seed+uint64(index)+1) | 1, buffer: buffer}

	s.place = uint64(index)
	s.left = ^uint64(0)
	if j.numberIOs != 0 {
		slots := uint64(j.slots())
		s.left = j.numberIOs / slots
		if uint64(index) < j.numberIOs%slots {
			s.left++
		}
	}
	s.beganNS = s.now()
	return s
}

func (j *job) now() int64 {
	if j.lat {
		return nowNS()
	}
	return 0
}

// The next operation; what is written is made where it is to be checked.
func (s *slot) next() (kind, int64, bool) {
	if s.stop.Load() {
		return 0, 0, false
	}
	if s.syncDue {
		s.syncDue = false
		return kindSync, 0, true
	}
	if s.left == 0 {
		return 0, 0, false
	}
	s.left--
	if s.rate != 0 {
		due := s.dueNS()
		if due >= s.beginNS+s.runtimeNS {
			return 0, 0, false
		}
		// From when it was due, however late it starts.
		s.beganNS = due
		s.place += uint64(s.slots())
	}
	// xorshift: Marsaglia, "Xorshift RNGs", 2003
	s.random ^= s.random << 13
	s.random ^= s.random >> 7
	s.random ^= s.random << 17
	offset := int64((s.random>>32)*s.blocks>>32) * int64(s.bs)
	// The low half chooses, the high half places: 3 in 10 are writes.
	if !s.mixed || (s.random&0xffff)*10 >= 3<<16 {
		return kindRead, offset, true
	}
	s.syncDue = s.writes.Add(1)%writesPerSync == 0
	if s.verify {
		fill(s.seed, s.buffer, offset)
	}
	return kindWrite, offset, true
}

// When the operation at the slot's place is due.
func (s *slot) dueNS() int64 {
	return s.beginNS + int64(s.place/s.rate*1e9+s.place%s.rate*1e9/s.rate)
}

// In an open loop, sleep until the next operation is due; not at all if it is
// late, or there is a sync to do.
func (s *slot) sleep() {
	if s.rate == 0 || s.syncDue || s.stop.Load() {
		return
	}
	until := min(s.dueNS(), s.beginNS+s.runtimeNS)
	if wait := until - nowNS(); wait > 0 {
		time.Sleep(time.Duration(wait))
	}
}

func (s *slot) call(kind kind, offset int64) (int, error) {
	switch kind {
	case kindRead:
		return s.file.ReadAt(s.buffer, offset)
	case kindWrite:
		return s.file.WriteAt(s.buffer, offset)
	default:
		return 0, syscall.Fdatasync(int(s.file.Fd()))
	}
}

// One finished operation.
func (s *slot) account(kind kind, offset int64, bytes int, err error) {
	if err != nil {
		fail("operation at %d: %v", offset, err)
	}
	if s.lat {
		now := nowNS()
		s.shard.latency[kind].record(uint64(now - s.beganNS))
		s.beganNS = now
	}
	if kind == kindSync {
		s.shard.syncs.Add(1)
		return
	}
	s.shard.operations.Add(1)
	if bytes != s.bs {
		fail("%d bytes of %d at %d", bytes, s.bs, offset)
	}
	if s.verify && kind == kindRead {
		if !isContent(s.seed, s.buffer, offset) {
			fail("content at %d differs from what was written", offset)
		}
		// Checking is no part of the next operation.
		s.beganNS = s.now()
	}
}

func (s *slot) run() {
	for {
		s.sleep()
		kind, offset, more := s.next()
		if !more {
			return
		}
		bytes, err := s.call(kind, offset)
		s.account(kind, offset, bytes, err)
	}
}

func (j *job) hasStuck() bool {
	return j.mixed && j.options.stuck
}

// Computes without a call of the runtime: the processor is lost to others
// until the runtime preempts it, which it does after 10 ms.
func (j *job) stuck() {
	for !j.stop.Load() {
		next := nowNS() + stuckPeriodNS
		j.turns.Add(1)
		spin(stuckNS)
		time.Sleep(time.Duration(next - nowNS()))
	}
}

type outcome struct {
	elapsedNS, cpuNS, memory int64
}

func (j *job) measure() outcome {
	var group sync.WaitGroup
	done := make(chan struct{})
	memory := anonymousBytes()
	buffers := alignedBuffer(j.slots() * j.bs)
	for i := range buffers {
		buffers[i] = 0x5a // touches the pages
	}
	cpu, begin := cpuNS(), nowNS()
	j.beginNS = begin

	for i := range j.slots() {
		s := j.slot(i, buffers[i*j.bs:(i+1)*j.bs:(i+1)*j.bs])
		group.Go(s.run)
	}
	if j.hasStuck() {
		go j.stuck()
	}
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Duration(j.runtimeNS)):
	}
	memory = anonymousBytes() - memory
	j.stop.Store(true)
	<-done
	return outcome{nowNS() - begin, cpuNS() - cpu, memory}
}

func jobRun(o *options) {
	j := &job{options: o, mixed: o.workload == "mixed"}

	j.file, o.size = openTest(o, j.mixed)
	j.blocks = uint64(o.size) / uint64(o.bs)
	j.report(j.measure())
}

func (j *job) report(outcome outcome) {
	var latency [3]histogram
	var all histogram
	var operations, syncs uint64
	seconds := float64(outcome.elapsedNS) / 1e9

	for i := range j.shards {
		operations += j.shards[i].operations.Load()
		syncs += j.shards[i].syncs.Load()
		for kind := range latency {
			latency[kind].merge(&j.shards[i].latency[kind])
		}
	}
	all.merge(&latency[kindRead])
	all.merge(&latency[kindWrite])
	if operations == 0 || (j.numberIOs != 0 && operations > j.numberIOs) {
		fail("%d operations are not what was asked for", operations)
	}
	l := newLine(j.workload)
	l.put("driver", "go")
	l.put("rw", map[bool]string{false: "randread", true: "randrw"}[j.mixed])
	l.put("bs", j.bs)
	l.put("iodepth", j.iodepth)
	l.put("batch", 1)
	l.put("workers", j.workers)
	l.put("size", j.size)
	l.real("runtime", float64(j.runtimeNS)/1e9, 6)
	l.put("number_ios", j.numberIOs)
	if j.filename == "" {
		l.raw("filename", "null")
	} else {
		l.put("filename", j.filename)
	}
	l.put("overwrite", j.overwrite)
	l.put("direct", j.direct)
	l.put("lock", j.lock)
	l.put("fdatasync", map[bool]int{false: 0, true: writesPerSync}[j.mixed])
	l.put("verify", j.verify)
	l.put("seed", j.seed)
	l.put("pin", j.pin)
	l.put("lat", j.lat)
	l.put("rate", j.rate)
	l.put("stuck", map[bool]float64{false: 0, true: stuckNS / 1e9}[j.hasStuck()])
	l.put("stuck_every", stuckPeriodNS/1e9)
	l.put("stuck_turns", j.turns.Load())
	l.real("iops", float64(operations)/seconds, 0)
	l.real("bytes_per_s", float64(operations)*float64(j.bs)/seconds, 0)
	l.raw("lat_ns", all.json())
	if j.mixed {
		l.raw("read_lat_ns", latency[kindRead].json())
		l.raw("write_lat_ns", latency[kindWrite].json())
		l.raw("sync_lat_ns", latency[kindSync].json())
	}
	l.real("cpu_ns_per_op", float64(outcome.cpuNS)/float64(operations), 0)
	l.put("operations", operations)
	l.put("syncs", syncs)
	l.put("errors", 0)
	l.put("mismatches", 0)
	l.real("seconds", seconds, 3)
	// Slot and buffer are the benchmark's.
	own := j.bs + int(unsafe.Sizeof(slot{}))
	l.real("bytes_per_read", max(0, float64(outcome.memory)/float64(j.slots())-float64(own)), 0)
	l.print()
}
