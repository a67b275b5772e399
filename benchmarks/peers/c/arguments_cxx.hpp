/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the C++ peers take of our headers in C.
 */
#ifndef ARGUMENTS_CXX_HPP
#define ARGUMENTS_CXX_HPP

#define _Alignas alignas /* C's name for it */
extern "C" {
#include "arguments.h"
#include "histogram.h"
#include "workload.h"
}
#undef _Alignas

#endif /* ARGUMENTS_CXX_HPP */
