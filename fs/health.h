/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/**
 * How the store does. The administrator is told in the log when it falls ill
 * and when it is well again, once each. Nothing tells us of the latter, so it is
 * looked at until then.
 *
 * Threads: one at a time, the one that has the turn.
 */
typedef struct FsHealth {
	Store *store;           /* borrowed; NULL: it is closed */
	const char *store_path; /* borrowed */
	int error;              /* an errno, as last told of; 0: it is well */
	bool is_suspect;        /* a client was told of an error */
} FsHealth;

/** A client was answered @r by @op: perhaps the store falls ill. */
void fs_health_answered(FsHealth *health, const char *op, int r);

/** Looks how it does, if there is a reason to, and tells of a change. */
void fs_health_look(FsHealth *health);

/** Looks in any case: commits have begun to fail. */
void fs_health_suspect(FsHealth *health);

/** What an errno of StoreVitals means for the clients, in a few words. */
const char *fs_health_text(int error);
