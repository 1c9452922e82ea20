/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/format/key.h"

/**
 * Which layout KEY files have, by watching a mailbag whose records are known
 * to be there or to be deleted (the experiment that no article describes: send
 * some messages, delete one, look). Pure.
 *
 * Every layout that key.h can describe is a candidate: 49 places, two orders of
 * bits, two meanings of 1, bytes in order or in words of 2 or 4. What was seen
 * rules out those that do not fit. One that is left is believed only when it has
 * foretold a deletion in each span of records that another order of bytes would
 * put elsewhere: the first eight, the next eight, then up to the 32nd, and after
 * it. Else an order that key.h does not describe could look the same.
 *
 * Threads: one at a time.
 */

/** What is known of a record, without the KEY. */
typedef enum FormatRecordState {
	FORMAT_RECORD_UNKNOWN,
	FORMAT_RECORD_LIVE,
	FORMAT_RECORD_DELETED,
} FormatRecordState;

/** A mailbag as it was at some time. */
typedef struct FormatKeySight {
	const uint8_t *key; /* FORMAT_KEY_SIZE bytes, borrowed */
	const uint8_t
		*states;  /* a FormatRecordState of each record, borrowed */
	uint32_t records; /* FORMAT_KEY_RECORDS_MAX at most */
} FormatKeySight;

/** Layouts that key.h can describe. */
#define FORMAT_KEY_CANDIDATES \
	((size_t)(FORMAT_KEY_SIZE - FORMAT_KEY_BITMAP_SIZE + 1) * 2 * 2 * 3)

/** What was learnt so far. */
typedef struct FormatKeyLearn {
	bool is_out[FORMAT_KEY_CANDIDATES];
	uint8_t seen[FORMAT_KEY_RECORDS_MAX]; /* 1 << FormatRecordState, of
	                                       * each record */
} FormatKeyLearn;

/** Begins with all candidates. */
void format_key_learn_init(FormatKeyLearn *learn);

/** Rules out what does not fit @sight. */
void format_key_learn_add(FormatKeyLearn *learn, const FormatKeySight *sight);

/** How many candidates are left. */
unsigned format_key_learn_count(const FormatKeyLearn *learn);

/**
 * Finds the next candidate that is left; *@at is 0 at first. Returns false if
 * there are no more. Its is_confirmed is whether it is settled.
 */
bool format_key_learn_next(const FormatKeyLearn *learn, size_t *at,
                           FormatKeyLayout *ret_layout);

/**
 * Finds the first span of records, from *@ret_begin to before *@ret_end, in
 * which no record was both there and deleted: a deletion there is wanted.
 * Returns false if there is none.
 */
bool format_key_learn_wants(const FormatKeyLearn *learn, uint32_t *ret_begin,
                            uint32_t *ret_end);

/** Where the span of records that @record is in ends: before that record. */
uint32_t format_key_learn_span_end(uint32_t record);

/** Whether one candidate is left that may be believed. */
bool format_key_learn_is_settled(const FormatKeyLearn *learn);

/**
 * Brings @states of FORMAT_KEY_RECORDS_MAX records up to date after messages
 * were delivered: each record of the MBG @after (of @after_size bytes) that is
 * new or of another message than in @before is live now. If there are fewer than before,
 * the mailbag was compressed, and nothing is known of any.
 *
 * Returns how many have become live.
 */
uint32_t format_key_learn_delivered(const uint8_t *before, size_t before_size,
                                    const uint8_t *after, size_t after_size,
                                    uint8_t *states);
