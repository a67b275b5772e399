/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a file from a mapping of it: what is read, what is left to a system
 * call, and who gets a SIGBUS.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../include/private/file_flags.h"
#include "../../reactor/mapping.h"
#include "helpers.h"

#define PAGES 4

static size_t page;
static struct filch_file file;
static char *content;
static char *buffer;

static int
file_make(const char *bytes, size_t size)
{
	char name[] = "filch-mapping-XXXXXX";
	int fd = mkstemp(name);

	cr_assert(fd >= 0);
	cr_assert(unlink(name) == 0);
	cr_assert(write(fd, bytes, size) == (ssize_t)size);
	return (fd);
}

static void
setup(void)
{
	size_t i;

	page = (size_t)sysconf(_SC_PAGESIZE);
	content = malloc(PAGES * page);
	buffer = malloc(PAGES * page);
	for (i = 0; i < PAGES * page; i++) {
		content[i] = (char)(i % 251);
	}
	cr_assert_eq(
	    filch_file_init(&file, file_make(content, PAGES * page)), 0);
}

static void
teardown(void)
{
	filch_file_unmap(&file);
	close(file.fd);
	free(content);
	free(buffer);
}

TestSuite(mapping, .init = setup, .fini = teardown, .timeout = 60);

/* The result of a read, -1 where it was left to a system call. */
static int64_t
read_at(uint64_t offset, size_t size)
{
	struct filch_op op;
	int64_t result = -1;

	filch_op_init_read(&op, &file, buffer, size, offset);
	return (filch__mapping_read(&op, &result) ? result : -1);
}

struct closer {
	struct filch_task task;
	struct filch_op op;
	int64_t result;
};

static enum filch_poll
closer_poll(struct filch_task *task)
{
	struct closer *self = filch_container_of(task, struct closer, task);

	return (filch_op_poll(&self->op, task, &self->result));
}

Test(mapping, gives_the_bytes_at_an_offset)
{
	cr_assert_eq(filch_file_map(&file), 0);
	cr_assert_eq(read_at(5, page), (int64_t)page);
	cr_assert_arr_eq(buffer, content + 5, page);
	cr_assert_eq(read_at(0, PAGES * page), (int64_t)(PAGES * page));
	cr_assert_arr_eq(buffer, content, PAGES * page);
	cr_assert_eq(read_at(page, 0), 0);
}

Test(
    mapping, outlives_no_file_that_is_closed_by_an_operation, .signal = SIGABRT)
{
	struct filch_executor *executor = executor_new(1);
	struct closer closer = { .result = 0 };

	cr_assert_eq(filch_file_map(&file), 0);
	filch_op_init_close(&closer.op, &file);
	filch_task_init(&closer.task, closer_poll, NULL);
	cr_assert_eq(filch_executor_block_on(executor, &closer.task), 0);
}

Test(mapping, fills_a_vector_in_order)
{
	struct filch_op op;
	int64_t result = -1;
	struct iovec iov[] = { { buffer + 10, 10 }, { NULL, 0 },
		{ buffer, 10 } };

	cr_assert_eq(filch_file_map(&file), 0);
	filch_op_init_readv(&op, &file, iov, 3, 100);
	cr_assert(filch__mapping_read(&op, &result));
	cr_assert_eq(result, 20);
	cr_assert_arr_eq(buffer + 10, content + 100, 10);
	cr_assert_arr_eq(buffer, content + 110, 10);
}

Test(mapping, leaves_what_does_not_lie_within_it_to_a_system_call)
{
	struct iovec iov[] = { { buffer, page }, { buffer, SIZE_MAX } };
	struct filch_op op;
	int64_t result;

	cr_assert_eq(filch_file_map(&file), 0);
	cr_assert_eq(read_at(PAGES * page - 1, 2), -1);
	cr_assert_eq(read_at(PAGES * page, 1), -1);
	cr_assert_eq(read_at(PAGES * page + 1, 0), -1);
	cr_assert_eq(read_at(UINT64_MAX - 1, page), -1);
	filch_op_init_readv(&op, &file, iov, 2, 0);
	cr_assert_not(filch__mapping_read(&op, &result));
}

