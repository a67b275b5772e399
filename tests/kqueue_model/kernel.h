/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of the model: its objects, and what its files use of each other.
 *
 * One mutex, kernel.lock, over everything here.  It is held on entry to every
 * function of this header unless the comment says otherwise, and it is never
 * held during a call that may block.
 *
 * The objects are the kernel's own, since what is promised follows from them:
 * - a knote is found by (kqueue, ident, filter).  It is queued when it becomes
 *   active; what a thread takes from the queue is asked once more whether it
 *   still is, and goes back to the end unless it is delivered once only.
 * - a job's notes, and a list's, die with it.  A job lives until aio_return.
 * - a file is what several descriptors may share.
 */
#ifndef KQUEUE_MODEL_KERNEL_H
#define KQUEUE_MODEL_KERNEL_H

#include <sys/event.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <aio.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model.h"

#define NS_PER_S        1000000000ULL
#define NEVER           UINT64_MAX
#define KNOTE_BUCKETS   256
#define STALE_MAX       4
#define AIOCB_REFUSED   ((void *)-2) /* in its kernelinfo */
#define KQUEUE_POLL_MAX 3            /* what a kqueue adds to a thread's poll */

/* The kernel's own opcodes, beside LIO_*. */
enum {
	OPCODE_SYNC = 0x100,
	OPCODE_DSYNC,
	OPCODE_MLOCK,
};

struct waiter;
struct kqueue;
struct knote;
struct job;
struct list;
struct file;

/* A thread that sleeps in kevent, aio_suspend and so on. */
struct waiter {
	int fd; /* an eventfd, that of this thread while it sleeps */
	bool is_woken;
	unsigned int stale_count;
	struct kevent stale[STALE_MAX];
	TAILQ_ENTRY(waiter) link;
};
TAILQ_HEAD(waiters, waiter);

/* What a kind of knote does. */
struct filter {
	bool is_fd;
	/* 0 or an errno.  The flags of the change are in the knote's. */
	int (*attach)(struct knote *);
	void (*detach)(struct knote *);
	/* Whether it is active; sets data and fflags. */
	bool (*is_active)(struct knote *);
	/* NULL: of an existing knote a change sets notes and data. */
	void (*change)(struct knote *, const struct kevent *);
	/* NULL: the knote's event as it is. */
	void (*deliver)(struct knote *, struct kevent *ret_event);
};

struct knote {
	struct kevent event;
	unsigned int notes; /* the change's fflags */
	int64_t value;      /* and its data */
	const struct filter *filter;
	struct kqueue *kqueue;
	uint64_t id; /* unlike every other's */

	bool is_active;
	bool is_queued;
	bool is_disabled;
	unsigned int deliveries;

	struct job *job;   /* EVFILT_AIO */
	struct list *list; /* EVFILT_LIO */
	bool is_triggered; /* EVFILT_USER */

	uint64_t expiry_ns; /* EVFILT_TIMER; NEVER: not running */
	uint64_t period_ns;

	dev_t device; /* EVFILT_READ and _WRITE: of which file */
	ino_t inode;
	bool is_polled; /* epoll tells when to ask it */

	LIST_ENTRY(knote) bucket;
	LIST_ENTRY(knote) owner; /* the job's or the list's notes */
	LIST_ENTRY(knote) timer; /* of the kqueue */
	TAILQ_ENTRY(knote) queue;
};
LIST_HEAD(knotes, knote);
TAILQ_HEAD(knote_queue, knote);

/*
 * The user has one end of a pair of sockets, whose inode is the kqueue's
 * identity, and the model the other, which hangs up when the user's is closed.
 */
struct kqueue {
	dev_t device;
	ino_t inode;
	pid_t owner;
	int user_fd; /* until it is closed or moved */
	int hangup_fd;
	int epoll[2];     /* EVFILT_READ and _WRITE; -1: not needed yet */
	bool is_readable; /* a byte is in the user's end */
	unsigned int references;
	struct knotes buckets[KNOTE_BUCKETS];
	struct knotes timers;
	struct knote_queue queue;
	struct waiters waiters;
	TAILQ_ENTRY(kqueue) link;
};

