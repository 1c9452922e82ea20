/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "fs/metrics.h"

/**
 * Mailbag locks: one session at a time has a mailbag, for as many forms as it
 * has asked, and the others stand in line. So it is with a file that only one
 * program may write (CONTROL.GLB). Pure: a key is any string, a session is a
 * number, and the time is told: every now_us is monotonic.
 *
 * Waiters are granted in order of arrival. One of them may be *absent*: smbd is
 * answered EAGAIN after a moment and asks again a second later, so that its
 * client is served meanwhile. Its place is kept, may be passed by a waiter who
 * is present, and lapses if it does not come back. Who makes a lock file cannot
 * be told to wait: it *tries*, and the lock is kept for it for a moment.
 *
 * No wait is for ever: it ends at its deadline, and is not begun if it would
 * close a circle of sessions that wait for each other.
 *
 * Threads: every function locks the table itself. A grant is called with the
 * table unlocked, on the thread that ended the wait, and may call the table.
 */
typedef struct FsMailbagLock FsMailbagLock;

/** How long a place is kept for one who is absent, in microseconds. */
#define FS_MAILBAG_ABSENT_US INT64_C(2500000)

/** How long a lock is kept for one who tries again, in microseconds. */
#define FS_MAILBAG_KEPT_US INT64_C(500000)

/** Most waits of one session; more are refused like a deadlock. */
#define FS_MAILBAG_WAITS_MAX 64

/** As park_us: stays until the deadline. */
#define FS_MAILBAG_STAYS INT64_MAX

/** Who asks for what, and when. */
typedef struct FsMailbagAsk {
	const char *key; /* copied */
	uint64_t session;
	int64_t now_us;
	int64_t park_us; /* is answered -EAGAIN after this, and comes back */
} FsMailbagAsk;

/** Names one parked wait; 0 is none. */
typedef uint64_t FsMailbagWait;

/**
 * Says how a parked wait ended: 0 if granted, -EAGAIN if it shall come back,
 * -ETXTBSY at the deadline, -EINTR if cancelled.
 */
typedef void FsMailbagGrant(void *user_data, int r);

/**
 * @wait_us: the time from the first ask to the deadline; 0: nobody waits.
 * @metrics, where waits and holds are counted, is borrowed; NULL: nowhere.
 */
FsMailbagLock *fs_mailbag_lock_new(int64_t wait_us, FsMetrics *metrics);

/** Frees @table; nothing may be parked in it. NULL is a no-op. */
void fs_mailbag_lock_free(FsMailbagLock *table);

/** A wait that came to nothing. */
typedef struct FsMailbagRefusal {
	const char *key;  /* borrowed */
	uint64_t session; /* has waited */
	int64_t waited_us;
	uint64_t holder; /* has the key; 0: nobody just now */
	int64_t held_us; /* for so long */
	bool is_circle;  /* it could never have ended; else its time was up */
} FsMailbagRefusal;

/** Told of a refusal as a grant is: with the table unlocked. */
typedef void FsMailbagRefused(void *user_data, const FsMailbagRefusal *refusal);

/** Calls @refused from now on; @user_data is borrowed. To be called before
 * anything is asked for. */
void fs_mailbag_lock_watch(FsMailbagLock *table, FsMailbagRefused *refused,
                           void *user_data);

/** Whether fs_mailbag_lock_try() would refuse. */
bool fs_mailbag_lock_is_elsewhere(FsMailbagLock *table, uint64_t session,
                                  const char *key, int64_t now_us);

/** Finds the session that has @key, be it detached: whether one has. */
bool fs_mailbag_lock_holder(FsMailbagLock *table, const char *key,
                            uint64_t *ret_session);

/** Whether @session has @key. */
bool fs_mailbag_lock_is_held(FsMailbagLock *table, uint64_t session,
                             const char *key);

/** The times of who has a mailbag, in microseconds. */
typedef struct FsMailbagTimes {
	int64_t since_us;  /* it has had it; monotonic */
	int64_t waited_us; /* before that, in the line; 0: it did not */
} FsMailbagTimes;

/** Tells them of @session; whether it has @key. */
bool fs_mailbag_lock_times(FsMailbagLock *table, uint64_t session,
                           const char *key, FsMailbagTimes *ret_times);

