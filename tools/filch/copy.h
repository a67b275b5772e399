/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filch copy: what its parts share.
 *
 * The main thread walks the trees, makes directories and symbolic links, and
 * alone writes messages (copy_sources.c, copy_tree.c, copy_report.c).  It gives
 * each regular file to a slot, of which there are --jobs: a task that opens,
 * publishes and cleans up (copy_file.c), and --iodepth tasks that move its
 * blocks (copy_unit.c).  A slot owns its buffers, so memory does not depend on
 * what is copied.  The walk waits while all slots are taken.
 *
 * A file is written under a temporary name beside its final one and renamed
 * when it is complete (copy_target.c): no other moment shows the final name.
 */
#ifndef FILCH_COPY_H
#define FILCH_COPY_H

#include <sys/stat.h>

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <filch/filch.h>

/* Files in flight: enough to hide the many small steps that each takes. */
#define COPY_JOBS_DEFAULT 16u
#define COPY_JOBS_MAX     1024

/* Blocks in flight, for each file: so that one large file keeps a disk busy. */
#define COPY_IODEPTH_DEFAULT 4u
#define COPY_IODEPTH_MAX     256

/* Bytes of a block: where larger ones were not faster any more. */
#define COPY_BLOCK_DEFAULT (UINT64_C(256) << 10)
#define COPY_BLOCK_MAX     (UINT64_C(64) << 20)

/* Bytes of all buffers. */
#define COPY_MEMORY_MAX (UINT64_C(4) << 30)

/* What blocks start at; also what O_DIRECT is given, which asks for no more. */
#define COPY_ALIGNMENT 4096u

/* Pieces of data between holes that are looked up in one go. */
#define COPY_SEGMENTS_MAX 64

/* ".filch-", 16 digits, ".part" */
#define COPY_TEMPORARY_SIZE 32

/*
 * What is kept of a mode.  Owners are not kept, and so set-user-ID would lend
 * out the rights of another user.
 */
#define COPY_MODES (S_IRWXU | S_IRWXG | S_IRWXO | S_ISVTX)

enum copy_progress {
	COPY_PROGRESS_AUTO,
	COPY_PROGRESS_ALWAYS,
	COPY_NO_PROGRESS
};

struct copy_options {
	uint64_t block_size;
	unsigned jobs;
	unsigned iodepth;
	unsigned workers; /* 0: the executor's default */
	enum filch_driver_kind driver;
	enum copy_progress progress;
	bool recursive;
	bool verify;
	bool direct;
	bool fsync;
	bool overwrite;
	bool resume;
	char *const *sources;
	unsigned source_count;
	const char *target;
};

/*
 * A directory whose entries are being copied, or, of no parent, the place that
 * holds the copies of the arguments.  Lives while the walk is in it or a file
 * of it in flight; of the main thread only, but for names and descriptors,
 * which do not change.
 */
struct copy_dir {
	struct copy_dir *parent; /* of which it holds a reference */
	DIR *stream;             /* of the source; NULL without a parent */
	int source_fd;
	int target_fd;
	char *source_path; /* "" for the working directory */
	char *target_path;
	unsigned references;
	mode_t mode; /* of the source, for the copy at its end */
	struct timespec modified;
};

/* One thing that the walk has come to. */
struct copy_entry {
	struct copy_dir *dir;
	const char
	    *source_name; /* an argument as it is, where dir is the root */
	const char *target_name;
	struct stat source;
	struct stat target; /* if there is one */
	bool exists;
};

#define COPY_EXISTS_REASON "exists (--overwrite replaces it)"

enum copy_failure_kind {
	COPY_FINE,
	COPY_ERROR,       /* operation ended with error */
	COPY_REFUSED,     /* operation is the whole reason */
	COPY_DIFFERS,     /* the copy, from its source, at byte offset */
	COPY_SHORT,       /* the source ends at byte offset, not at its size */
	COPY_CHANGED,     /* the source, while it was copied */
	COPY_INTERRUPTED, /* by a signal: not a failure of the file */
};

struct copy_failure {
	enum copy_failure_kind kind;
	bool on_target; /* which of the two paths */
	int error;      /* > 0 */
	const char *operation;
	uint64_t offset;
};

/* A piece of a file that holds data. */
struct copy_segment {
	uint64_t start;
	uint64_t end;
};

struct copy_file;
struct copy_run;

/* A task that moves one block after the other of its slot's file. */
struct copy_unit {
	_Alignas(64) struct filch_task task;
	struct filch_op op;
	struct copy_file *file;
	char *buffer;
	char *other; /* for --verify: what the target holds */
	uint64_t offset;
	size_t length; /* of the block */
	size_t got;    /* of it, from the source */
	size_t done;   /* of it, to or from the target */
	enum {
		UNIT_IDLE,
		UNIT_SOURCE,
		UNIT_TARGET
	} phase;
};

enum copy_next {
	COPY_NEXT_STEP, /* the next step can be taken at once */
	COPY_NEXT_OP,   /* ... once the operation is done */
	COPY_NEXT_WAKE, /* ... once the units are done */
	COPY_NEXT_END
};

/* Do what follows the operation that ended with result. */
typedef enum copy_next (*copy_step_fn)(struct copy_file *file, int64_t result);

