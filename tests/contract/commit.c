/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commits: writes before the sync that covers them, and what a failure of
 * either means.
 *
 * fsync(2) and fdatasync(2) of the library are the program's own (its
 * execute.c is compiled to call them): they count, and fail when told to.
 * io_uring and aio_fsync(2) sync without them, so what needs to see them runs
 * on the pool's driver alone.
 */
#include "subject.h"

#include <sys/resource.h>
#include <sys/uio.h>

#define WRITES  3
#define COMMITS 8

int contract_fdatasync(int fd);
int contract_fsync(int fd);

/* Set while no commit runs, and read after; one sync of a file at a time. */
static int sync_error;
static unsigned syncs;
static unsigned full_syncs;
static off_t size_at_sync;

static bool
syncs_are_seen(const struct contract *contract)
{
	return (!contract->is_uring && !contract->is_kqueue);
}

static int
sync_note(int fd)
{
	syncs++;
	size_at_sync = lseek(fd, 0, SEEK_END);
	errno = sync_error;
	return (sync_error == 0 ? 0 : -1);
}

int
contract_fdatasync(int fd)
{
	return (sync_note(fd) < 0 ? -1 : fdatasync(fd));
}

int
contract_fsync(int fd)
{
	full_syncs++;
	return (sync_note(fd) < 0 ? -1 : fsync(fd));
}

struct commit_task {
	struct filch_task task;
	struct filch_commit commit;
	struct filch_commit_write writes[WRITES];
	struct filch_op *pointers[WRITES];
	bool is_cancelled;
	int verdict;
};

static struct commit_task commits[COMMITS];

static enum filch_poll
commit_task_poll(struct filch_task *task)
{
	struct commit_task *one =
	    filch_container_of(task, struct commit_task, task);

	if (one->is_cancelled) {
		filch_task_cancel(task);
	}
	return (filch_commit_poll(&one->commit, task, &one->verdict));
}

/* Writes of ten bytes each, one behind the other, from offset on. */
static void
commit_prepare(struct commit_task *one, uint64_t offset, size_t count,
    enum filch_commit_mode mode)
{
	for (size_t i = 0; i < count; i++) {
		one->writes[i].data = digits;
		one->writes[i].size = 10;
		one->writes[i].offset = offset + 10 * i;
	}
	one->verdict = 1;
	filch_commit_init(&one->commit, &subject.file, one->writes, count,
	    one->pointers, mode);
	filch_task_init(&one->task, commit_task_poll, NULL);
}

/* Carry out what was prepared; its verdict. */
static int
commit_run(struct contract *contract, struct commit_task *one)
{
	int rc = filch_executor_block_on(contract->executor, &one->task);

	return (rc < 0 ? rc : one->verdict);
}

static const char *
begin(struct contract *contract, int error)
{
	CHECK_OK(subject_make(contract, &subject, ""));
	memset(commits, 0, sizeof(commits));
	sync_error = error;
	syncs = 0;
	full_syncs = 0;
	size_at_sync = -1;
	return (NULL);
}

static const char *
every_mode(struct contract *contract)
{
	for (int mode = FILCH_COMMIT_AUTO; mode <= FILCH_COMMIT_DSYNC; mode++) {
		CHECK_OK(begin(contract, 0));
		commit_prepare(
		    commits, 0, WRITES, (enum filch_commit_mode)mode);
		CHECK_EQ(commit_run(contract, commits), 0);
		CHECK_EQ(pread(subject.file.fd, subject.bytes, 64, 0), 30);
		CHECK_EQ(memcmp(subject.bytes, digits, 10), 0);
		CHECK_EQ(memcmp(subject.bytes + 20, digits, 10), 0);
		if (syncs_are_seen(contract)) {
			/* one, after all writes, also for durable writes */
			CHECK_EQ(syncs, 1);
			CHECK_EQ(full_syncs, mode == FILCH_COMMIT_FSYNC);
			CHECK_EQ(size_at_sync, 30);
		}
		(void)close(subject.file.fd);
	}
	return (NULL);
}

