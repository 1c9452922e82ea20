/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/key_learn.h"

#include <string.h>

#include <glib.h>

#include "store/format/mbg.h"

/* Records whose bits are in bytes that an order of words puts elsewhere: 0, 1,
 * 2 to 3, from 4 on. Each span ends where the next begins. */
static const uint32_t SPANS[] = { 0, 8, 16, 32, FORMAT_KEY_RECORDS_MAX };

/* Layouts at one place. */
#define CANDIDATES_AT 12

#define SEEN_BOTH (1U << FORMAT_RECORD_LIVE | 1U << FORMAT_RECORD_DELETED)

static FormatKeyLayout
candidate(size_t number)
{
	return (FormatKeyLayout){
		.offset = (uint32_t)(number / CANDIDATES_AT),
		.first_bit_is_lsb = number / 2 % 2 == 0,
		.one_is_deleted = number % 2 == 0,
		.word = 1U << number / 4 % 3,
	};
}

static bool
is_fit(const FormatKeyLayout *layout, const FormatKeySight *sight)
{
	uint32_t i;

	for (i = 0; i < sight->records; i++) {
		bool is_deleted = sight->states[i] == FORMAT_RECORD_DELETED;

		if (sight->states[i] != FORMAT_RECORD_UNKNOWN &&
		    format_key_is_deleted(sight->key, layout, i) != is_deleted)
			return false;
	}
	return true;
}

void
format_key_learn_init(FormatKeyLearn *learn)
{
	*learn = (FormatKeyLearn){ .is_out = { false } };
}

void
format_key_learn_add(FormatKeyLearn *learn, const FormatKeySight *sight)
{
	size_t i;

	g_assert(sight->records <= FORMAT_KEY_RECORDS_MAX);
	for (i = 0; i < FORMAT_KEY_CANDIDATES; i++) {
		FormatKeyLayout layout = candidate(i);

		if (!is_fit(&layout, sight))
			learn->is_out[i] = true;
	}
	for (i = 0; i < sight->records; i++)
		learn->seen[i] |= (uint8_t)(1U << sight->states[i]);
}

unsigned
format_key_learn_count(const FormatKeyLearn *learn)
{
	unsigned count = 0;
	size_t i;

	for (i = 0; i < FORMAT_KEY_CANDIDATES; i++)
		count += !learn->is_out[i];
	return count;
}

bool
format_key_learn_next(const FormatKeyLearn *learn, size_t *at,
                      FormatKeyLayout *ret_layout)
{
	while (*at < FORMAT_KEY_CANDIDATES && learn->is_out[*at])
		++*at;
	if (*at == FORMAT_KEY_CANDIDATES)
		return false;
	*ret_layout = candidate((*at)++);
	ret_layout->is_confirmed = format_key_learn_is_settled(learn);
	return true;
}

bool
format_key_learn_wants(const FormatKeyLearn *learn, uint32_t *ret_begin,
                       uint32_t *ret_end)
{
	size_t span;

	for (span = 0; span + 1 < G_N_ELEMENTS(SPANS); span++) {
		uint32_t record = SPANS[span];
		uint32_t end = SPANS[span + 1];

		while (record < end &&
		       (learn->seen[record] & SEEN_BOTH) != SEEN_BOTH)
			record++;
		if (record == end) {
			*ret_begin = SPANS[span];
			*ret_end = end;
			return true;
		}
	}
	return false;
}

uint32_t
format_key_learn_span_end(uint32_t record)
{
	size_t span = 1;

	g_assert(record < FORMAT_KEY_RECORDS_MAX);
	while (SPANS[span] <= record)
		span++;
	return SPANS[span];
}

bool
format_key_learn_is_settled(const FormatKeyLearn *learn)
{
	uint32_t begin;
	uint32_t end;

	return format_key_learn_count(learn) == 1 &&
	       !format_key_learn_wants(learn, &begin, &end);
}

uint32_t
format_key_learn_delivered(const uint8_t *before, size_t before_size,
                           const uint8_t *after, size_t after_size,
                           uint8_t *states)
{
	uint32_t old = format_mbg_count(before_size);
	uint32_t now = format_mbg_count(after_size);
	uint32_t delivered = 0;
	uint32_t i;

	if (now < old) {
		memset(states, FORMAT_RECORD_UNKNOWN, FORMAT_KEY_RECORDS_MAX);
		return 0;
	}
	for (i = 0; i < now; i++) {
		size_t offset = (size_t)i * FORMAT_MBG_RECORD_SIZE;

		if (i >= old ||
		    !format_mbg_is_same(before + offset, after + offset)) {
			states[i] = FORMAT_RECORD_LIVE;
			delivered++;
		}
	}
	return delivered;
}
