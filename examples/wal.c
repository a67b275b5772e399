/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A write-ahead log with group commit: wal FILE
 *
 * Clients are tasks.  Each hands a record to the log and goes on when it is
 * durable.  One writer task takes all records that wait, lays each into a
 * block of its own and commits the blocks together: durable writes, all in
 * flight at once.  What comes meanwhile makes the next commit.  Since one
 * commit follows the other, a durable record has no hole before it; and since
 * no block is written twice, a crash cannot damage what was durable.
 */
#include <filch/filch.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS            64
#define RECORDS_PER_CLIENT 16
#define GROUP_MAX          32 /* records a commit */
#define BLOCK              4096

struct block {
	uint64_t sequence; /* from 1 */
	uint32_t client;
	uint32_t number;
	uint8_t unused[BLOCK - 16];
};

struct client {
	struct filch_task task;
	struct log *log;
	struct client *next;      /* in the log's queue */
	struct filch_waker waker; /* who waits for the record */
	uint32_t id;
	uint32_t number; /* records handed over */
	bool waiting;    /* for the last one to be durable */
};

struct log {
	struct filch_task task; /* the writer */
	struct filch_file file;
	struct filch_commit commit;
	struct filch_commit_write writes[GROUP_MAX];
	struct filch_op *pointers[GROUP_MAX];
	struct client *group[GROUP_MAX];
	size_t group_count;
	struct block *blocks; /* GROUP_MAX of them, aligned for O_DIRECT */
	uint64_t sequence;
	uint64_t commits;
	/* of what follows, and of the clients' next, waker and waiting */
	pthread_mutex_t mutex;
	struct client *head;
	struct client **tail;
	struct filch_waker writer; /* the writer sleeps */
	unsigned clients;          /* not yet finished */
	int error;                 /* after it nothing is written any more */
};

/* Hand over one record at a time, each after the last one is durable. */
static enum filch_poll
client_poll(struct filch_task *task)
{
	struct client *client = filch_container_of(task, struct client, task);
	struct log *log = client->log;
	struct filch_waker writer = { NULL, NULL };
	enum filch_poll poll = FILCH_PENDING;

	pthread_mutex_lock(&log->mutex);
	if (!client->waiting) {
		writer = log->writer;
		log->writer.vtable = NULL;
		if (client->number == RECORDS_PER_CLIENT || log->error != 0) {
			log->clients--;
			poll = FILCH_READY;
		} else {
			client->number++;
			client->waiting = true;
			client->waker = filch_task_waker(task);
			client->next = NULL;
			*log->tail = client;
			log->tail = &client->next;
		}
	}
	pthread_mutex_unlock(&log->mutex);
	filch_waker_wake(&writer);
	return (poll);
}

/* Take up to GROUP_MAX of the clients that wait.  Under the mutex. */
static void
log_take_group(struct log *log)
{
	log->group_count = 0;
	while (log->head != NULL && log->group_count < GROUP_MAX) {
		log->group[log->group_count++] = log->head;
		log->head = log->head->next;
	}
	if (log->head == NULL) {
		log->tail = &log->head;
	}
}

static void
log_prepare_commit(struct log *log)
{
	for (size_t i = 0; i < log->group_count; i++) {
		struct block *block = &log->blocks[i];

		block->client = log->group[i]->id;
		block->number = log->group[i]->number;
		block->sequence = ++log->sequence;
		log->writes[i].data = block;
		log->writes[i].size = BLOCK;
		log->writes[i].offset = (log->sequence - 1) * BLOCK;
	}
	filch_commit_init(&log->commit, &log->file, log->writes,
	    log->group_count, log->pointers, FILCH_COMMIT_DSYNC);
}

/* The commit has ended: tell its clients. */
static void
log_acknowledge(struct log *log, int verdict)
{
	for (size_t i = 0; i < log->group_count; i++) {
		struct filch_waker waker;

		pthread_mutex_lock(&log->mutex);
		waker = log->group[i]->waker;
		log->group[i]->waiting = false;
		log->error = verdict;
		pthread_mutex_unlock(&log->mutex);
		filch_waker_wake(&waker);
	}
	log->group_count = 0;
	log->commits++;
}

