/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations as plain system calls: results and errors of each opcode.
 */
#include <criterion/criterion.h>

#include <sys/mman.h>
#include <sys/resource.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../include/private/file_flags.h"
#include "../../reactor/execute.h"

static struct filch_op op;
static struct filch_file file;
static char buffer[8192];

static void
setup(void)
{
	char name[] = "/tmp/filch-execute-XXXXXX";

	memset(&op, 0, sizeof(op));
	memset(&file, 0, sizeof(file));
	file.fd = mkstemp(name);
	cr_assert(file.fd >= 0);
	cr_assert(unlink(name) == 0);
	file.priv.flags = FILCH__FILE_REGULAR;
	file.priv.fixed_index = -1;
	op.priv.file = &file;
}

static void
prepare(enum filch_opcode opcode, size_t size, uint64_t offset)
{
	op.priv.opcode = (uint8_t)opcode;
	op.priv.a.buffer = buffer;
	op.priv.b.size = size;
	op.priv.offset = offset;
}

TestSuite(execute, .init = setup);

Test(execute, write_then_read_gives_the_same_bytes)
{
	memset(buffer, 'a', sizeof(buffer));
	prepare(FILCH_OP_WRITE, 5000, 100);
	cr_assert(filch__execute(&op) == 5000);
	memset(buffer, 0, sizeof(buffer));
	prepare(FILCH_OP_READ, 5000, 100);
	cr_assert(filch__execute(&op) == 5000);
	cr_assert(buffer[0] == 'a');
	cr_assert(buffer[4999] == 'a');
	cr_assert(buffer[5000] == 0);
}

Test(execute, read_ends_at_the_end_of_the_file)
{
	cr_assert(ftruncate(file.fd, 1000) == 0);
	prepare(FILCH_OP_READ, 4096, 900);
	cr_assert(filch__execute(&op) == 100);
	prepare(FILCH_OP_READ, 4096, 1000);
	cr_assert(filch__execute(&op) == 0);
}

Test(execute, durable_write_writes_all)
{
	struct filch_stat stat;

	prepare(FILCH_OP_WRITE, 4096, 0);
	op.priv.flags = FILCH_OP_DSYNC;
	cr_assert(filch__execute(&op) == 4096);
	op.priv.opcode = FILCH_OP_STAT;
	op.priv.b.stat = &stat;
	cr_assert(filch__execute(&op) == 0);
	cr_assert(stat.size == 4096);
}

Test(execute, closed_file_gives_ebadf)
{
	close(file.fd);
	file.fd = -1;
	prepare(FILCH_OP_READ, 10, 0);
	cr_assert(filch__execute(&op) == -EBADF);
	prepare(FILCH_OP_WRITE, 10, 0);
	cr_assert(filch__execute(&op) == -EBADF);
	prepare(FILCH_OP_FSYNC, 0, 0);
	cr_assert(filch__execute(&op) == -EBADF);
	prepare(FILCH_OP_FDATASYNC, 0, 0);
	cr_assert(filch__execute(&op) == -EBADF);
	prepare(FILCH_OP_TRUNCATE, 0, 0);
	cr_assert(filch__execute(&op) == -EBADF);
	op.priv.directory = -1;
	op.priv.opcode = FILCH_OP_CLOSE;
	cr_assert(filch__execute(&op) == -EBADF);
}

Test(execute, full_disk_gives_enospc)
{
	close(file.fd);
	file.fd = open("/dev/full", O_WRONLY);
	file.priv.flags = FILCH__FILE_POLLABLE | FILCH__FILE_CHARACTER;
	prepare(FILCH_OP_WRITE, 10, FILCH_OFFSET_CURRENT);
	cr_assert(filch__execute(&op) == -ENOSPC);
}

Test(execute, file_size_limit_makes_short_then_efbig)
{
	struct rlimit limit = { .rlim_cur = 4096, .rlim_max = 4096 };

	signal(SIGXFSZ, SIG_IGN);
	cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	prepare(FILCH_OP_WRITE, 8192, 0);
	cr_assert(filch__execute(&op) == 4096);
	prepare(FILCH_OP_WRITE, 1, 4096);
	cr_assert(filch__execute(&op) == -EFBIG);
}

