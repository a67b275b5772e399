/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the system refuses io_uring, as containers do: a seccomp filter makes
 * io_uring_setup(2) fail with the error that the test names.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "helpers.h"

TestSuite(driver_choice, .timeout = 60);

/* From here on this process, which Criterion made for one test, is refused. */
static void
refuse_uring(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	unsetenv("FILCH_DRIVER");
	cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		cr_skip_test("no seccomp filter here");
	}
}

static void
assert_falls_back(int error)
{
	struct filch_executor *executor;

	refuse_uring(error);
	executor = executor_new(1);
	cr_assert_eq(filch_executor_driver(executor), FILCH_DRIVER_POSIX);
	cr_assert_not_null(
	    strstr(filch_executor_driver_reason(executor), strerror(error)));
	filch_executor_destroy(executor);
}

static void
assert_asked_for_is_refused(int error)
{
	struct filch_executor_options options = FILCH_EXECUTOR_OPTIONS_INIT;
	struct filch_executor *executor = NULL;

	refuse_uring(error);
	options.driver = FILCH_DRIVER_URING;
	cr_assert_eq(filch_executor_create(&options, &executor), -error);
	cr_assert_null(executor);
	setenv("FILCH_DRIVER", "uring", 1);
	cr_assert_eq(filch_executor_create(NULL, &executor), -error);
	cr_assert_null(executor);
}

Test(driver_choice, without_io_uring_in_the_kernel_posix_is_taken)
{
	assert_falls_back(ENOSYS);
}

Test(driver_choice, where_io_uring_is_forbidden_posix_is_taken)
{
	assert_falls_back(EPERM);
}

Test(driver_choice, without_memory_for_a_ring_posix_is_taken)
{
	assert_falls_back(ENOMEM);
}

Test(driver_choice, asked_for_io_uring_without_it_says_so)
{
	assert_asked_for_is_refused(ENOSYS);
}

Test(driver_choice, asked_for_io_uring_where_forbidden_says_so)
{
	assert_asked_for_is_refused(EPERM);
}

Test(driver_choice, asked_for_io_uring_without_memory_says_so)
{
	assert_asked_for_is_refused(ENOMEM);
}
