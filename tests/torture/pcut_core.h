/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "tests/torture/pcut.h"

/**
 * What the replaced calls of pcut.c share: the log, what is below the
 * directory, and what a test asks for. Private to the library.
 */

/** An open file or directory of ours. */
typedef struct PcutFile {
	uint64_t node; /* 0: none of ours */
	bool is_durable;
} PcutFile;

/** Held over a call and its record. */
extern pthread_mutex_t pcut_mutex;

/** Ends the program: its log would not be complete. */
void __attribute__((noreturn)) pcut_give_up(const char *why);

/** Appends @record with the first @size bytes of @iov, or with @name. */
void pcut_append(PcutRecord record, const struct iovec *iov, int count,
                 size_t size);
void pcut_append_name(PcutRecord record, const char *name);

/** Whether @st is of a directory of ours; makes it one. */
bool pcut_is_directory(const struct stat *st);
void pcut_add_directory(uint64_t node);

/**
 * Parts @path; *@ret_name points into it. Returns the node of the directory
 * that it is in, 0 if that is none of ours.
 */
uint64_t pcut_find_parent(int dir_fd, const char *path, const char **ret_name);

/** Notes what is open as @fd, or with @node 0 that nothing of ours is. */
void pcut_set_file(int fd, uint64_t node, bool is_durable);

/** The file of ours that is open as @fd, or NULL. */
const PcutFile *pcut_find_file(int fd);

/** Notes that this process writes: its calls count, and it may be killed. */
void pcut_note_writer(void);

/** Called before each call that may change something, ours or not. */
void pcut_count_call(bool is_ours);

/** Called once for each sync, or write, of our files. */
bool pcut_is_sync_to_fail(void);
bool pcut_is_write_to_be_short(void);

/** Called once for each call of @kind: whether it fails. Then errno is set. */
bool pcut_fails(PcutKind kind);

/** Whether syncs do nothing. */
bool pcut_is_lying(void);
