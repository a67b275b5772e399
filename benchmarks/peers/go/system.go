// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"fmt"
	"os"
	"strings"
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