Test(mapping, sees_what_is_written_by_another_descriptor)
{
	int other = dup(file.fd);

	cr_assert_eq(filch_file_map(&file), 0);
	cr_assert_eq(pwrite(other, "news", 4, (off_t)page), 4);
	cr_assert_eq(read_at(page, 4), 4);
	cr_assert_arr_eq(buffer, "news", 4);
	close(other);
}

Test(mapping, covers_what_was_added_once_it_is_made_anew)
{
	cr_assert_eq(filch_file_map(&file), 0);
	cr_assert_eq(pwrite(file.fd, "end", 3, (off_t)(PAGES * page)), 3);
	cr_assert_eq(read_at(PAGES * page, 3), -1);
	filch_file_unmap(&file);
	cr_assert_eq(filch_file_map(&file), 0);
	cr_assert_eq(read_at(PAGES * page, 3), 3);
	cr_assert_arr_eq(buffer, "end", 3);
}

Test(mapping, leaves_pages_that_are_gone_to_a_system_call_each_time)
{
	int i;

	cr_assert_eq(filch_file_map(&file), 0);
	cr_assert_eq(ftruncate(file.fd, (off_t)page), 0);
	for (i = 0; i < 100; i++) {
		cr_assert_eq(read_at(page, page), -1);
		cr_assert_eq(read_at(0, 2 * page), -1);
		cr_assert_eq(read_at(0, page), (int64_t)page);
	}
}

#define THREADS 4
#define TURNS   1000

static void *
read_what_is_gone(void *arg)
{
	struct filch_op op;
	char *own = malloc(page);
	int64_t result;
	uintptr_t failures = 0;
	int i;

	(void)arg;
	for (i = 0; i < TURNS; i++) {
		filch_op_init_read(&op, &file, own, page, page);
		failures += !filch__mapping_read(&op, &result);
		filch_op_init_read(&op, &file, own, page, 0);
		failures += !filch__mapping_read(&op, &result);
	}
	free(own);
	return ((void *)failures);
}

Test(mapping, takes_the_faults_of_several_threads)
{
	pthread_t threads[THREADS];
	void *failures;
	int i;

	cr_assert_eq(filch_file_map(&file), 0);
	cr_assert_eq(ftruncate(file.fd, (off_t)page), 0);
	for (i = 0; i < THREADS; i++) {
		cr_assert_eq(
		    pthread_create(&threads[i], NULL, read_what_is_gone, NULL),
		    0);
	}
	for (i = 0; i < THREADS; i++) {
		cr_assert_eq(pthread_join(threads[i], &failures), 0);
		cr_assert_eq((uintptr_t)failures, TURNS);
	}
}

/* ---- a SIGBUS that is not ours ---- */

static volatile sig_atomic_t taken;
static sigjmp_buf back;

static void
take_plain(int signal)
{
	taken = signal;
}

static void
take_told(int signal, siginfo_t *info, void *context)
{
	(void)context;
	taken = signal;
	if (info->si_code > 0) {
		siglongjmp(back, 1);
	}
}

static void
handle_with(
    int flags, void (*plain)(int), void (*told)(int, siginfo_t *, void *))
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_flags = flags;
	if (told != NULL) {
		action.sa_sigaction = told;
	} else {
		action.sa_handler = plain;
	}
	cr_assert_eq(sigaction(SIGBUS, &action, NULL), 0);
	cr_assert_eq(filch_file_map(&file), 0);
}

static void
handle(void (*plain)(int), void (*told)(int, siginfo_t *, void *))
{
	handle_with(told != NULL ? SA_SIGINFO : 0, plain, told);
}

/* A fault in a mapping of the test's own. */
static void
fault(void)
{
	int fd = file_make("x", 1);
	volatile char *own = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);

	cr_assert(own != MAP_FAILED);
	cr_assert_eq(ftruncate(fd, 0), 0);
	close(fd);
	buffer[0] = own[0];
}

