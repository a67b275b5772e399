/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asio's files, by its io_uring: a file object for each operation in flight,
 * because operations of one kind on one object run one after another.
 * --contexts=each: each thread has an io_context, and ring; shared: one for all.
 * All buffers are registered with every ring.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <vector>

#include <boost/asio/random_access_file.hpp>

#include "arguments_cxx.hpp"
#include "asio_peer.hpp"

namespace peer {

namespace {

/* What one thread alone touches. */
struct alignas(64) lane {
	workload_cursor cursor;
	workload_stats *stats;
	uint64_t now_ns; /* of when an operation ended, or one of some */
	uint64_t ended;
};

struct job {
	const struct workload *given;
	struct workload endless; /* the same without number_ios */
	std::vector<lane> lanes;
	uint64_t start_ns;
	uint64_t stop_ns;
	uint64_t stuck_turns;
	std::atomic<uint64_t> left;
	std::atomic<size_t> running;
	std::atomic<bool> over;
};

bool one_each;

/* False when no operation is to be started any more. */
bool
next(job &job, workload_place *place, workload_step *step)
{
	lane &lane = job.lanes[workers::index()];

	if (job.given->number_ios != 0 &&
	    (!lane.cursor.sync_due || place->slept)) {
		uint64_t left = job.left.load(std::memory_order_relaxed);

		do {
			if (left == 0) {
				return false;
			}
		} while (!job.left.compare_exchange_weak(
		    left, left - 1, std::memory_order_relaxed));
	}
	return workload_next_at(&lane.cursor, &job.endless, place, step);
}

class slot {
public:
	slot(job &job, asio::io_context &context,
	    const asio::mutable_registered_buffer &buffer)
	    : job_(job), file_(context), timer_(context), buffer_(buffer)
	{
		int fd = dup(job.given->fd);

		if (fd < 0) {
			peer_fail("asio_ring", "dup", errno);
		}
		file_.assign(fd);
	}

	void
	start(uint64_t index, uint64_t slots)
	{
		place_.start_ns = job_.start_ns;
		place_.next = index;
		place_.slots = slots;
		start_ns_ = workload_now_ns();
		asio::post(file_.get_executor(), [this] { again(); });
	}

private:
	char *
	bytes() const
	{
		return static_cast<char *>(buffer_.data());
	}

	void
	again()
	{
		const struct workload &w = *job_.given;
		uint64_t until_ns = workload_sleep_until(&w,
		    &job_.lanes[workers::index()].cursor, &place_, start_ns_);

		if (until_ns != 0) {
			sleep(until_ns);
			return;
		}
		if (start_ns_ >= job_.stop_ns ||
		    !next(job_, &place_, &step_)) {
			job_.running.fetch_sub(1, std::memory_order_release);
			return;
		}
		if (w.rate != 0) {
			start_ns_ = place_.due_ns;
		}
		auto done = [this](error_code error, size_t got) {
			finish(error, got);
		};
		if (step_.kind == KIND_READ) {
			file_.async_read_some_at(step_.offset, buffer_, done);
		} else if (step_.kind == KIND_WRITE) {
			if (w.verify) {
				workload_fill(
				    &w, bytes(), step_.offset, w.block_size);
			}
			file_.async_write_some_at(step_.offset,
			    asio::const_registered_buffer(buffer_), done);
		} else {
			/* Asio has no asynchronous sync. */
			error_code error;

			file_.sync_data(error);
			finish(error, 0);
		}
	}

	/* Between two operations of an open loop. */
	void
	sleep(uint64_t until_ns)
	{
		timer_.expires_at(asio::steady_timer::time_point(
		    std::chrono::nanoseconds(until_ns)));
		timer_.async_wait([this](error_code) {
			start_ns_ = workload_now_ns();
			again();
		});
	}

	void
	finish(error_code error, size_t got)
	{
		const struct workload &w = *job_.given;
		lane &lane = job_.lanes[workers::index()];
		int64_t result = error && error != asio::error::eof
		    ? -static_cast<int64_t>(error.value())
		    : static_cast<int64_t>(got);

		if (w.latency || w.rate != 0 ||
		    ++lane.ended % WORKLOAD_CLOCK_INTERVAL == 0) {
			lane.now_ns = workload_now_ns();
		}
		workload_account(&w, lane.stats, &step_, bytes(), result,
		    lane.now_ns - start_ns_);
		start_ns_ = w.verify ? workload_now_ns() : lane.now_ns;
		again();
	}

