/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "store/store.h"

/**
 * Lock files: files whose existence is the lock (P1/INQUEUE.0LK). They live
 * with the session that made them and never reach the store, so that a crash
 * leaves no stale lock. Pure: directories and sessions are numbers, and the
 * time is told.
 *
 * Whose name is gone lives on, content and all, while a handle is open.
 *
 * Threads: one at a time, the one that serves requests.
 */
typedef struct FsLockFiles FsLockFiles;

/** Most lock files of one session and of all, those open without a name
 * included; as fs/quota.h says. */
#define FS_LOCK_FILES_MAX 4096
#define FS_LOCK_FILES_ALL 16384

/** Largest lock file, and most bytes of all those of one session and of all. */
#define FS_LOCK_FILE_SIZE_MAX  ((size_t)64 * 1024)
#define FS_LOCK_FILE_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define FS_LOCK_FILE_BYTES_ALL ((size_t)64 * 1024 * 1024)

/** Most extended attributes of one, and bytes of each; smbd sets one. */
#define FS_LOCK_FILE_XATTRS_MAX     8
#define FS_LOCK_FILE_XATTR_SIZE_MAX 1024

/** All of it is for reading; it is changed by the functions below. */
typedef struct FsLockFile {
	FsLockFiles *files; /* borrowed */
	StoreAttr attr;     /* parent is 0 once the name is gone */
	char *name;         /* as it was created; owned */
	char *key;          /* of its lock, wherever it is now; owned */
	uint64_t session;   /* that made it */

	/* Of lock_file.c. */
	struct FsLockFileOwner *owner; /* borrowed */
	GByteArray *content;           /* owned */
	GHashTable *xattrs;            /* name -> GBytes, owned; or NULL */
	unsigned opened;               /* how often it is held */
} FsLockFile;

/** What a new lock file shall be. */
typedef struct FsLockFileNew {
	StoreNode dir;
	const char *name; /* copied */
	const char *key;  /* copied */
	uint64_t session;
	uint32_t mode; /* permission bits */
	uint32_t uid;
	uint32_t gid;
	int64_t now_ns;
} FsLockFileNew;

/**
 * The node number of lock file @name in @dir, the same whether there is one or
 * not, in any case of ASCII letters. No node of a store has bit 47 set.
 */
StoreNode fs_lock_file_node(StoreNode dir, const char *name);

/** Whether @node is the number of a lock file. */
bool fs_lock_file_is_node(StoreNode node);

FsLockFiles *fs_lock_files_new(void);

/** Removes them all; none may be held. NULL is a no-op. */
void fs_lock_files_free(FsLockFiles *files);

/**
 * Makes an empty lock file.
 *
 * Errors: -EEXIST if there is one of that name (or, once in 2^47, another with
 * its number); -EMFILE beyond FS_LOCK_FILES_MAX, -ENFILE beyond
 * FS_LOCK_FILES_ALL.
 * Ownership: the table's, until it is removed and no longer held.
 */
int fs_lock_file_create(FsLockFiles *files, const FsLockFileNew *wanted,
                        FsLockFile **ret_file);

/** The lock file @name in @dir, or NULL. */
FsLockFile *fs_lock_file_find(FsLockFiles *files, StoreNode dir,
                              const char *name);

/**
 * The lock file with number @node, or NULL. If none has the name any more, the
 * last to lose it of those held.
 */
FsLockFile *fs_lock_file_find_node(FsLockFiles *files, StoreNode node);

typedef void FsLockFileVisit(void *user_data, FsLockFile *file);

/** Shows the lock files in @dir, in no order. @visit must not remove any. */
void fs_lock_file_list(FsLockFiles *files, StoreNode dir,
                       FsLockFileVisit *visit, void *user_data);

/** How many lock files with a name @session has made. */
unsigned fs_lock_file_count(FsLockFiles *files, uint64_t session);

/** Takes the name from @file, which is gone then unless it is held. */
void fs_lock_file_remove(FsLockFile *file);

/** Removes all that @session made: it has ended. */
void fs_lock_file_end(FsLockFiles *files, uint64_t session);

/** A handle is opened, and closed, which may be the end of @file. */
void fs_lock_file_hold(FsLockFile *file);
void fs_lock_file_release(FsLockFile *file);

/** Reads up to @size bytes into @buf and returns how many there were. */
size_t fs_lock_file_read(const FsLockFile *file, uint64_t offset, void *buf,
                         size_t size);

/**
 * Errors: -EFBIG beyond FS_LOCK_FILE_SIZE_MAX, -ENOSPC beyond
 * FS_LOCK_FILE_BYTES_MAX or FS_LOCK_FILE_BYTES_ALL.
 */
int fs_lock_file_write(FsLockFile *file, uint64_t offset, const void *data,
                       size_t size, int64_t now_ns);

/** Errors: as for fs_lock_file_write(). */
int fs_lock_file_truncate(FsLockFile *file, uint64_t size, int64_t now_ns);

/** Sets what @set (of StoreAttrSet) says; as store_attr_set(). */
void fs_lock_file_set_attr(FsLockFile *file, const StoreAttr *attr,
                           unsigned set, int64_t now_ns);

/**
 * Extended attributes, as store.h has them.
 *
 * Errors: -ENODATA, -ERANGE, -EEXIST as there; -E2BIG and -ENOSPC beyond the
 * limits above.
 */
int fs_lock_file_xattr_get(const FsLockFile *file, const char *name, void *buf,
                           size_t size, size_t *ret_size);
int fs_lock_file_xattr_set(FsLockFile *file, const char *name,
                           const void *value, size_t size, int flags,
                           int64_t now_ns);
int fs_lock_file_xattr_list(const FsLockFile *file, char *buf, size_t size,
                            size_t *ret_size);
int fs_lock_file_xattr_remove(FsLockFile *file, const char *name,
                              int64_t now_ns);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsLockFiles, fs_lock_files_free)
