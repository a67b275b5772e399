/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asio's wakes: a descriptor, a timer, a thread outside, one handler by
 * another; all with the default reactor, on threads that share an io_context.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>

#include "apart.h"
#include "arguments_cxx.hpp"
#include "asio_peer.hpp"

namespace peer {

namespace {

/* Acquire and release: sender and handler take turns; 0 has arrived. */
class delays {
public:
	delays()
	{
		histogram_init(&histogram_);
		apart_init(&apart_, false);
	}
	/* By the thread that sends. */
	void
	begin(const wake_arguments &a)
	{
		samples_ = a.samples;
		apart_init(&apart_, a.pin);
	}
	void
	send()
	{
		sent_.store(workload_now_ns(), std::memory_order_release);
	}
	void
	arrive()
	{
		uint64_t sent = sent_.load(std::memory_order_acquire);
		uint64_t now = workload_now_ns();

		if (apart_counts(&apart_)) {
			add(now - sent);
		}
		sent_.store(0, std::memory_order_release);
	}
	/*
	 * A pause, or more until what was sent last has arrived.  False when
	 * there are enough.
	 */
	bool
	pause()
	{
		apart_move(&apart_);
		do {
			peer_pause_ns(PEER_PAUSE_NS);
		} while (sent_.load(std::memory_order_acquire) != 0);
		return histogram_.count != samples_;
	}
	void
	add(uint64_t ns)
	{
		histogram_record(&histogram_, ns);
	}
	const histogram *
	get() const
	{
		return &histogram_;
	}

private:
	histogram histogram_;
	apart apart_;
	unsigned samples_ = 0;
	std::atomic<uint64_t> sent_{ 0 };
};

void
eventfd_run(workers &pool, const wake_arguments &a, delays &delays)
{
	asio::posix::stream_descriptor descriptor(
	    pool.context(0), eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	uint64_t one = 1;
	uint64_t got = 0;
	std::function<void()> receive = [&] {
		descriptor.async_read_some(asio::buffer(&got, sizeof(got)),
		    [&](error_code error, size_t) {
			    if (!error) {
				    delays.arrive();
				    receive();
			    }
		    });
	};

	receive();
	delays.begin(a);
	while (delays.pause()) {
		delays.send();
		if (write(descriptor.native_handle(), &one, sizeof(one)) < 0) {
			peer_fail("asio", "eventfd: write", errno);
		}
	}
	std::atomic<bool> closed{ false };
	asio::post(pool.context(0), [&] {
		descriptor.cancel();
		/* Behind the handler that was cancelled. */
		asio::post(pool.context(0), [&] { closed = true; });
	});
	while (!closed) {
		peer_pause_ns(PEER_PAUSE_NS);
	}
	peer_pause_ns(10 * PEER_PAUSE_NS);
}

void
timer_run(workers &pool, const wake_arguments &a, delays &delays)
{
	asio::steady_timer timer(pool.context(0));
	uint32_t random = 1;
	unsigned left = a.samples;
	std::atomic<bool> over{ false };
	std::function<void()> wait = [&] {
		timer.expires_after(
		    std::chrono::nanoseconds(peer_delay_ns(&random)));
		timer.async_wait([&](error_code) {
			delays.add(static_cast<uint64_t>(
			    std::chrono::nanoseconds(
				std::chrono::steady_clock::now() -
				timer.expiry())
				.count()));
			if (--left > 0) {
				wait();
			} else {
				over = true;
			}
		});
	};

	asio::post(pool.context(0), wait);
	while (!over) {
		peer_pause_ns(PEER_PAUSE_NS);
	}
}

void
outside_run(workers &pool, const wake_arguments &a, delays &delays)
{
	delays.begin(a);
	while (delays.pause()) {
		delays.send();
		asio::post(pool.context(0), [&] { delays.arrive(); });
	}
}

/*
 * A handler that sleeps, starts another and ends; the other answers.  They are
 * deferred, as what an ending handler leaves to do: no other thread is woken.
 */
void
task_run(workers &pool, const wake_arguments &a, delays &delays)
{
	asio::steady_timer timer(pool.context(0));
	unsigned left = a.samples;
	std::atomic<bool> over{ false };
	std::function<void()> wait = [&] {
		timer.expires_after(std::chrono::nanoseconds(PEER_PAUSE_NS));
		timer.async_wait([&](error_code) {
			delays.send();
			asio::defer(pool.context(0), [&] {
				delays.arrive();
				if (--left > 0) {
					asio::defer(pool.context(0), wait);
				} else {
					over = true;
				}
			});
		});
	};

	asio::post(pool.context(0), wait);
	while (!over) {
		peer_pause_ns(PEER_PAUSE_NS);
	}
}

struct bench {
	const char *name;
	void (*run)(workers &, const wake_arguments &, delays &);
};

const bench benches[] = {
	{ "eventfd", eventfd_run },
	{ "timer", timer_run },
	{ "outside", outside_run },
	{ "task", task_run },
};

/* Waits for a timer an hour from now, which is then cancelled. */
void
idle(workers &pool, const wake_arguments &a)
{
	asio::steady_timer timer(pool.context(0), std::chrono::hours(1));

	timer.async_wait([](error_code) {});
	wake_report_idle("asio", version, &a);
}

} // namespace

int
wake(int argc, char **argv)
{
	wake_arguments a = wake_parse("asio", argc, argv);

	memory(a);
	workers pool(a.workers, 1, a.pin);

	if (strcmp(a.bench, "idle") == 0) {
		idle(pool, a);
		return 0;
	}
	for (const bench &b : benches) {
		if (strcmp(a.bench, b.name) == 0) {
			static delays delays;

			b.run(pool, a, delays);
			wake_report_latency("asio", version, &a, delays.get());
			return 0;
		}
	}
	peer_refuse("asio", "--bench",
	    "must be eventfd, timer, outside, task, idle, parked, "
	    "parked_timer, flight or executor");
}

} // namespace peer
