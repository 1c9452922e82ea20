/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/quota.h"

#include <errno.h>

/* A client has little if it has no more than this part of what it may. */
#define LITTLE_PART 16

int
fs_quota_check(const FsQuota *quota, uint64_t own, uint64_t all, uint64_t more)
{
	uint64_t room = quota->all;

	if (own + more > quota->client)
		return -EMFILE;
	if (own + more > quota->client / LITTLE_PART)
		room -= room / 4;

	return all + more > room ? -ENFILE : 0;
}