enum file_kind {
	FILE_VNODE,  /* a regular file or a directory */
	FILE_SOCKET, /* has queues of its own */
	FILE_UNSAFE, /* all else */
};

enum direction {
	DIRECTION_READ,
	DIRECTION_WRITE,
	DIRECTIONS,
};

TAILQ_HEAD(jobs, job);

struct file {
	int fd; /* the model's duplicate */
	unsigned int references;
	enum file_kind kind;
	bool has_vnode; /* can be synced */
	bool is_device; /* has negative offsets */
	dev_t device;
	ino_t inode;
	struct jobs sockets[DIRECTIONS]; /* that wait, in order */
	TAILQ_ENTRY(file) link;
};

enum job_state {
	JOB_QUEUED,  /* for a daemon */
	JOB_SYNC,    /* waits for earlier ones */
	JOB_SOCKET,  /* waits in its file's queue */
	JOB_RUNNING, /* not to be cancelled any more */
	JOB_DONE,    /* until aio_return */
};

struct job {
	struct aiocb *user;
	struct aiocb copy; /* as submitted; status and error are the job's */
	int opcode;
	enum job_state state;
	bool is_canceled; /* asked for, too late */
	bool is_check;    /* a sync waits for it */
	uint64_t sequence;
	unsigned int pending; /* what a sync still waits for */
	size_t transferred;   /* by a socket's job that is not done */
	struct file *file;    /* NULL: aio_mlock */
	struct list *list;    /* NULL: alone */
	struct iovec *vectors;
	int vector_count;
	struct iovec vector; /* of a job that has no more than one */
	struct knotes notes;
	TAILQ_ENTRY(job) all;
	TAILQ_ENTRY(job) order; /* kernel.pending, then kernel.done */
	TAILQ_ENTRY(job) queue; /* by its state */
};

/* A lio_listio that has jobs. */
struct list {
	unsigned int count;
	unsigned int finished;
	bool is_posted;
	bool has_event;
	struct sigevent event;
	struct knotes notes;
	TAILQ_ENTRY(list) link;
};

/* How many of the model's 1/1000 an event has. */
enum chance {
	CHANCE_DELAY,
	CHANCE_SLOW,
	CHANCE_LATE,
	CHANCE_LINGER,
	CHANCE_REORDER,
	CHANCE_EAGAIN,
	CHANCE_EOPNOTSUPP,
	CHANCE_BUSY,
	CHANCE_PARTIAL,
	CHANCE_STALE,
};

struct kernel {
	pthread_mutex_t lock;
	struct kqueue_model_options options;
	struct kqueue_model_counts counts;
	struct kqueue_model_faults faults;
	uint64_t random;

	TAILQ_HEAD(, kqueue) kqueues;
	TAILQ_HEAD(, file) files;
	TAILQ_HEAD(, list) lists;
	struct jobs all;     /* all jobs, oldest first */
	struct jobs pending; /* not done, in order of submission */
	struct jobs done;    /* not returned, in order of completion */
	struct jobs ready;   /* for a daemon */
	struct jobs syncs;   /* wait for earlier ones */
	uint64_t sequence;

	pthread_cond_t work;
	unsigned int daemons;
	unsigned int daemons_idle;
	unsigned int servicing;
	bool has_socket_daemon;
	int socket_wake_fd;

	struct waiters waiters;      /* for any job to be done */
	struct waiters free_waiters; /* nobody's */
};
extern struct kernel kernel;

