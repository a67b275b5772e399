/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the Asio peer share.
 */
#ifndef ASIO_PEER_HPP
#define ASIO_PEER_HPP

#include <stdint.h>

#include <memory>
#include <thread>
#include <vector>

#include <boost/asio.hpp>

#include "peer.h"

namespace peer {

namespace asio = boost::asio;
using boost::system::error_code;

extern const char *const version;

/* Threads that run contexts, worker i on context i modulo their number. */
class workers {
public:
	workers(unsigned count, unsigned context_count, bool pin);
	~workers();
	void join(); /* lets them run out of work */
	workers(const workers &) = delete;
	workers &operator=(const workers &) = delete;

	asio::io_context &
	context(unsigned index)
	{
		return *contexts_[index % contexts_.size()];
	}
	/* Which of the threads this is. */
	static unsigned index();

private:
	using guard =
	    asio::executor_work_guard<asio::io_context::executor_type>;

	std::vector<std::unique_ptr<asio::io_context>> contexts_;
	std::vector<guard> guards_;
	std::vector<std::thread> threads_;
};

/* The subcommands; the arguments behind them, or peer_argv. */
int sched(int argc, char **argv);
int wake(int argc, char **argv);
/* Of wake, what is about memory: does not return where bench is such. */
void memory(wake_arguments &arguments);
int file(const char *workload);

} // namespace peer

#endif /* ASIO_PEER_HPP */