/* The first in order that failed; no sync; and the file is as good as ever. */
static const char *
failed_write(struct contract *contract)
{
	CHECK_OK(begin(contract, 0));
	commit_prepare(commits, 0, WRITES, FILCH_COMMIT_FDATASYNC);
	commits->writes[1].offset = (uint64_t)INT64_MIN;
	commits->writes[2].data = (const void *)1;
	CHECK_EQ(commit_run(contract, commits), -EINVAL);
	CHECK_EQ(syncs, 0);
	commit_prepare(commits, 0, WRITES, FILCH_COMMIT_FDATASYNC);
	commits->writes[1].data = (const void *)1;
	commits->writes[2].offset = (uint64_t)INT64_MIN;
	CHECK_EQ(commit_run(contract, commits), -EFAULT);
	CHECK_EQ(syncs, 0);
	CHECK_EQ(filch_file_poison(&subject.file), 0);
	commit_prepare(commits, 0, WRITES, FILCH_COMMIT_FDATASYNC);
	CHECK_EQ(commit_run(contract, commits), 0);
	return (NULL);
}

/*
 * A short write is finished, here until the limit lets it no further; not all
 * systems write up to it.  FreeBSD's aio daemons have limits of their own.
 */
static const char *
short_write(struct contract *contract)
{
	struct rlimit old;
	struct rlimit limit;
	off_t size;
	int verdict;

	CHECK_OK(begin(contract, 0));
	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = 6;
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	commit_prepare(commits, 0, 1, FILCH_COMMIT_FDATASYNC);
	verdict = commit_run(contract, commits);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
	size = lseek(subject.file.fd, 0, SEEK_END);
	if (contract->is_kqueue && verdict == 0) {
		CHECK_EQ(size, 10);
		SKIP("the system's daemons write beyond the program's limit");
	}
	CHECK_EQ(verdict, -EFBIG);
	CHECK_EQ(syncs, 0);
	CHECK(size == 6 || (size == 0 && !contract->is_uring));
	CHECK_EQ(filch_file_poison(&subject.file), 0);
	return (NULL);
}

static const char *
failed_sync(struct contract *contract)
{
	if (!syncs_are_seen(contract)) {
		SKIP("the kernel's own sync cannot be made to fail");
	}
	for (int mode = FILCH_COMMIT_AUTO; mode <= FILCH_COMMIT_DSYNC; mode++) {
		CHECK_OK(begin(contract, EIO));
		commit_prepare(
		    commits, 0, WRITES, (enum filch_commit_mode)mode);
		CHECK_EQ(commit_run(contract, commits), -EIO);
		CHECK_EQ(filch_file_poison(&subject.file), -EIO);
		CHECK_EQ(lseek(subject.file.fd, 0, SEEK_END), 30);
		/* a sync that went well now would prove nothing */
		sync_error = 0;
		commit_prepare(
		    commits, 100, WRITES, (enum filch_commit_mode)mode);
		CHECK_EQ(commit_run(contract, commits), -EIO);
		commit_prepare(commits, 0, 0, (enum filch_commit_mode)mode);
		CHECK_EQ(commit_run(contract, commits), -EIO);
		CHECK_EQ(syncs, 1);
		CHECK_EQ(lseek(subject.file.fd, 0, SEEK_END), 30);
		/* opened anew, it is worth another attempt */
		(void)close(subject.file.fd);
		CHECK_OK(begin(contract, 0));
		commit_prepare(
		    commits, 0, WRITES, (enum filch_commit_mode)mode);
		CHECK_EQ(commit_run(contract, commits), 0);
		(void)close(subject.file.fd);
	}
	return (NULL);
}

/* Syncs that were not carried out have lost nothing. */
static const char *
harmless_sync_errors(struct contract *contract)
{
	static const int errors[] = { EBADF, EINVAL, EROFS, EOPNOTSUPP };

	if (!syncs_are_seen(contract)) {
		SKIP("the kernel's own sync cannot be made to fail");
	}
	for (size_t i = 0; i < CONTRACT_COUNT(errors); i++) {
		CHECK_OK(begin(contract, errors[i]));
		commit_prepare(commits, 0, 1, FILCH_COMMIT_FDATASYNC);
		CHECK_EQ(commit_run(contract, commits), -errors[i]);
		CHECK_EQ(filch_file_poison(&subject.file), 0);
		(void)close(subject.file.fd);
	}
	return (NULL);
}

