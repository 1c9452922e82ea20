/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "store/store.h"

/**
 * Traces: what one session does, request by request, in a file
 * STORE/trace-SESSION.log. They settle what was never published of the mail
 * programs: in which order they lock, read and write, and what they change in a
 * KEY. They have names, places and times, and no content but that of KEY and
 * lock files.
 *
 * A line is words of the form name=value; texts are in quotes, with escapes of
 * C. at= is the time since the trace began, in seconds, and call= the number of
 * the request, so that its answer is found:
 *
 *   at=0.001234 call=17 op=open path="/KEY/INQUEUE3.KEY" flags=rdwr
 *   at=0.001290 call=17 r=0
 *   at=0.002100 event=key path="/KEY/INQUEUE3.KEY" 030:00>02
 *
 * Threads: any; is_on and asking belong to who has the turn.
 */
typedef struct FsTrace {
	bool is_on; /* some session is traced; the rest is of no interest
	             * otherwise */
	struct FsTraceCall {
		uint64_t session;
		uint64_t number; /* 0: it is not traced */
	} asking;                /* what is being served */
	struct FsTraceTable *table;
} FsTrace;

typedef struct FsTraceCall FsTraceCall;

/** Most sessions that are traced at a time. */
#define FS_TRACE_SESSIONS_MAX 8

/** Bytes of a trace, beyond which it ends. */
#define FS_TRACE_SIZE_MAX ((size_t)64 << 20)

/** For the store directory @dir. Ownership: the caller frees it. */
FsTrace *fs_trace_new(const char *dir);

/** Ends all traces. NULL is a no-op. */
void fs_trace_free(FsTrace *trace);

/**
 * Begins to trace @session, whom @who describes in a line.
 *
 * Errors: -EALREADY, -EMFILE beyond FS_TRACE_SESSIONS_MAX, -EEXIST if the file
 * is there already, and those of creating it.
 */
int fs_trace_start(FsTrace *trace, uint64_t session, const char *who);

/** Ends the trace of @session. Errors: -ENOENT. */
int fs_trace_stop(FsTrace *trace, uint64_t session);

/** Ends all of them; returns how many. */
unsigned fs_trace_stop_all(FsTrace *trace);

/** The request that is being served, for the one FsCall that it begins with. */
static inline FsTraceCall
fs_trace_take(FsTrace *trace)
{
	FsTraceCall call = trace->asking;

	trace->asking.number = 0;
	return call;
}

/** Whether @session is traced: from now on, if it was expected. */
bool fs_trace_meet(FsTrace *trace, uint64_t session);

/* ---- a client that is expected -------------------------------------------*/

/** For how long, in microseconds, unless it is asked for again. */
#define FS_TRACE_EXPECT_US INT64_C(5000000)

/**
 * Has each session after @session traced from its first request on, until it is
 * known who it is, and it is kept or dropped. Where that goes on already, it
 * goes on for longer.
 */
void fs_trace_expect(FsTrace *trace, uint64_t session);

/** The sessions that are neither kept nor dropped yet, of uint64_t.
 * Ownership: the caller's. */
GArray *fs_trace_expected(const FsTrace *trace);

/** @session is the one that was expected, @who it is in a line; all others are
 * dropped, and no more expected. Errors: -ENOENT if it is not traced any more. */
int fs_trace_keep(FsTrace *trace, uint64_t session, const char *who);

/** It is another: its trace is deleted. */
void fs_trace_drop(FsTrace *trace, uint64_t session);

/**
 * Enters the request @op of @session, with the formatted words, and makes it
 * the one that is being served, if the session is traced.
 */
void fs_trace_ask(FsTrace *trace, uint64_t session, const char *op,
                  const char *format, ...) G_GNUC_PRINTF(4, 5);

/** Enters how @call was answered; @size bytes were read or written. */
void fs_trace_answer(FsTrace *trace, const FsTraceCall *call, int r,
                     size_t size);

/** Enters what has happened to @session. */
void fs_trace_event(FsTrace *trace, uint64_t session, const char *event);

/** @session is about to use the KEY file @node: it is remembered as it is. */
void fs_trace_key_begin(FsTrace *trace, uint64_t session, StoreNode node,
                        const uint8_t *key, size_t size);

/** It has used it: each byte that differs since then is entered. */
void fs_trace_key_end(FsTrace *trace, uint64_t session, StoreNode node,
                      const char *path, const uint8_t *key, size_t size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsTrace, fs_trace_free)
