/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler workloads on Asio.  What goes on in the same task is deferred,
 * which stays on the thread and takes no lock; what is a task of its own is
 * posted, so that the other thread can have it.
 */
#include <stdio.h>
#include <string.h>

#include <atomic>
#include <chrono>
#include <future>
#include <string>

#include "arguments_cxx.hpp"
#include "asio_peer.hpp"
#include "sched_report.h"

namespace peer {

namespace {

constexpr unsigned many = 10000;
constexpr unsigned chain = 1000;
constexpr unsigned chains = 100;
constexpr unsigned yielders = 200;
constexpr unsigned yields = 1000;
constexpr unsigned pings = 1000;
constexpr unsigned skynet_leaves = 1000000;

using executor = asio::io_context::executor_type;

void
check(bool right, const char *what)
{
	if (!right) {
		peer_fail("asio", what, 0);
	}
}

/* Calls start on a worker; the nanoseconds until done was called there. */
template <typename Start>
uint64_t
measure(executor on, Start start)
{
	std::promise<uint64_t> promise;

	asio::post(on, [&] {
		uint64_t begin = sched_now_ns();

		start([&promise, begin] {
			promise.set_value(sched_now_ns() - begin);
		});
	});
	return promise.get_future().get();
}

uint64_t
spawn_many_worker(executor on)
{
	std::atomic<unsigned> left{ many };

	return measure(on, [&](auto done) {
		for (unsigned i = 0; i < many; i++) {
			asio::post(on, [&left, done] {
				if (left.fetch_sub(1,
					std::memory_order_acq_rel) == 1) {
					done();
				}
			});
		}
	});
}

uint64_t
spawn_many_remote_idle(executor on)
{
	std::atomic<unsigned> left{ many };

	/* Time for the workers to go to sleep; the state has no query. */
	std::this_thread::sleep_for(std::chrono::milliseconds(20));
	uint64_t start = sched_now_ns();
	for (unsigned i = 0; i < many; i++) {
		asio::post(on, [&left] {
			left.fetch_sub(1, std::memory_order_acq_rel);
		});
	}
	while (left.load(std::memory_order_acquire) != 0) {
		std::this_thread::yield();
	}
	return sched_now_ns() - start;
}

template <typename Done>
void
link(executor on, unsigned left, unsigned chains_left, Done done)
{
	if (left > 0) {
		asio::defer(on, [=] { link(on, left - 1, chains_left, done); });
	} else if (chains_left > 1) {
		link(on, chain, chains_left - 1, done);
	} else {
		done();
	}
}

uint64_t
chained_spawn(executor on)
{
	return measure(on, [on](auto done) { link(on, chain, chains, done); });
}

template <typename Done>
void
yielder(executor on, unsigned left, std::atomic<unsigned> &running, Done done)
{
	if (left > 0) {
		asio::defer(on, [on, left, &running, done] {
			yielder(on, left - 1, running, done);
		});
	} else if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) {
		done();
	}
}

uint64_t
yield_many(executor on)
{
	std::atomic<unsigned> running{ yielders };

	return measure(on, [&](auto done) {
		for (unsigned i = 0; i < yielders; i++) {
			asio::post(on, [on, &running, done] {
				yielder(on, yields, running, done);
			});
		}
	});
}

/* Ping starts pong, which posts the answer to ping. */
uint64_t
ping_pong(executor on)
{
	std::atomic<unsigned> left{ pings };

	return measure(on, [&](auto done) {
		for (unsigned i = 0; i < pings; i++) {
			asio::post(on, [on, &left, done] {
				asio::post(on, [on, &left, done] {
					asio::defer(on, [&left, done] {
						if (left.fetch_sub(1,
							std::memory_order_acq_rel) ==
						    1) {
							done();
						}
					});
				});
			});
		}
	});
}

/* A task with children; the last of them gives the sum to the parent. */
struct node {
	node *parent;
	unsigned index;
	std::atomic<unsigned> left{ 10 };
	uint64_t sums[10];

