// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// Content follows from seed and offset alone, as in benchmarks/workload.c.
func mix(value uint64) uint64 {
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9
	value = (value ^ (value >> 27)) * 0x94d049bb133111eb
	return value ^ (value >> 31)
}

func fill(seed uint64, buffer []byte, offset int64) {
	for i := 0; i+8 <= len(buffer); i += 8 {
		binary.LittleEndian.PutUint64(buffer[i:], mix(seed^uint64(offset+int64(i))))
	}
}

func isContent(seed uint64, buffer []byte, offset int64) bool {
	var difference uint64

	for i := 0; i+8 <= len(buffer); i += 8 {
		difference |= binary.LittleEndian.Uint64(buffer[i:]) ^ mix(seed^uint64(offset+int64(i)))
	}
	return difference == 0
}

// Memory that O_DIRECT takes.
func alignedBuffer(size int) []byte {
	const alignment = 4096

	all := make([]byte, size+alignment)
	skip := -int(uintptr(unsafe.Pointer(&all[0]))) & (alignment - 1)
	return all[skip : skip+size : skip+size]
}

func openFile(path string, writes bool, flags int) *os.File {
	if writes {
		flags |= os.O_RDWR
	}
	file, err := os.OpenFile(path, flags, 0)
	if err != nil {
		fail("%v", err)
	}
	return file
}

// Open what --filename names, or make a file; returns its usable size too.
func openTest(o *options, writes bool) (*os.File, int64) {
	var file *os.File
	size := o.size

	if _, err := os.Stat(o.filename); o.filename != "" && err == nil {
		if writes && !o.overwrite {
			refuse("--filename: %s exists and this writes: add --overwrite", o.filename)
		}
		file = openFile(o.filename, writes, 0)
		if end, err := file.Seek(0, 2); err == nil {
			size = min(size, end)
		}
		if writes && o.verify {
			writeAll(file, o)
		}
	} else {
		file = makeFile(o)
	}
	if size -= size % int64(o.bs); size == 0 {
		refuse("--filename: is smaller than --bs")
	}
	if o.lock {
		lockFile(file, size)
	}
	if !o.direct {
		return file, size
	}
	return openFile(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), writes, syscall.O_DIRECT), size
}

// It loses its name at once: nothing is left behind even by SIGKILL.
func makeFile(o *options) *os.File {
	name := o.filename
	if name == "" {
		name = fmt.Sprintf("peer-bench.%d", os.Getpid())
	}
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = os.Remove(name)
	}
	if err != nil {
		fail("%v", err)
	}
	writeAll(file, o)
	return file
}

func writeAll(file *os.File, o *options) {
	buffer := make([]byte, 1<<20)

	for offset := int64(0); offset < o.size; offset += int64(len(buffer)) {
		part := buffer[:min(o.size-offset, int64(len(buffer)))]
		fill(o.seed, part, offset)
		if _, err := file.WriteAt(part, offset); err != nil {
			fail("%v", err)
		}
	}
	if err := file.Sync(); err != nil {
		fail("%v", err)
	}
}

// A locked mapping keeps the pages in the cache; it lasts until exit.
func lockFile(file *os.File, size int64) {
	const memlock = 8
	unlimited := ^uint64(0)
	limit := syscall.Rlimit{Cur: unlimited, Max: unlimited}

	// Without the right to raise it, mlock tells the story.
	_ = syscall.Setrlimit(memlock, &limit)
	mapped, err := syscall.Mmap(int(file.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	if err == nil {
		err = syscall.Mlock(mapped)
	}
	if err != nil {
		fail("mlock: %v", err)
	}
}
