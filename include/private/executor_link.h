/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one thing the layers below ask of an executor: its reactor.
 */
#ifndef FILCH_PRIVATE_EXECUTOR_LINK_H
#define FILCH_PRIVATE_EXECUTOR_LINK_H

struct filch_executor;
struct filch__reactor;

struct filch__reactor *filch__executor_reactor(
    const struct filch_executor *executor);

#endif /* FILCH_PRIVATE_EXECUTOR_LINK_H */