	node(node *above, unsigned place) : parent(above), index(place)
	{
	}
};

template <typename Done>
void
give(node *to, unsigned index, uint64_t sum, Done done)
{
	while (to != nullptr) {
		to->sums[index] = sum;
		if (to->left.fetch_sub(1, std::memory_order_acq_rel) != 1) {
			return;
		}
		sum = 0;
		for (uint64_t part : to->sums) {
			sum += part;
		}
		node *parent = to->parent;
		index = to->index;
		delete to;
		to = parent;
	}
	done(sum);
}

template <typename Done>
void
skynet(executor on, node *parent, unsigned index, uint64_t first, unsigned size,
    Done done)
{
	if (size == 1) {
		give(parent, index, first, done);
		return;
	}
	node *mine = new node(parent, index);
	for (unsigned i = 0; i < 10; i++) {
		asio::post(on, [=] {
			skynet(on, mine, i, first + i * (size / 10), size / 10,
			    done);
		});
	}
}

uint64_t
skynet_1M(executor on)
{
	uint64_t sum = 0;
	uint64_t ns = measure(on, [&](auto done) {
		skynet(on, nullptr, 0, 0, skynet_leaves,
		    [&sum, done](uint64_t result) {
			    sum = result;
			    done();
		    });
	});

	check(sum == uint64_t{ skynet_leaves } * (skynet_leaves - 1) / 2,
	    "the sum is wrong");
	return ns;
}

struct bench {
	const char *name;
	uint64_t (*run)(executor);
	uint64_t ops;
};

const bench benches[] = {
	{ "spawn_many_worker", spawn_many_worker, many },
	{ "spawn_many_remote_idle", spawn_many_remote_idle, many },
	{ "chained_spawn", chained_spawn, uint64_t{ chain } * chains },
	{ "yield_many", yield_many, uint64_t{ yielders } * yields },
	{ "ping_pong", ping_pong, pings },
	{ "skynet_1M", skynet_1M, skynet_leaves },
};

struct options {
	unsigned workers = 2;
	unsigned rounds = 11;
	bool pin = false;
	const char *only = nullptr;
};

options
parse(int argc, char **argv)
{
	options o;

	for (int i = 0; i < argc; i++) {
		const char *a = argv[i];
		const char *value;
		int error = 0;

		if ((value = peer_value(a, "workers")) != nullptr) {
			error = argument_small(
			    "asio", "workers", value, 1, 256, &o.workers);
		} else if ((value = peer_value(a, "rounds")) != nullptr) {
			error = argument_small("asio", "rounds", value, 1,
			    SCHED_ROUNDS_MAX, &o.rounds);
		} else if ((value = peer_value(a, "pin")) != nullptr) {
			error = argument_flag("asio", "pin", value, &o.pin);
		} else if ((value = peer_value(a, "only")) != nullptr) {
			o.only = value;
		} else {
			peer_refuse("asio", a, "is no option of sched");
		}
		if (error != 0) {
			exit(error);
		}
	}
	return o;
}

} // namespace

int
sched(int argc, char **argv)
{
	static sched_rounds rounds;
	options o = parse(argc, argv);
	bool found = false;

	for (const bench &b : benches) {
		if (o.only != nullptr && strcmp(o.only, b.name) != 0) {
			continue;
		}
		found = true;
		workers pool(o.workers, 1, o.pin);
		executor on = pool.context(0).get_executor();
		std::string workload = std::string("sched/") + b.name;
		rounds = sched_rounds{};
		rounds.who = peer_who("asio", version, workload.c_str());
		(void)b.run(on);
		for (unsigned i = 0; i < o.rounds; i++) {
			sched_rounds_add(&rounds, b.run(on), b.ops);
		}
		sched_report(&rounds, "sched_asio", b.name, o.workers);
	}
	if (!found) {
		peer_refuse("asio", "--only", "must name a benchmark");
	}
	return 0;
}

} // namespace peer