/* A slot.  Main thread while idle or ended; its task's while in flight. */
struct copy_file {
	struct filch_task task;
	struct copy_run *run;
	struct copy_file *next; /* in run->idle or run->ended */
	struct copy_unit *units;

	/* From the walk. */
	struct copy_dir *dir;
	char *source_name;
	char *target_name;
	bool is_present; /* complete already: only verify it */

	/* The task's own. */
	copy_step_fn step;
	bool is_waiting; /* for op */
	struct filch_op op;
	struct filch_file source;
	struct filch_file target;
	struct filch_stat stat; /* of the source, at the beginning */
	char temporary[COPY_TEMPORARY_SIZE];
	bool has_temporary;
	bool is_endless;       /* says size 0, yet may hold data: /proc */
	bool is_sparse;        /* may have holes */
	const char *operation; /* the call that failed on the blocking pool */
	struct filch_waker waker;
	atomic_uint active; /* units at work */
	uint64_t planned;   /* all data before this is in segments, or done */

	/* While units are at work: (l) under lock, else the task's. */
	pthread_mutex_t lock;
	bool is_verifying; /* not changed while units are at work */
	unsigned segment_count;
	unsigned segment_index;      /* (l) */
	uint64_t size;               /* (l) bytes; grows where is_endless */
	struct copy_failure failure; /* (l) the first */
	struct copy_segment segments[COPY_SEGMENTS_MAX]; /* (l) what is left */
};

struct copy_run {
	struct copy_options options;
	struct filch_executor *executor;
	struct filch_buffer_pool *pool;
	bool is_fixed; /* operations name the pool */
	struct copy_file *files;
	struct copy_unit *units;
	atomic_uint_fast64_t bytes; /* copied, or verified where present */

	pthread_mutex_t lock;
	pthread_cond_t has_ended;
	struct copy_file *ended; /* (l) slots whose task was released */

	/* The main thread's. */
	struct copy_file *idle;
	unsigned in_flight;
	struct stat top; /* the directory that is being made, see the walk */
	uint64_t files_copied;
	uint64_t failures;
	bool shows_progress;
	uint64_t start_ns;
	uint64_t progress_ns; /* when to show the next */
};

/* copy_options.c: the exit code, or -1 to go on. */
int copy_options_parse(struct copy_options *options, int argc, char **argv);

/*
 * copy_sources.c: copy all sources.  Failures of single ones are counted in
 * run; the result is the exit code where the arguments do not fit together.
 */
int copy_sources(struct copy_run *run);

/* copy_tree.c: copy one source, with all that is in it. */
void copy_tree(struct copy_run *run, struct copy_dir *root,
    const char *source_name, const char *target_name);

/* copy_link.c: copy a symbolic link. */
void copy_link(struct copy_run *run, const struct copy_entry *entry);

/*
 * copy_dir.c: open a directory and its copy; NULL after a report.  A reference
 * keeps them open; after the last the copy gets its mode and time.
 */
struct copy_dir *copy_dir_enter(struct copy_run *run, struct copy_dir *parent,
    const char *source_name, const char *target_name);
void copy_dir_release(struct copy_run *run, struct copy_dir *dir);
void copy_dir_free(struct copy_dir *dir);

/* copy_run.c: hand a file to a slot; waits until there is one. */
void copy_run_file(struct copy_run *run, struct copy_dir *dir,
    const char *source_name, const char *target_name, bool is_present);
/* Wait until no file is in flight. */
void copy_run_drain(struct copy_run *run);
/* Result: 0 or -errno. */
int copy_run_init(struct copy_run *run);
void copy_run_fini(struct copy_run *run);

/* copy_file.c: start the task of a slot.  Result: 0 or -errno. */
int copy_file_start(struct copy_file *file);
/* Keep the first failure.  Threads: any. */
void copy_file_fail(struct copy_file *file, struct copy_failure failure);

/* copy_unit.c: put units to work; the last one wakes the file's task. */
void copy_units_start(struct copy_file *file, unsigned count);

/* copy_target.c: run on the blocking pool, with a file; 0 or -errno. */
int64_t copy_target_create(void *arg);
int64_t copy_target_finish(void *arg);
int64_t copy_target_forget(void *arg);
int64_t copy_target_publish(void *arg);
void copy_temporary_name(char *temporary, const char *name);

/* copy_holes.c: find the next segments, on the blocking pool; 0 or -errno. */
int64_t copy_holes_find(void *arg);

/* copy_report.c: count a failure in dir, and write its line. */
void copy_report(struct copy_run *run, const struct copy_dir *dir,
    const char *source_name, const char *target_name,
    const struct copy_failure *failure);
void copy_entry_fail(struct copy_run *run, const struct copy_entry *entry,
    bool on_target, const char *operation, int error);
void copy_entry_refuse(struct copy_run *run, const struct copy_entry *entry,
    bool on_target, const char *reason);
void copy_report_progress(struct copy_run *run, bool is_last);

static inline bool
copy_is_same(const struct stat *one, const struct stat *two)
{
	return (one->st_dev == two->st_dev && one->st_ino == two->st_ino);
}

#endif /* FILCH_COPY_H */