/* True if there is a group to commit; else the next record wakes the writer. */
static bool
log_has_group(struct log *log, struct filch_task *task, bool *ret_is_over)
{
	pthread_mutex_lock(&log->mutex);
	if (log->group_count == 0) {
		log_take_group(log);
		log_prepare_commit(log);
	}
	*ret_is_over = log->clients == 0;
	if (log->group_count == 0 && !*ret_is_over) {
		filch_waker_drop(&log->writer);
		log->writer = filch_task_waker(task);
	}
	pthread_mutex_unlock(&log->mutex);
	return (log->group_count > 0);
}

static enum filch_poll
log_poll(struct filch_task *task)
{
	struct log *log = filch_container_of(task, struct log, task);
	bool is_over;

	while (log_has_group(log, task, &is_over)) {
		int verdict = log->error;

		if (verdict == 0 &&
		    filch_commit_poll(&log->commit, task, &verdict) ==
			FILCH_PENDING) {
			return (FILCH_PENDING);
		}
		log_acknowledge(log, verdict);
	}
	return (is_over ? FILCH_READY : FILCH_PENDING);
}

/* Read the log from its start, as a recovery does: every record, in order. */
static int
log_check(const struct log *log)
{
	struct block *block = log->blocks;
	uint32_t last[CLIENTS] = { 0 };

	for (uint64_t i = 1; i <= log->sequence; i++) {
		if (pread(log->file.fd, block, BLOCK,
			(off_t)((i - 1) * BLOCK)) != BLOCK ||
		    block->sequence != i || block->client >= CLIENTS ||
		    block->number != ++last[block->client]) {
			return (-EIO);
		}
	}
	return (log->sequence == CLIENTS * RECORDS_PER_CLIENT ? 0 : -EIO);
}

static int
log_open(struct log *log, const char *path)
{
	int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC;
	int fd = -1;

#ifdef O_DIRECT
	fd = open(path, flags | O_DIRECT, 0644);
#endif
	if (fd < 0) {
		fd = open(path, flags, 0644); /* some file systems refuse it */
	}
	log->tail = &log->head;
	log->clients = CLIENTS;
	log->blocks = aligned_alloc(BLOCK, GROUP_MAX * sizeof(struct block));
	if (fd < 0 || log->blocks == NULL) {
		return (-errno);
	}
	memset(log->blocks, 0, GROUP_MAX * sizeof(struct block));
	return (filch_file_init(&log->file, fd));
}

/* Run the writer and all clients to their end. */
static int
log_run(struct log *log, struct client *clients)
{
	struct filch_executor *executor;
	int rc = filch_executor_create(NULL, &executor);

	if (rc < 0) {
		return (rc);
	}
	filch_task_init(&log->task, log_poll, NULL);
	for (uint32_t i = 0; i < CLIENTS && rc == 0; i++) {
		clients[i].log = log;
		clients[i].id = i;
		filch_task_init(&clients[i].task, client_poll, NULL);
		rc = filch_executor_spawn(executor, &clients[i].task);
	}
	if (rc == 0) {
		rc = filch_executor_block_on(executor, &log->task);
	}
	filch_executor_destroy(executor);
	return (rc < 0 ? rc : log->error);
}

int
main(int argc, char **argv)
{
	static struct log log = { .mutex = PTHREAD_MUTEX_INITIALIZER,
		.file = FILCH_FILE_INIT };
	static struct client clients[CLIENTS];
	uint64_t start_ns = filch_now();
	int rc;

	if (argc != 2) {
		fprintf(stderr, "usage: wal FILE\n");
		return (2);
	}
	rc = log_open(&log, argv[1]);
	if (rc == 0) {
		rc = log_run(&log, clients);
	}
	if (rc == 0) {
		printf("%d records durable in %llu commits, %.1f ms\n",
		    CLIENTS * RECORDS_PER_CLIENT,
		    (unsigned long long)log.commits,
		    (double)(filch_now() - start_ns) / 1e6);
		rc = log_check(&log);
	}
	if (rc < 0) {
		fprintf(stderr, "wal: %s: %s\n", argv[1], strerror(-rc));
	}
	close(log.file.fd);
	free(log.blocks);
	return (rc < 0);
}