	job &job_;
	asio::random_access_file file_;
	asio::steady_timer timer_;
	asio::mutable_registered_buffer buffer_;
	workload_place place_{};
	workload_step step_{};
	uint64_t start_ns_ = 0;
};

/* Computes in a handler, sleeps until the period is over, computes again. */
class stuck {
public:
	stuck(job &job, asio::io_context &context) : job_(job), timer_(context)
	{
		asio::post(context, [this] { turn(); });
	}

private:
	void
	turn()
	{
		const struct workload &w = *job_.given;

		if (job_.over.load(std::memory_order_relaxed)) {
			return;
		}
		timer_.expires_after(
		    std::chrono::nanoseconds(w.stuck_every_ns));
		job_.stuck_turns++;
		workload_compute(w.stuck_ns);
		timer_.async_wait([this](error_code) { turn(); });
	}

	job &job_;
	asio::steady_timer timer_;
};

using memory = std::unique_ptr<char, decltype(&free)>;

using registration = asio::buffer_registration<asio::mutable_buffer>;

registration
register_all(asio::io_context &context, char *buffers, size_t size)
{
	try {
		return asio::register_buffers(
		    context, asio::mutable_buffer(buffers, size));
	} catch (const boost::system::system_error &error) {
		peer_fail("asio_ring", "buffers", error.code().value());
	}
}

int
drive(job &job, workload_outcome *ret_outcome)
{
	const struct workload &w = *job.given;
	size_t count = size_t{ w.workers } * w.iodepth;
	size_t size = count * w.block_size;
	memory buffers(static_cast<char *>(aligned_alloc(4096, size)), &free);
	std::vector<std::unique_ptr<slot>> slots;
	unsigned contexts = one_each ? w.workers : 1;

	if (buffers == nullptr) {
		return workload_complain(&w, "buffers", ENOMEM);
	}
	/* Touches the pages, and gives writes something to write. */
	workload_fill(&w, buffers.get(), 0, size);
	{
		workers pool(w.workers, contexts, w.pin);
		std::vector<registration> registered;
		std::unique_ptr<stuck> computing;

		for (unsigned i = 0; i < contexts; i++) {
			registered.push_back(register_all(
			    pool.context(i), buffers.get(), size));
		}
		for (size_t i = 0; i < count; i++) {
			unsigned at = static_cast<unsigned>(i % contexts);

			slots.push_back(std::make_unique<slot>(job,
			    pool.context(at),
			    asio::buffer(
				registered[at][0] + i * w.block_size,
				w.block_size)));
		}
		uint64_t cpu_ns = workload_cpu_ns();
		uint64_t start_ns = workload_now_ns();
		job.start_ns = start_ns;
		for (lane &lane : job.lanes) {
			lane.now_ns = start_ns;
		}
		job.stop_ns = start_ns + w.runtime_ns;
		job.running.store(count);
		for (size_t i = 0; i < count; i++) {
			slots[i]->start(i, count);
		}
		if (w.stuck_ns != 0) {
			computing =
			    std::make_unique<stuck>(job, pool.context(0));
		}
		while (job.running.load(std::memory_order_acquire) > 0) {
			peer_pause_ns(1000000);
		}
		ret_outcome->elapsed_ns = workload_now_ns() - start_ns;
		ret_outcome->cpu_ns = workload_cpu_ns() - cpu_ns;
		job.over.store(true, std::memory_order_relaxed);
		pool.join();
		slots.clear();
	}
	ret_outcome->stuck_turns = job.stuck_turns;
	return WORKLOAD_DONE;
}

int
run(const struct workload *workload, workload_stats *stats,
    workload_outcome *ret_outcome, void *context)
{
	job job{ workload, *workload, std::vector<lane>(workload->workers), 0,
		0, 0, workload->number_ios, 0, false };

	job.endless.number_ios = 0;
	for (unsigned i = 0; i < workload->workers; i++) {
		workload_cursor_init(&job.lanes[i].cursor, &job.endless, i);
		job.lanes[i].stats = &stats[i];
	}
	ret_outcome->driver = one_each ? "asio each" : "asio shared";
	ret_outcome->who = static_cast<const char *>(context);
	return drive(job, ret_outcome);
}

} // namespace

int
file(const char *workload)
{
	const char *contexts = peer_option("contexts");

	one_each = contexts == nullptr || strcmp(contexts, "shared") != 0;
	workload_program program{ "asio_ring", run,
		const_cast<char *>(peer_who("asio_ring", version, workload)),
		false };
	return workload_main(&program, peer_argc, peer_argv);
}

} // namespace peer
