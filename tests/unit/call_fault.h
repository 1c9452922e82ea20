/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/**
 * Calls of LMDB, of the C library and of GLib that fail when they are told to.
 * The linker puts call_fault.c between the store and what it calls, where a
 * test is linked with --wrap; see meson.build.
 */

/* Of LMDB's own errors, as lmdb.h has them. */
#define LMDB_PAGE_NOTFOUND (-30797)
#define LMDB_CORRUPTED     (-30796)
#define LMDB_PANIC         (-30795)
#define LMDB_TXN_FULL      (-30788)
#define LMDB_CURSOR_FULL   (-30787)
#define LMDB_BAD_TXN       (-30782)
#define LMDB_INVALID       (-30793)

/** All calls succeed from now on. */
void fail_none(void);

/**
 * The call number @at of @name, from now on, fails with @code: what LMDB's
 * functions return, errno of others; 0 there: it does less than asked for. A
 * read of both meta pages is called "settle".
 */
void fail_call(const char *name, unsigned at, int code);
