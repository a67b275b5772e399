// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// Operations in a round, as benchmarks/sched_bench.h has them.
const (
	many         = 10000
	chain        = 1000
	chains       = 100
	yielders     = 200
	yields       = 1000
	pings        = 1000
	skynetLeaves = 1000000
)

var schedBenches = []struct {
	name string
	run  func() time.Duration
	ops  int
}{
	{"spawn_many_worker", spawnManyWorker, many},
	{"spawn_many_remote_idle", spawnManyRemoteIdle, many},
	{"chained_spawn", chainedSpawn, chain * chains},
	{"yield_many", yieldMany, yielders * yields},
	{"ping_pong", pingPong, pings},
	{"skynet_1M", skynet1M, skynetLeaves},
}

func check(right bool, what string) {
	if !right {
		fail("%s", what)
	}
}

// Main's goroutine is one like others: it is the root of each round.
func spawnManyWorker() time.Duration {
	var ran atomic.Int64
	var group sync.WaitGroup

	start := time.Now()
	group.Add(many)
	for range many {
		go func() {
			ran.Add(1)
			group.Done()
		}()
	}
	group.Wait()
	elapsed := time.Since(start)
	check(ran.Load() == many, "goroutines got lost")
	return elapsed
}

// Go has no outside: the goroutine that spawns is a worker's, but the other
// worker sleeps when it begins.
func spawnManyRemoteIdle() time.Duration {
	// As much time to fall asleep as filch and oneTBB get.
	time.Sleep(20 * time.Millisecond)
	return spawnManyWorker()
}

func link(left int, ran *atomic.Int64, done chan<- struct{}) {
	ran.Add(1)
	if left > 1 {
		go link(left-1, ran, done)
	} else {
		done <- struct{}{}
	}
}

func chainedSpawn() time.Duration {
	var ran atomic.Int64
	done := make(chan struct{})

	start := time.Now()
	for range chains {
		go link(chain, &ran, done)
		<-done
	}
	elapsed := time.Since(start)
	check(ran.Load() == chain*chains, "goroutines got lost")
	return elapsed
}

func yieldMany() time.Duration {
	var yielded atomic.Int64
	var group sync.WaitGroup

	start := time.Now()
	group.Add(yielders)
	for range yielders {
		go func() {
			count := 0
			for count < yields {
				runtime.Gosched()
				count++
			}
			yielded.Add(int64(count))
			group.Done()
		}()
	}
	group.Wait()
	elapsed := time.Since(start)
	check(yielded.Load() == yielders*yields, "a yield got lost")
	return elapsed
}

func pingPong() time.Duration {
	var answered atomic.Int64
	var group sync.WaitGroup

	start := time.Now()
	group.Add(pings)
	for range pings {
		go func() {
			there := make(chan struct{}, 1)
			back := make(chan struct{}, 1)
			go func() {
				<-there
				back <- struct{}{}
			}()
			there <- struct{}{}
			<-back
			answered.Add(1)
			group.Done()
		}()
	}
	group.Wait()
	elapsed := time.Since(start)
	check(answered.Load() == pings, "an answer got lost")
	return elapsed
}

// A goroutine for every node; a channel brings the numbers of its children.
func skynet(first, size int, parent chan<- int) {
	if size == 1 {
		parent <- first
		return
	}
	children := make(chan int, 10)
	for i := range 10 {
		go skynet(first+i*(size/10), size/10, children)
	}
	sum := 0
	for range 10 {
		sum += <-children
	}
	parent <- sum
}

func skynet1M() time.Duration {
	sum := make(chan int, 1)

	start := time.Now()
	go skynet(0, skynetLeaves, sum)
	total := <-sum
	elapsed := time.Since(start)
	check(total == skynetLeaves*(skynetLeaves-1)/2, "the sum is wrong")
	return elapsed
}

func schedRun(o *options) {
	found := false

	for _, bench := range schedBenches {
		if o.only != "" && o.only != bench.name {
			continue
		}
		found = true
		bench.run()
		rounds := make([]float64, o.rounds)
		for i := range rounds {
			rounds[i] = float64(bench.run().Nanoseconds()) / float64(bench.ops)
		}
		sort.Float64s(rounds)
		l := newLine("sched/" + bench.name)
		l.put("program", "sched_go")
		l.put("bench", bench.name)
		l.real("ns_per_op", rounds[len(rounds)/2], 2)
		l.put("workers", o.workers)
		l.put("rounds", len(rounds))
		l.put("pin", o.pin)
		l.real("min", rounds[0], 2)
		l.real("median", rounds[len(rounds)/2], 2)
		l.real("max", rounds[len(rounds)-1], 2)
		l.print()
	}
	if !found {
		refuse("--only: must name a benchmark")
	}
}