Test(mapping, passes_a_signal_that_was_sent_to_the_handler_there_was)
{
	handle(take_plain, NULL);
	raise(SIGBUS);
	cr_assert_eq(taken, SIGBUS);
	taken = 0;
	raise(SIGBUS);
	cr_assert_eq(taken, SIGBUS);
}

Test(mapping, passes_a_fault_that_is_not_its_own_to_the_handler_there_was)
{
	handle(NULL, take_told);
	if (sigsetjmp(back, 1) == 0) {
		fault();
		cr_assert_fail("it faults");
	}
	cr_assert_eq(taken, SIGBUS);
}

Test(mapping, leaves_a_signal_ignored_that_was)
{
	handle(SIG_IGN, NULL);
	raise(SIGBUS);
}

Test(mapping, lets_a_signal_end_the_program_that_did, .signal = SIGBUS)
{
	handle(SIG_DFL, NULL);
	raise(SIGBUS);
}

Test(mapping, lets_a_fault_end_the_program, .signal = SIGBUS)
{
	handle(SIG_DFL, NULL);
	fault();
}

Test(mapping, lets_a_fault_end_the_program_that_ignores_it, .signal = SIGBUS)
{
	handle(SIG_IGN, NULL);
	fault();
}

/* As Go's runtime leaves it. */
Test(mapping, looks_for_no_handler_behind_the_default, .signal = SIGBUS)
{
	handle_with(SA_SIGINFO, SIG_DFL, NULL);
	raise(SIGBUS);
}

Test(mapping, looks_for_no_handler_of_a_signal_that_is_ignored)
{
	handle_with(SA_SIGINFO, SIG_IGN, NULL);
	raise(SIGBUS);
}

Test(mapping, calls_a_handler_once_that_is_for_once, .signal = SIGBUS)
{
	handle_with((int)SA_RESETHAND, take_plain, NULL);
	fault();
}

/* ---- what can be mapped ---- */

static int
map_anew(int fd)
{
	struct filch_file other;
	int result;

	cr_assert_eq(filch_file_init(&other, fd), 0);
	result = filch_file_map(&other);
	cr_assert(result != 0);
	filch_file_unmap(&other);
	close(fd);
	return (result);
}

Test(mapping, is_for_regular_files_that_can_be_read_and_are_not_empty)
{
	struct filch_file closed = FILCH_FILE_INIT;
	int ends[2];
	char path[64];

	cr_assert_eq(filch_file_map(&closed), -EBADF);
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(map_anew(ends[0]), -ENODEV);
	close(ends[1]);
	cr_assert_eq(map_anew(open(".", O_RDONLY)), -ENODEV);
	cr_assert_eq(map_anew(file_make("", 0)), -EINVAL);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file.fd);
	if (access(path, F_OK) == 0) {
		cr_assert_eq(map_anew(open(path, O_WRONLY)), -EACCES);
	}
	file.priv.flags |= FILCH__FILE_DIRECT;
	cr_assert_eq(filch_file_map(&file), -EINVAL);
}

Test(mapping, says_when_there_is_no_room_for_it)
{
	struct rlimit before;
	struct rlimit limit;
	int result;

	cr_assert_eq(getrlimit(RLIMIT_AS, &before), 0);
	limit = before;
	limit.rlim_cur = 1; /* of what there is nothing is taken */
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	result = filch_file_map(&file);
	cr_assert_eq(setrlimit(RLIMIT_AS, &before), 0);
	cr_assert_eq(result, -ENOMEM);
	cr_assert_eq(filch_file_map(&file), 0);
	cr_assert_eq(read_at(0, page), (int64_t)page);
}

Test(mapping, is_made_once)
{
	cr_assert_eq(filch_file_map(&file), 0);
	cr_assert_eq(filch_file_map(&file), -EALREADY);
	filch_file_unmap(&file);
	filch_file_unmap(&file);
	cr_assert_eq(filch_file_map(&file), 0);
}
