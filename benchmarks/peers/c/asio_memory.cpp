/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Asio needs for all that waits: coroutines, one a task, that await
 * somebody who would wake them, a timer, or a file of their own.  They stay
 * until the process ends.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/random_access_file.hpp>

#include "asio_peer.hpp"

namespace peer {

namespace {

/* A quarter to a third less than with Asio's type for any executor. */
using executor = asio::io_context::executor_type;
using coroutine = asio::awaitable<void, executor>;
using token = asio::use_awaitable_t<executor>;
/* What resumes a coroutine: as a waker, it is the user's to keep. */
using waker = asio::async_result<token, void()>::handler_type;

std::atomic<unsigned> waiting;

coroutine
park(std::optional<waker> &own)
{
	co_await asio::async_initiate<const token, void()>(
	    [&own](waker &&given) {
		    own.emplace(std::move(given));
		    waiting++;
	    },
	    token());
}

coroutine
park_on_timer()
{
	asio::steady_timer::rebind_executor<executor>::other timer(
	    co_await asio::this_coro::executor, std::chrono::hours(1));

	waiting++;
	co_await timer.async_wait(token());
}

/* A file object, since operations on one run one after another. */
coroutine
read_silence(int silent)
{
	asio::basic_random_access_file<executor> file(
	    co_await asio::this_coro::executor);
	uint64_t buffer;
	int fd = dup(silent);

	if (fd < 0) {
		peer_fail("asio", "dup", errno);
	}
	file.assign(fd);
	waiting++;
	co_await file.async_read_some_at(
	    0, asio::buffer(&buffer, sizeof(buffer)), token());
	peer_fail("asio", "a read ended", 0);
}

/* Spawns all of them on a worker, and reports when they wait. */
template <typename Make>
[[noreturn]] void
measure(const wake_arguments &a, size_t own, Make make)
{
	workers pool(a.workers, 1, a.pin);
	asio::io_context &context = pool.context(0);

	peer_pause_ns(WAKE_SETTLE_NS);
	uint64_t before = peer_memory_bytes("RssAnon");
	asio::post(context, [&] {
		for (unsigned i = 0; i < a.tasks; i++) {
			asio::co_spawn(context, make(i), asio::detached);
		}
	});
	while (waiting < a.tasks) {
		peer_pause_ns(1000000);
	}
	peer_pause_ns(WAKE_SETTLE_NS);
	wake_report_tasks("asio", version, &a,
	    peer_memory_bytes("RssAnon") - before, own);
	_exit(0);
}

/* With its reactor, which a timer has it open. */
struct idle_executor {
	explicit idle_executor(const wake_arguments &a)
	    : pool(a.workers, 1, a.pin),
	      timer(pool.context(0), std::chrono::hours(1))
	{
		timer.async_wait([](error_code) {});
	}

	workers pool;
	asio::steady_timer timer;
};

[[noreturn]] void
executors(const wake_arguments &a)
{
	std::vector<std::unique_ptr<idle_executor>> all;

	/* The first also pays for what the process needs once. */
	all.push_back(std::make_unique<idle_executor>(a));
	peer_pause_ns(WAKE_SETTLE_NS);
	uint64_t before = peer_memory_bytes("VmRSS");
	for (unsigned i = 0; i < WAKE_EXECUTORS; i++) {
		all.push_back(std::make_unique<idle_executor>(a));
	}
	peer_pause_ns(WAKE_SETTLE_NS);
	wake_report_executors(
	    "asio", version, &a, peer_memory_bytes("VmRSS") - before);
	_exit(0);
}

} // namespace

void
memory(wake_arguments &a)
{
	if (strcmp(a.bench, "executor") == 0) {
		executors(a);
	} else if (strcmp(a.bench, "parked") == 0) {
		std::vector<std::optional<waker>> wakers(a.tasks);

		/* They were resident before: no part of what is counted. */
		measure(a, 0, [&](unsigned i) { return park(wakers[i]); });
	} else if (strcmp(a.bench, "parked_timer") == 0) {
		measure(a, 0, [](unsigned) { return park_on_timer(); });
	} else if (strcmp(a.bench, "flight") == 0) {
		int silent = eventfd(0, EFD_CLOEXEC);

		a.tasks = std::min<unsigned>(a.tasks, WAKE_FLIGHT_MAX);
		measure(a, sizeof(uint64_t),
		    [=](unsigned) { return read_silence(silent); });
	}
}

} // namespace peer