/* kernel.c; lock is taken and given up by these two */
void kernel__enter(void);
void kernel__leave(void);
bool kernel__draw(enum chance chance);
uint64_t kernel__random(void);
uint64_t kernel__now_ns(void);
/* 0 or less than options.delay_us; to be spent without the lock. */
uint64_t kernel__draw_delay(enum chance chance);
void kernel__dally(uint64_t delay_ns);
/* A descriptor of the model's own, in the upper half; closes the given one. */
int kernel__fd_move(int fd);
int kernel__fd_duplicate(int fd);
int kernel__fail(int error); /* sets errno, returns -1 */
/* Starts a detached thread that gets no signals: 0 or an errno. */
int kernel__thread(void *(*run)(void *));
/* Whether it is one; NULL is forever.  ret_ns is an absolute time. */
bool kernel__deadline(const struct timespec *timeout, uint64_t *ret_ns);

/* wait.c */
struct waiter *waiter__get(struct waiters *waiters);
void waiter__put(struct waiters *waiters, struct waiter *waiter);
/*
 * Sleeps without the lock until woken, or one of fds is ready: 0, EINTR or
 * ETIMEDOUT.  fds has room for one more, which is set here.
 */
int waiter__sleep(struct waiter *waiter, struct pollfd *fds, nfds_t count,
    uint64_t deadline_ns);
void waiters__wake(struct waiters *waiters);

/* kqueue.c */
struct kqueue *kqueue__find(int fd);
/* Frees those whose descriptor is closed. */
void kqueue__sweep(void);
/* At once, without a word. */
void kqueue__forget(struct kqueue *kqueue);
/* In a child: without its descriptor, too. */
void kqueue__close(struct kqueue *kqueue);
void kqueue__set_readable(struct kqueue *kqueue, int fd);

/* knote.c */
const struct filter *knote__filter(short filter);
/* A change; errors are those of kevent.  is_kernel: not a user's. */
int knote__register(
    struct kqueue *kqueue, struct kevent *change, bool is_kernel, void *object);
struct knote *knote__find(struct kqueue *kqueue, uintptr_t ident, short filter);
void knote__drop(struct knote *knote);
/* Asks it, and queues it if it is active. */
void knote__poke(struct knote *knote);
void knote__poke_all(struct knotes *notes);
/* The object is no more.  May leave a kevent that runs a stale event. */
void knote__drop_all(struct knotes *notes);
/* Takes up to count events of the queue. */
int knote__scan(struct kqueue *kqueue, struct kevent *events, int count);

/* filters.c */
extern const struct filter filter__aio;
extern const struct filter filter__lio;
extern const struct filter filter__user;
extern const struct filter filter__timer;
/* Lets those expire whose time it is; returns the next one's time. */
uint64_t filter__timers_run(struct kqueue *kqueue);

/* filter_fd.c */
extern const struct filter filter__read;
extern const struct filter filter__write;
/* Asks the knotes of which epoll knows something. */
void filter__fd_poll(struct kqueue *kqueue);
/* Whether the descriptor is still that knote's. */
bool filter__fd_is_same(const struct knote *knote);

/* submit.c */
/* Returns 0 or an errno, as aio_read does.  list: NULL for none. */
int job__submit(struct aiocb *user, int opcode, struct list *list);
int job__submit_event(
    const struct sigevent *event, uintptr_t ident, short filter, void *object);

/* job.c */
/* It is done: tells everybody.  It is in no queue but kernel.pending. */
void job__finish(struct job *job, ssize_t status, int error);
void job__free(struct job *job);
/* Cancels it: whether it was. */
bool job__cancel(struct job *job);
void list__release(struct list *list);
void list__post(struct list *list);
void job__signal(const struct sigevent *event);

/* file.c: 0 or an errno */
int file__get(int fd, struct file **ret_file);
void file__put(struct file *file);

/* daemon.c */
int daemon__push(struct job *job); /* 0 or EAGAIN */
void daemon__remove(struct job *job);
/* Called in a child. */
void daemon__forget(void);

/* socket.c */
int socket__push(struct job *job);
void socket__cancel(struct job *job);
/* Whether the daemon would serve it now; it will soon look at it. */
bool socket__is_next(struct job *job);

/* options.c, without the lock */
void options__read(struct kqueue_model_options *ret_options);
void options__print(const struct kqueue_model_options *options);

#endif
