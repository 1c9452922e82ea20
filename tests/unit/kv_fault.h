/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/kv.h"

/**
 * An engine in memory that fails when it is told to: the other
 * implementation of kv.h.
 */

/** What outlives the engine, as a disk does. */
typedef struct KvFaultDisk KvFaultDisk;

KvFaultDisk *kv_fault_disk_new(void);
void kv_fault_disk_free(KvFaultDisk *disk);

/** How a call may fail. */
typedef enum KvFaultKind {
	KV_FAULT_NONE,
	KV_FAULT_IO,      /* the call fails and has no effect */
	KV_FAULT_NOSPACE, /* a commit finds no room; other calls are well */
	KV_FAULT_UNKNOWN_DONE, /* a commit fails, but is there after a reopen */
	KV_FAULT_UNKNOWN_LOST, /* a commit fails, and is not */
	KV_FAULT_UNSETTLED,    /* a commit fails, is there after a reopen, and
	                     * nobody knows whether it is on disk */
	KV_FAULT_KINDS,
} KvFaultKind;

/**
 * Plans a failure of the call number @at, counted from 1 and from now on, of
 * any function but those that end something. 0 plans none.
 */
void kv_fault_plan(KvFaultDisk *disk, KvFaultKind kind, uint64_t at);

/** Makes the next @count reopens fail. */
void kv_fault_fail_reopens(KvFaultDisk *disk, unsigned count);

/** Makes the next @count snapshots fail. */
void kv_fault_fail_snapshots(KvFaultDisk *disk, unsigned count);
/** So, but @good others come first. */
void kv_fault_fail_later_snapshots(KvFaultDisk *disk, unsigned good,
                                   unsigned count);

/** Makes the next @count commits, at most KV_FAULT_COMMITS, end as @kinds says,
 * one after the other; no plan counts for them. */
#define KV_FAULT_COMMITS 8
void kv_fault_end_commits(KvFaultDisk *disk, const KvFaultKind *kinds,
                          unsigned count);

/** Answers each commit on a thread of its own, or on the caller's again. */
void kv_fault_answer_later(KvFaultDisk *disk, bool is_later);

/** Makes every commit and reopen fail until told otherwise. */
void kv_fault_break(KvFaultDisk *disk, bool is_broken);

/**
 * Makes every commit wait until told otherwise; kv_fault_await_held() returns
 * when one does.
 */
void kv_fault_hold(KvFaultDisk *disk, bool is_held);
void kv_fault_await_held(KvFaultDisk *disk);

/** Leaves no room for batches of more than @bytes, keys and values; 0: any. */
void kv_fault_limit(KvFaultDisk *disk, size_t bytes);

/** Makes kv_room() fail until told otherwise. */
void kv_fault_hide_room(KvFaultDisk *disk, bool is_hidden);

/** Makes kv_room() tell of so much room, in bytes; 0: of plenty. */
void kv_fault_leave_room(KvFaultDisk *disk, uint64_t bytes);

/** How many calls were made since the plan. */
uint64_t kv_fault_calls(const KvFaultDisk *disk);

/** How many commits have succeeded since the disk is new. */
uint64_t kv_fault_commits(const KvFaultDisk *disk);

/** Opens an engine on @disk, one at a time. Ownership: kv_close(). */
Kv *kv_fault_open(KvFaultDisk *disk);

/** From now on no other engine than @kv can write to its disk. */
void kv_fault_lead(Kv *kv);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KvFaultDisk, kv_fault_disk_free)