Test(execute, truncate_and_fallocate_set_the_size)
{
	struct filch_stat stat;

	op.priv.opcode = FILCH_OP_TRUNCATE;
	op.priv.b.length = 12345;
	cr_assert(filch__execute(&op) == 0);
	op.priv.opcode = FILCH_OP_FALLOCATE;
	op.priv.offset = 12345;
	op.priv.b.length = 100;
	cr_assert(filch__execute(&op) == 0);
	op.priv.opcode = FILCH_OP_STAT;
	op.priv.b.stat = &stat;
	cr_assert(filch__execute(&op) == 0);
	cr_assert(stat.size == 12445);
	op.priv.opcode = FILCH_OP_FALLOCATE;
	op.priv.b.length = 0;
	cr_assert(filch__execute(&op) == -EINVAL);
}

Test(execute, missing_names_give_enoent)
{
	struct filch_stat stat;

	op.priv.file = NULL;
	op.priv.directory = FILCH_DIRECTORY_CURRENT;
	op.priv.a.path = "/nonexistent/filch";
	op.priv.opcode = FILCH_OP_UNLINK;
	cr_assert(filch__execute(&op) == -ENOENT);
	op.priv.opcode = FILCH_OP_STAT;
	op.priv.b.stat = &stat;
	cr_assert(filch__execute(&op) == -ENOENT);
	op.priv.opcode = FILCH_OP_OPEN;
	op.priv.b.open.flags = O_RDONLY;
	cr_assert(filch__execute(&op) == -ENOENT);
	op.priv.opcode = FILCH_OP_RENAME;
	op.priv.directory_to = FILCH_DIRECTORY_CURRENT;
	op.priv.b.path = "/nonexistent/filch2";
	cr_assert(filch__execute(&op) == -ENOENT);
}

static void
prepare_mlock(void *address)
{
	op.priv.file = NULL;
	op.priv.opcode = FILCH_OP_MLOCK;
	op.priv.a.source = address;
	op.priv.b.size = sizeof(buffer);
}

Test(execute, memory_is_locked)
{
	prepare_mlock(buffer);
	cr_assert(filch__execute(&op) == 0);
	cr_assert(munlock(buffer, sizeof(buffer)) == 0);
}

Test(execute, refusals_to_lock_memory_are_two)
{
	struct rlimit limit = { .rlim_cur = 1, .rlim_max = 1 };

	if (mlock(NULL, sizeof(buffer)) == 0) {
		cr_skip_test("mlock does nothing under a sanitizer");
	}
	prepare_mlock(NULL);
	cr_assert(filch__execute(&op) == -ENOMEM);
	/* the limit does not bind the superuser */
	cr_assert(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	if (geteuid() == 0 && setuid(65534) != 0) {
		cr_skip_test("no other user to become");
	}
	prepare_mlock(buffer);
	cr_assert(filch__execute(&op) == -ENOMEM);
	limit.rlim_cur = 0;
	cr_assert(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	cr_assert(filch__execute(&op) == -EPERM);
}

Test(execute, open_sets_close_on_exec)
{
	int64_t fd;

	op.priv.directory = FILCH_DIRECTORY_CURRENT;
	op.priv.a.path = "/dev/null";
	op.priv.b.open.flags = O_RDONLY;
	op.priv.opcode = FILCH_OP_OPEN;
	fd = filch__execute(&op);
	cr_assert(fd >= 0);
	cr_assert((fcntl((int)fd, F_GETFD) & FD_CLOEXEC) != 0);
	op.priv.directory = (int)fd;
	op.priv.opcode = FILCH_OP_CLOSE;
	cr_assert(filch__execute(&op) == 0);
}

Test(execute, empty_pipe_is_not_ready)
{
	int fds[2];
	int64_t result = 1;

	cr_assert(pipe(fds) == 0);
	file.priv.flags = FILCH__FILE_POLLABLE | FILCH__FILE_NONBLOCK;
	close(file.fd);
	file.fd = fds[0];
	cr_assert(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
	prepare(FILCH_OP_READ, 10, FILCH_OFFSET_CURRENT);
	cr_assert(filch__execute_try(&op, &result) == FILCH__ATTEMPT_NOT_READY);
	cr_assert(write(fds[1], "abc", 3) == 3);
	cr_assert(filch__execute_try(&op, &result) == FILCH__ATTEMPT_DONE);
	cr_assert(result == 3);
}
