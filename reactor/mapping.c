/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a file by copying from a mapping of it.
 */
#include "mapping.h"

#include <filch/limits.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "../include/private/compiler.h"
#include "execute.h"

/*
 * Where this thread goes on if its copy faults; NULL when it copies nothing.
 * volatile, and no atomic: only the handler on the same thread looks as well.
 */
static FILCH__THREAD_LOCAL sigjmp_buf *volatile rescue
    __attribute__((tls_model("initial-exec")));

static pthread_once_t handler_once = PTHREAD_ONCE_INIT;
static struct sigaction handled_before; /* written once, before the handler */

/* True of a fault of this thread; else somebody has sent the signal. */
static bool
is_fault(const siginfo_t *info)
{
	/* SI_USER and its like are at most 0 on Linux, above all on BSD */
	return (info->si_code > 0 && (SI_USER <= 0 || info->si_code < SI_USER));
}

static void
pass_on(int signal, siginfo_t *info, void *context)
{
	bool by_default = handled_before.sa_handler == SIG_DFL;
	bool ignored = handled_before.sa_handler == SIG_IGN;

	if (ignored && !is_fault(info)) {
		return;
	}
	if (by_default || ignored) {
		/* a fault comes back at once, and then ends the program */
		(void)sigaction(signal, &handled_before, NULL);
		if (!is_fault(info)) {
			(void)raise(signal);
		}
		return;
	}
	if ((handled_before.sa_flags & (int)SA_RESETHAND) != 0) {
		struct sigaction once = { .sa_handler = SIG_DFL };

		(void)sigaction(signal, &once, NULL);
	}
	if ((handled_before.sa_flags & SA_SIGINFO) != 0) {
		handled_before.sa_sigaction(signal, info, context);
	} else {
		handled_before.sa_handler(signal);
	}
}

static void
on_bus_error(int signal, siginfo_t *info, void *context)
{
	sigjmp_buf *place = rescue;

	if (place != NULL && is_fault(info)) {
		rescue = NULL;
		/* the jump does not: saving it is a system call a read */
		(void)pthread_sigmask(SIG_SETMASK,
		    &((const ucontext_t *)context)->uc_sigmask, NULL);
		siglongjmp(*place, 1);
	}
	pass_on(signal, info, context);
}

static void
handler_install(void)
{
	struct sigaction action = { .sa_sigaction = on_bus_error };

	action.sa_flags = SA_SIGINFO | SA_ONSTACK;
	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGBUS, NULL, &handled_before);
	(void)sigaction(SIGBUS, &action, NULL);
}

int
filch__mapping_open(struct filch_file *file)
{
	struct stat status;
	void *address;

	if (fstat(file->fd, &status) < 0) {
		return (-errno);
	}
	if ((uint64_t)status.st_size > SIZE_MAX) {
		return (-EOVERFLOW);
	}
	(void)pthread_once(&handler_once, handler_install);
	address = mmap(
	    NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, file->fd, 0);
	if (address == MAP_FAILED) {
		return (-errno);
	}
	file->priv.mapping = address;
	file->priv.mapping_size = (size_t)status.st_size;
	return (0);
}

void
filch__mapping_close(struct filch_file *file)
{
	(void)munmap(file->priv.mapping, file->priv.mapping_size);
	file->priv.mapping = NULL;
	file->priv.mapping_size = 0;
}

/* Not inlined: plain accesses could move past the changes of rescue. */
static FILCH__NOINLINE void
copy(const struct iovec *iov, int buffers, const char *source)
{
	int i;

	for (i = 0; i < buffers; i++) {
		if (iov[i].iov_len > 0) { /* else it may have no address */
			memcpy(iov[i].iov_base, source, iov[i].iov_len);
		}
		source += iov[i].iov_len;
	}
}

/* False if a page could not be had. */
static FILCH__NOINLINE bool
copy_guarded(const struct iovec *iov, int buffers, const char *source)
{
	sigjmp_buf place;

	if (sigsetjmp(place, 0) != 0) {
		return (false);
	}
	rescue = &place;
	copy(iov, buffers, source);
	rescue = NULL;
	return (true);
}

bool
filch__mapping_read(const struct filch_op *op, int64_t *ret_result)
{
	const struct filch_file *file = op->priv.file;
	struct iovec one;
	size_t size = 0;
	int buffers;
	int i;
	const struct iovec *iov = filch__execute_vector(op, &one, &buffers);

	if (op->priv.offset > file->priv.mapping_size) {
		return (false);
	}
	for (i = 0; i < buffers; i++) {
		if (iov[i].iov_len >
		    file->priv.mapping_size - op->priv.offset - size) {
			return (false);
		}
		size += iov[i].iov_len;
	}
	if (size > FILCH_TRANSFER_MAX ||
	    !copy_guarded(iov, buffers,
		(const char *)file->priv.mapping + op->priv.offset)) {
		return (false);
	}
	*ret_result = (int64_t)size;
	return (true);
}
