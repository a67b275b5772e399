// SPDX-License-Identifier: BSD-2-Clause

// The peer Go: goroutines on GOMAXPROCS processors, and the standard library
// alone.  Options, workloads and output are those of the peers in Rust.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

func fail(format string, values ...any) {
	die(1, format, values...)
}

func refuse(format string, values ...any) {
	die(2, format, values...)
}

func die(code int, format string, values ...any) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", filepath.Base(os.Args[0]), fmt.Sprintf(format, values...))
	os.Exit(code)
}

// Pinned to its first CPUs, this program starts anew, so that all threads of
// the runtime are: Go has no way to give each of its threads a CPU.
func pin(workers int) {
	const done = "PEER_IS_PINNED"

	if os.Getenv(done) != "" {
		return
	}
	runtime.LockOSThread()
	allowed := cpusAllowed()
	setCPUs(allowed[:min(workers, len(allowed))])
	fail("exec: %v", syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), done+"=1")))
}

// A line of JSON, member by member.
type line struct {
	text strings.Builder
}

func newLine(workload string) *line {
	l := &line{}
	l.put("peer", "go")
	l.put("version", strings.TrimPrefix(runtime.Version(), "go"))
	l.put("workload", workload)
	return l
}

func (l *line) raw(name, value string) {
	separator := byte(',')
	if l.text.Len() == 0 {
		separator = '{'
	}
	l.text.WriteByte(separator)
	fmt.Fprintf(&l.text, "%q:%s", name, value)
}

func (l *line) put(name string, value any) {
	switch v := value.(type) {
	case string:
		l.raw(name, strconv.Quote(v))
	case bool:
		l.raw(name, map[bool]string{false: "0", true: "1"}[v])
	default:
		l.raw(name, fmt.Sprint(v))
	}
}

func (l *line) real(name string, value float64, digits int) {
	l.raw(name, strconv.FormatFloat(value, 'f', digits, 64))
}

func (l *line) print() {
	fmt.Println(l.text.String() + "}")
}

func main() {
	o := parseOptions()
	if o.pin {
		pin(o.workers)
	}
	runtime.GOMAXPROCS(o.workers)
	switch o.workload {
	case "sched":
		schedRun(o)
	case "wake":
		wakeRun(o)
	default:
		jobRun(o)
	}
}