/** Whether @session has a place in any line. */
bool fs_mailbag_lock_is_waiting(FsMailbagLock *table, uint64_t session);

/** Whether a session that does not have @key has a place in the line. */
bool fs_mailbag_lock_is_wanted(FsMailbagLock *table, const char *key);

/**
 * Takes @key for @session, once more if it has it already.
 *
 * Errors: -ETXTBSY if another session has it, or if it is kept for one.
 */
int fs_mailbag_lock_try(FsMailbagLock *table, uint64_t session, const char *key,
                        int64_t now_us);

/**
 * As fs_mailbag_lock_try(), for one who cannot wait and tries again, perhaps
 * for ever. When it is refused, it takes a place in the line, or renews the one
 * it has: when its turn comes, the key is kept for it until FS_MAILBAG_KEPT_US
 * after its last attempt, and the place lapses FS_MAILBAG_ABSENT_US after that
 * attempt. It has no deadline. Where nobody waits there are no such places.
 */
int fs_mailbag_lock_attempt(FsMailbagLock *table, uint64_t session,
                            const char *key, int64_t now_us);

/**
 * As fs_mailbag_lock_try(), but parks the request while another session has the
 * key, and calls @grant exactly once, perhaps before this returns. *@ret_wait
 * is for fs_mailbag_lock_cancel(); 0 if @grant was called already.
 *
 * Errors: -ETXTBSY if nobody waits here, if waiting would close a circle, or if
 * the deadline passed while it was absent; @grant is then not called.
 * Ownership: @user_data is borrowed until @grant has been called.
 */
int fs_mailbag_lock_wait(FsMailbagLock *table, const FsMailbagAsk *ask,
                         FsMailbagGrant *grant, void *user_data,
                         FsMailbagWait *ret_wait);

/** Ends a parked wait with -EINTR; a no-op if it has ended already. */
void fs_mailbag_lock_cancel(FsMailbagLock *table, FsMailbagWait wait);

/**
 * Lets go of @key once; others get it when @session has done so as often as it
 * took it. A no-op if it has not, for its end may have come first.
 */
void fs_mailbag_lock_drop(FsMailbagLock *table, uint64_t session,
                          const char *key, int64_t now_us);

/**
 * Has @session, which has @key, keep it from itself, too, until it is dropped:
 * who asks for it then is anybody, and stands in line behind the others.
 */
void fs_mailbag_lock_detach(FsMailbagLock *table, uint64_t session,
                            const char *key);

/**
 * Ends all waits of @session with -ETXTBSY: it has ended, or is to give up.
 * What it has it keeps.
 */
void fs_mailbag_lock_leave(FsMailbagLock *table, uint64_t session,
                           int64_t now_us);

/** Ends what is due at @now_us. */
void fs_mailbag_lock_expire(FsMailbagLock *table, int64_t now_us);

/** When something will be due; INT64_MAX if nobody has a place. Ask again after
 * every wait and attempt. */
int64_t fs_mailbag_lock_due_us(FsMailbagLock *table);

/** Ends every wait with the error @r: nobody will grant them any more. */
void fs_mailbag_lock_stop(FsMailbagLock *table, int r);

/** How a session stands to a mailbag. */
typedef enum FsMailbagRowKind {
	FS_MAILBAG_HAS,
	FS_MAILBAG_WAITS, /* its request is parked */
	FS_MAILBAG_AWAY,  /* was told EAGAIN and comes back */
	FS_MAILBAG_TRIES, /* attempts again and again */
	FS_MAILBAG_KEPT,  /* so does this one, and the key is kept for it now */
} FsMailbagRowKind;

typedef struct FsMailbagRow {
	const char *key;
	FsMailbagRowKind kind;
	uint64_t session;
	unsigned count;   /* how often it has the key; 0 unless it has */
	int64_t since_us; /* it has it, or stands in the line */
} FsMailbagRow;

/** May keep nothing of @row, and must not call the table. */
typedef void FsMailbagVisit(void *user_data, const FsMailbagRow *row);

/**
 * Shows every key that somebody has or wants, in order: first who has it, if
 * anybody, then the line for it.
 */
void fs_mailbag_lock_list(FsMailbagLock *table, FsMailbagVisit *visit,
                          void *user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsMailbagLock, fs_mailbag_lock_free)
