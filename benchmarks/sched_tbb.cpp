/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler benchmarks on oneTBB.  yield_many and ping_pong are left out:
 * a TBB task runs to its end and can neither yield nor wait for a wake-up.
 */
#include <sched.h>
#include <string.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#include <tbb/task_scheduler_observer.h>

#include "sched_report.h"

namespace {

constexpr unsigned many = 10000;
constexpr unsigned chain = 1000;
constexpr unsigned chains = 100;
constexpr unsigned skynet_leaves = 1000000;

struct options {
	unsigned workers = 2;
	unsigned rounds = 11;
	bool pin = false;
	const char *only = nullptr;
};

/*
 * Worker i to the i-th CPU that the program may use, by its slot in the arena;
 * who leaves the arena may run where it could before.
 */
class pinner : public tbb::task_scheduler_observer {
public:
	explicit pinner(tbb::task_arena &arena)
	    : tbb::task_scheduler_observer(arena)
	{
		if (sched_getaffinity(0, sizeof(allowed_), &allowed_) != 0) {
			perror("sched_tbb: sched_getaffinity");
			exit(1);
		}
		observe(true);
	}
	~pinner() override
	{
		observe(false);
	}
	void
	on_scheduler_entry(bool) override
	{
		int left = tbb::this_task_arena::current_thread_index() %
		    CPU_COUNT(&allowed_);
		int cpu = 0;
		cpu_set_t set;

		while (!CPU_ISSET(cpu, &allowed_) || left-- > 0) {
			cpu++;
		}
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		confine(set);
	}
	void
	on_scheduler_exit(bool) override
	{
		confine(allowed_);
	}

private:
	static void
	confine(const cpu_set_t &set)
	{
		if (sched_setaffinity(0, sizeof(set), &set) != 0) {
			perror("sched_tbb: sched_setaffinity");
			exit(1);
		}
	}

	cpu_set_t allowed_;
};

uint64_t
spawn_many_worker(tbb::task_arena &arena)
{
	std::atomic<unsigned> ran{ 0 };
	uint64_t ns = 0;

	arena.execute([&] {
		tbb::task_group group;
		uint64_t start = sched_now_ns();

		for (unsigned i = 0; i < many; i++) {
			group.run([&] {
				ran.fetch_add(1, std::memory_order_relaxed);
			});
		}
		group.wait();
		ns = sched_now_ns() - start;
	});
	if (ran.load() != many) {
		abort();
	}
	return ns;
}

/* The outside thread only enqueues; the arena's workers alone run tasks. */
uint64_t
spawn_many_remote_idle(tbb::task_arena &arena)
{
	std::atomic<unsigned> left{ many };

	/* Time for the workers to go to sleep; the state has no query. */
	std::this_thread::sleep_for(std::chrono::milliseconds(20));
	uint64_t start = sched_now_ns();
	for (unsigned i = 0; i < many; i++) {
		arena.enqueue([&] {
			left.fetch_sub(1, std::memory_order_acq_rel);
		});
	}
	while (left.load(std::memory_order_acquire) != 0) {
		std::this_thread::yield();
	}
	return sched_now_ns() - start;
}

void
link(tbb::task_group &group, unsigned left)
{
	if (left > 0) {
		group.run([&group, left] { link(group, left - 1); });
	}
}

uint64_t
chained_spawn(tbb::task_arena &arena)
{
	uint64_t ns = 0;

	arena.execute([&] {
		uint64_t start = sched_now_ns();

		for (unsigned i = 0; i < chains; i++) {
			tbb::task_group group;

			link(group, chain);
			group.wait();
		}
		ns = sched_now_ns() - start;
	});
	return ns;
}

uint64_t
skynet(uint64_t first, unsigned size)
{
	uint64_t sums[10];
	uint64_t sum = 0;

	if (size == 1) {
		return first;
	}
	tbb::task_group group;
	for (unsigned i = 0; i < 10; i++) {
		group.run([&sums, first, size, i] {
			sums[i] = skynet(first + i * (size / 10), size / 10);
		});
	}
	group.wait();
	for (uint64_t part : sums) {
		sum += part;
	}
	return sum;
}

uint64_t
skynet_1M(tbb::task_arena &arena)
{
	uint64_t sum = 0;
	uint64_t start = sched_now_ns();

	arena.execute([&] { sum = skynet(0, skynet_leaves); });
	uint64_t ns = sched_now_ns() - start;
	if (sum != uint64_t{ skynet_leaves } * (skynet_leaves - 1) / 2) {
		abort();
	}
	return ns;
}

struct bench {
	const char *name;
	uint64_t (*run)(tbb::task_arena &);
	uint64_t ops;
	bool outside; /* the calling thread is no worker */
};

const bench benches[] = {
	{ "spawn_many_worker", spawn_many_worker, many, false },
	{ "spawn_many_remote_idle", spawn_many_remote_idle, many, true },
	{ "chained_spawn", chained_spawn, uint64_t{ chain } * chains, false },
	{ "skynet_1M", skynet_1M, skynet_leaves, false },
};

[[noreturn]] void
refuse(const char *argument, const char *rule)
{
	fprintf(stderr, "sched_tbb: %s: %s\n", argument, rule);
	exit(2);
}

unsigned
number(const char *argument, const char *text, unsigned low, unsigned high)
{
	char *end = nullptr;
	unsigned long value = strtoul(text, &end, 10);
	char rule[64];

	snprintf(rule, sizeof(rule), "must be a number from %u to %u", low,
	    high);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < low ||
	    value > high) {
		refuse(argument, rule);
	}
	return static_cast<unsigned>(value);
}

options
parse(int argc, char **argv)
{
	options o;

	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];

		if (strncmp(a, "--workers=", 10) == 0) {
			o.workers = number(a, a + 10, 1, 256);
		} else if (strncmp(a, "--rounds=", 9) == 0) {
			o.rounds = number(a, a + 9, 1, SCHED_ROUNDS_MAX);
		} else if (strncmp(a, "--pin=", 6) == 0) {
			o.pin = number(a, a + 6, 0, 1) != 0;
		} else if (strncmp(a, "--only=", 7) == 0) {
			o.only = a + 7;
		} else {
			refuse(a, "must be --workers, --rounds, --pin or "
				  "--only");
		}
	}
	return o;
}

} // namespace

int
main(int argc, char **argv)
{
	options o = parse(argc, argv);
	bool found = false;
	/* One more: the outside thread counts although it runs no task. */
	tbb::global_control limit(
	    tbb::global_control::max_allowed_parallelism, o.workers + 1);

	for (const bench &b : benches) {
		if (o.only != nullptr && strcmp(o.only, b.name) != 0) {
			continue;
		}
		found = true;
		tbb::task_arena arena(static_cast<int>(o.workers),
		    b.outside ? 0U : 1U);
		arena.initialize();
		std::unique_ptr<pinner> pins;
		if (o.pin) {
			pins = std::make_unique<pinner>(arena);
		}
		static sched_rounds rounds;
		rounds = sched_rounds{};
		(void)b.run(arena);
		for (unsigned i = 0; i < o.rounds; i++) {
			sched_rounds_add(&rounds, b.run(arena), b.ops);
		}
		sched_report(&rounds, "sched_tbb", b.name, o.workers);
	}
	if (!found) {
		refuse("--only", "must name a benchmark");
	}
	return 0;
}