/* Several at once on one file: all durable, or none believes to be. */
static const char *
together(struct contract *contract, int error)
{
	for (unsigned run = 0; run < 50; run++) {
		CHECK_OK(begin(contract, error));
		for (unsigned i = 0; i < COMMITS; i++) {
			commit_prepare(&commits[i], 30 * (uint64_t)i, WRITES,
			    i % 2 == 0 ? FILCH_COMMIT_FDATASYNC
				       : FILCH_COMMIT_DSYNC);
		}
		for (unsigned i = 0; i < COMMITS; i++) {
			CHECK_EQ(filch_executor_spawn_joinable(
				     contract->executor, &commits[i].task),
			    0);
		}
		for (unsigned i = 0; i < COMMITS; i++) {
			CHECK_EQ(filch_task_join(&commits[i].task), 0);
		}
		for (unsigned i = 0; i < COMMITS; i++) {
			CHECK_EQ(commits[i].verdict, -error);
		}
		CHECK_EQ(filch_file_poison(&subject.file), -error);
		CHECK(error != 0 ||
		    lseek(subject.file.fd, 0, SEEK_END) == 30 * COMMITS);
		CHECK(!syncs_are_seen(contract) ||
		    (syncs >= 1 && syncs <= COMMITS));
		CHECK(error == 0 || syncs == 1);
		(void)close(subject.file.fd);
	}
	return (NULL);
}

static const char *
together_well(struct contract *contract)
{
	return (together(contract, 0));
}

static const char *
together_failing(struct contract *contract)
{
	if (!syncs_are_seen(contract)) {
		SKIP("the kernel's own sync cannot be made to fail");
	}
	return (together(contract, EIO));
}

static const char *
refused(struct contract *contract)
{
	int fd;

	CHECK_OK(begin(contract, 0));
	commit_prepare(commits, 0, WRITES, FILCH_COMMIT_AUTO);
	commits->is_cancelled = true;
	CHECK_EQ(commit_run(contract, commits), -ECANCELED);
	commits->is_cancelled = false;
	CHECK_EQ(lseek(subject.file.fd, 0, SEEK_END), 0);
	fd = openat(contract->directory, "file", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(filch_file_init(&subject.file, fd), 0);
	commit_prepare(commits, 0, WRITES, FILCH_COMMIT_AUTO);
	CHECK_EQ(commit_run(contract, commits), -EBADF);
	subject.file.fd = -1;
	commit_prepare(commits, 0, WRITES, FILCH_COMMIT_FDATASYNC);
	CHECK_EQ(commit_run(contract, commits), -EBADF);
	CHECK_EQ(syncs, 0);
	commit_prepare(commits, 0, 0, FILCH_COMMIT_FSYNC);
	CHECK_EQ(commit_run(contract, commits), -EBADF);
	CHECK_EQ(filch_file_poison(&subject.file), 0);
	return (NULL);
}

#if defined(O_DIRECT)
/*
 * Past the cache each write is durable by itself; nothing is left to sync, but
 * by a system without such writes.
 */
static const char *
direct(struct contract *contract)
{
	static char *blocks;
	int fd;

	CHECK_OK(begin(contract, 0));
	fd = openat(contract->directory, "file", O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0) {
		SKIP("no O_DIRECT on this file system");
	}
	CHECK_EQ(filch_file_init(&subject.file, fd), 0);
	CHECK_EQ(posix_memalign((void **)&blocks, 4096, 4096), 0);
	memset(blocks, 'b', 4096);
	commit_prepare(commits, 0, WRITES, FILCH_COMMIT_AUTO);
	for (uint64_t i = 0; i < WRITES; i++) {
		commits->writes[i].data = blocks;
		commits->writes[i].size = 4096;
		commits->writes[i].offset = 4096 * i;
	}
	CHECK_EQ(commit_run(contract, commits), 0);
#if defined(RWF_DSYNC)
	CHECK_EQ(syncs, 0);
#else
	CHECK(syncs <= WRITES);
#endif
	CHECK_EQ(lseek(fd, 0, SEEK_END), 4096 * WRITES);
	free(blocks);
	(void)close(fd);
	return (NULL);
}
#else
static const char *
direct(struct contract *contract)
{
	(void)contract;
	SKIP("no O_DIRECT here");
}
#endif

static const struct contract_test tests[] = {
	{ "every mode: writes, then one sync", every_mode, NULL },
	{ "a failed write: no sync, no poison", failed_write, NULL },
	{ "a short write is finished", short_write, NULL },
	{ "a failed sync poisons the file", failed_sync, NULL },
	{ "a sync not carried out does not", harmless_sync_errors, NULL },
	{ "several at once", together_well, NULL },
	{ "several at once, the sync fails", together_failing, NULL },
	{ "refused: cancelled, closed, not for writing", refused, NULL },
	{ "O_DIRECT: durable writes", direct, NULL },
};

int
main(void)
{
	return (contract_main_on(tests, CONTRACT_COUNT(tests), NULL, true));
}
