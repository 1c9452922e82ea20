/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

/**
 * How many of one thing clients may have: a client, and all of them together.
 *
 * The last quarter of what all may have is kept for those who have little, so
 * that a few who take all that they can get keep nobody else from working.
 *
 * Threads: any.
 */
typedef struct FsQuota {
	uint64_t client; /* most of one client */
	uint64_t all;    /* most of all clients */
} FsQuota;

/**
 * Whether a client that has @own of the @all that there are may have @more.
 *
 * Errors: -EMFILE it has too many itself, -ENFILE all have.
 */
int fs_quota_check(const FsQuota *quota, uint64_t own, uint64_t all,
                   uint64_t more);
