// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

var epoch = time.Now()

// Monotonic.
func nowNS() int64 {
	return int64(time.Since(epoch))
}

func spin(ns int64) {
	for until := nowNS() + ns; nowNS() < until; {
	}
}

// Processor time of all threads of the process, the kernel's for it too.
func cpuNS() int64 {
	const processCPUTime = 2
	var ts syscall.Timespec

	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, processCPUTime, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

func affinity(call uintptr, mask *[16]uint64) {
	_, _, errno := syscall.RawSyscall(call, 0, unsafe.Sizeof(*mask), uintptr(unsafe.Pointer(mask)))
	if errno != 0 {
		fail("affinity: %v", errno)
	}
}

// Of the calling thread.
func cpusAllowed() (cpus []int) {
	var mask [16]uint64

	affinity(syscall.SYS_SCHED_GETAFFINITY, &mask)
	for cpu := range 64 * len(mask) {
		if mask[cpu/64]&(1<<(cpu%64)) != 0 {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// Of the calling thread.
func setCPUs(cpus []int) {
	var mask [16]uint64

	for _, cpu := range cpus {
		mask[cpu/64] |= 1 << (cpu % 64)
	}
	affinity(syscall.SYS_SCHED_SETAFFINITY, &mask)
}

// The CPU that the calling thread is on.
func cpuNow() int {
	getcpu := uintptr(309) // x86-64's; package syscall lacks it there
	var cpu uint32

	if runtime.GOARCH != "amd64" {
		getcpu = 168 // that of newer ports
	}
	syscall.RawSyscall(getcpu, uintptr(unsafe.Pointer(&cpu)), 0, 0)
	return int(cpu)
}

// As in benchmarks/apart.h: the sender stands on a CPU by lot, and only events
// that come to another one count.  Begun, moved and ended by its thread.
type apart struct {
	allowed []int // empty where it does not matter
	sender  atomic.Int32
	random  uint32
}

func newApart(pin bool) *apart {
	a := &apart{random: 1}

	if cpus := cpusAllowed(); pin && len(cpus) > 1 {
		a.allowed = cpus
	}
	return a
}

func (a *apart) move() {
	if len(a.allowed) > 0 {
		a.random = a.random*1664525 + 1013904223
		index := int(a.random>>16) % len(a.allowed)
		setCPUs(a.allowed[index : index+1])
		a.sender.Store(int32(a.allowed[index]))
	}
}

func (a *apart) end() {
	if len(a.allowed) > 0 {
		setCPUs(a.allowed)
	}
}

// By the receiver.
func (a *apart) counts() bool {
	return len(a.allowed) == 0 || cpuNow() != int(a.sender.Load())
}

// Voluntary context switches of all threads.
func switches() int64 {
	var usage syscall.Rusage

	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail("getrusage: %v", err)
	}
	return usage.Nvcsw
}

// Anonymous memory that is resident: a locked file is no part of it.
func anonymousBytes() int64 {
	var kib int64

	status, err := os.ReadFile("/proc/self/status")
	_, rest, found := strings.Cut(string(status), "RssAnon:")
	if err != nil || !found {
		fail("/proc/self/status: no RssAnon")
	}
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		fail("/proc/self/status: %v", err)
	}
	return kib * 1024
}
