/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include "store/store.h"

/**
 * What a file's lock is called, so that all forms of one lock meet: the keys of
 * mailbag_lock.h. Pure.
 *
 * KEY and MBG of a mailbag share its update lock; its lock files, in all
 * spellings, are its processing lock. The inqueues of a postoffice have one
 * lock for both purposes, as there programs that lock by file and programs that
 * lock by opening do the same work (Q103960). Every other file has a lock of
 * its own.
 */

typedef enum FsLockPurpose {
	FS_LOCK_NONE,       /* plain files */
	FS_LOCK_UPDATE,     /* short: who changes KEY and MBG */
	FS_LOCK_PROCESSING, /* long: who works a queue off */
	FS_LOCK_INQUEUE,    /* both */
	FS_LOCK_FILE, /* a message file, a file for one program, a suffix */
} FsLockPurpose;

/** The lock of the file at @place. */
FsLockPurpose fs_lock_key_purpose(const StorePlace *place);

/** Its key; NULL for a file without. Ownership: the caller frees it. */
char *fs_lock_key(const StorePlace *place);

/** What it is called where a person reads of it; NULL for FS_LOCK_NONE. */
const char *fs_lock_purpose_name(FsLockPurpose purpose);

/** What a key is of. */
typedef struct FsLockSubject {
	FsLockPurpose purpose;
	StoreNode dir;    /* of the file; else the mailbag's postoffice */
	const char *name; /* of the file or mailbag; borrowed from the key */
} FsLockSubject;

/** Takes @key, of fs_lock_key(), apart; false if it is none. */
bool fs_lock_key_parse(const char *key, FsLockSubject *ret_subject);
