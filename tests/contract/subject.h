/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file and an operation on it, for the contract programs.
 */
#ifndef FILCH_TESTS_CONTRACT_SUBJECT_H
#define FILCH_TESTS_CONTRACT_SUBJECT_H

#include "contract.h"

static const char digits[] = "0123456789";

/* A file of ten digits and an operation on it. */
struct subject {
	struct contract_job job;
	struct filch_file file;
	char bytes[64];
};

static struct subject subject;

static inline const char *
subject_make(struct contract *contract, struct subject *one, const char *text)
{
	int fd = contract_file(contract, "file", text);

	memset(one, 0, sizeof(*one));
	CHECK(fd >= 0);
	CHECK_EQ(filch_file_init(&one->file, fd), 0);
	CHECK_EQ(one->file.fd, fd);
	return (NULL);
}

/* The operation that was prepared; its result. */
static inline int64_t
run(struct contract *contract)
{
	return (contract_job_run(contract, &subject.job));
}

#endif /* FILCH_TESTS_CONTRACT_SUBJECT_H */
