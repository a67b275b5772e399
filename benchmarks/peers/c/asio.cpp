/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asio: threads on one io_context, or on one each; the subcommands.  It is two
 * programs, since what waits for completions is chosen when Asio is compiled:
 * asio has epoll, asio_ring its io_uring, which files take.
 */
#include <string.h>

#include <string>

#include "asio_peer.hpp"

namespace peer {

namespace {

std::string
version_text()
{
	return std::to_string(BOOST_ASIO_VERSION / 100000) + "." +
	    std::to_string(BOOST_ASIO_VERSION / 100 % 1000) + "." +
	    std::to_string(BOOST_ASIO_VERSION % 100);
}

const std::string version_string = version_text();
thread_local unsigned worker_index;

} // namespace

const char *const version = version_string.c_str();

workers::workers(unsigned count, unsigned context_count, bool pin)
{
	for (unsigned i = 0; i < context_count; i++) {
		/* Nobody but its thread does I/O on a context for one. */
		contexts_.push_back(std::make_unique<asio::io_context>(
		    context_count > 1 ? BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO
				      : static_cast<int>(count)));
		guards_.emplace_back(contexts_.back()->get_executor());
	}
	for (unsigned i = 0; i < count; i++) {
		threads_.emplace_back([this, i, pin] {
			worker_index = i;
			if (pin) {
				peer_pin(i);
			}
			context(i).run();
		});
	}
}

workers::~workers()
{
	join();
}

void
workers::join()
{
	guards_.clear();
	for (std::thread &thread : threads_) {
		thread.join();
	}
	threads_.clear();
}

unsigned
workers::index()
{
	return worker_index;
}

} // namespace peer

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	peer_files_allow(); /* it takes one an operation in flight */
#ifdef BOOST_ASIO_HAS_IO_URING_AS_DEFAULT
	if (strcmp(what, "read") == 0 || strcmp(what, "mixed") == 0) {
		peer_arguments(argc, argv);
		return peer::file(what);
	}
	peer_refuse("asio_ring", what, "must be read or mixed");
#else
	if (strcmp(what, "sched") == 0) {
		return peer::sched(argc - 2, argv + 2);
	}
	if (strcmp(what, "wake") == 0) {
		return peer::wake(argc - 2, argv + 2);
	}
	peer_refuse("asio", what, "must be sched or wake");
#endif
}
