/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/format/key_learn.h"
#include "store/format/mbg.h"

/* A mailbag of a layout that the learner does not know. */
typedef struct Mailbag {
	FormatKeyLayout layout;
	bool swaps_words; /* of 16 bits in 32: an order that is not known */
	uint8_t key[FORMAT_KEY_SIZE];
	uint8_t mbg[40 * FORMAT_MBG_RECORD_SIZE];
	uint8_t states[FORMAT_KEY_RECORDS_MAX];
	uint32_t records;
	FormatKeyLearn learn;
} Mailbag;

/* Counters stand before the bitmap and after it, and count. */
static void
count(Mailbag *mailbag, int difference)
{
	size_t at =
		mailbag->layout.offset >= 8 ? 0 : FORMAT_KEY_BITMAP_SIZE + 8;

	mailbag->key[at] = (uint8_t)(mailbag->key[at] + difference);
	mailbag->key[at + 4]++;
}

static void
set(Mailbag *mailbag, uint32_t record, bool is_deleted)
{
	format_key_set_deleted(mailbag->key, &mailbag->layout,
	                       mailbag->swaps_words ? record ^ 16 : record,
	                       is_deleted);
}

static void
look(Mailbag *mailbag)
{
	FormatKeySight sight = { mailbag->key, mailbag->states,
		                 mailbag->records };

	format_key_learn_add(&mailbag->learn, &sight);
}

static void
deliver(Mailbag *mailbag, uint32_t messages)
{
	g_autofree uint8_t *before =
		g_memdup2(mailbag->mbg, sizeof(mailbag->mbg));
	uint32_t old = mailbag->records;

	for (; messages > 0; messages--) {
		mailbag->mbg[(size_t)mailbag->records * FORMAT_MBG_RECORD_SIZE +
		             2] = 'A';
		set(mailbag, mailbag->records, false);
		mailbag->records++;
		count(mailbag, 1);
	}
	assert_int_equal(
		format_key_learn_delivered(
			before, (size_t)old * FORMAT_MBG_RECORD_SIZE,
			mailbag->mbg,
			(size_t)mailbag->records * FORMAT_MBG_RECORD_SIZE,
			mailbag->states),
		mailbag->records - old);
	look(mailbag);
}

static void
erase(Mailbag *mailbag, uint32_t record)
{
	set(mailbag, record, true);
	mailbag->states[record] = FORMAT_RECORD_DELETED;
	count(mailbag, -1);
	look(mailbag);
}

static Mailbag *
mailbag_new(const FormatKeyLayout *layout)
{
	Mailbag *mailbag = g_new0(Mailbag, 1);

	mailbag->layout = *layout;
	format_key_learn_init(&mailbag->learn);
	look(mailbag);
	return mailbag;
}

/* Nothing is settled, and a deletion between these records is wanted next. */
static void
wants(const Mailbag *mailbag, uint32_t begin, uint32_t end)
{
	uint32_t wanted[2];

	assert_false(format_key_learn_is_settled(&mailbag->learn));
	assert_true(format_key_learn_wants(&mailbag->learn, &wanted[0],
	                                   &wanted[1]));
	assert_int_equal(wanted[0], begin);
	assert_int_equal(wanted[1], end);
	assert_int_equal(format_key_learn_span_end(begin), end);
	assert_int_equal(format_key_learn_span_end(end - 1), end);
}

/* The steps that an administrator is asked for. */
static void
run_steps(Mailbag *mailbag)
{
	deliver(mailbag, 1);
	deliver(mailbag, 3);
	erase(mailbag, 1);
	wants(mailbag, 8, 16);
	deliver(mailbag, 6);
	erase(mailbag, 8);
	wants(mailbag, 16, 32);
	deliver(mailbag, 8);
	erase(mailbag, 16);
	wants(mailbag, 32, FORMAT_KEY_RECORDS_MAX);
	deliver(mailbag, 16);
	erase(mailbag, 32);
}

static void
every_layout_is_found(void **state)
{
	unsigned number;

	for (number = 0; number < FORMAT_KEY_CANDIDATES; number++) {
		FormatKeyLayout layout = {
			.offset = number / 12,
			.first_bit_is_lsb = number % 2 == 0,
			.one_is_deleted = number / 2 % 2 == 0,
			.word = 1U << number / 4 % 3,
		};
		g_autofree Mailbag *mailbag = mailbag_new(&layout);
		FormatKeyLayout found;
		size_t at = 0;

		run_steps(mailbag);
		assert_int_equal(format_key_learn_count(&mailbag->learn), 1);
		assert_true(format_key_learn_is_settled(&mailbag->learn));
		assert_true(
			format_key_learn_next(&mailbag->learn, &at, &found));
		assert_int_equal(found.offset, layout.offset);
		assert_int_equal(found.first_bit_is_lsb,
		                 layout.first_bit_is_lsb);
		assert_int_equal(found.one_is_deleted, layout.one_is_deleted);
		assert_int_equal(found.word, layout.word);
		assert_true(found.is_confirmed);
		assert_false(
			format_key_learn_next(&mailbag->learn, &at, &found));
	}
}

static void
nothing_is_ruled_out_by_what_is_unknown(void **state)
{
	g_autofree Mailbag *mailbag = mailbag_new(&FORMAT_KEY_LAYOUT_ASSUMED);

	mailbag->records = 9;
	look(mailbag);
	assert_int_equal(format_key_learn_count(&mailbag->learn),
	                 FORMAT_KEY_CANDIDATES);
	assert_false(format_key_learn_is_settled(&mailbag->learn));
}

static void
messages_alone_settle_nothing(void **state)
{
	g_autofree Mailbag *mailbag = mailbag_new(&FORMAT_KEY_LAYOUT_ASSUMED);
	FormatKeyLayout left;
	size_t at = 0;

	deliver(mailbag, 20);
	assert_true(format_key_learn_count(&mailbag->learn) > 1);
	assert_true(format_key_learn_next(&mailbag->learn, &at, &left));
	assert_false(left.is_confirmed);
}

/* With few messages, words in another order look like a bitmap that begins two
 * bytes later; with more they fit nothing. */
static void
another_order_of_words_is_not_believed(void **state)
{
	g_autofree Mailbag *mailbag = mailbag_new(&FORMAT_KEY_LAYOUT_ASSUMED);

	mailbag->layout.offset = 0x20;
	mailbag->swaps_words = true;
	deliver(mailbag, 1);
	deliver(mailbag, 3);
	erase(mailbag, 1);
	deliver(mailbag, 6);
	erase(mailbag, 8);
	assert_int_equal(format_key_learn_count(&mailbag->learn), 1);
	assert_false(format_key_learn_is_settled(&mailbag->learn));
	deliver(mailbag, 8);
	erase(mailbag, 16);
	assert_int_equal(format_key_learn_count(&mailbag->learn), 0);
	assert_false(format_key_learn_is_settled(&mailbag->learn));
}

/* What is opaque may change when a message is read: it is the same. */
static void
a_message_that_was_read_is_no_new_one(void **state)
{
	uint8_t before[FORMAT_MBG_RECORD_SIZE] = { 0 };
	uint8_t after[FORMAT_MBG_RECORD_SIZE] = { 0 };
	uint8_t states[FORMAT_KEY_RECORDS_MAX] = { FORMAT_RECORD_DELETED };
	static const size_t opaque[] = { 0, 1, 0x36, 0x37, 0x42, 0x4C, 0x73 };
	static const size_t known[] = { 2,    0x0C, 0x0D, 0x35,
		                        0x38, 0x41, 0x43, 0x4B };
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(opaque); i++)
		after[opaque[i]] = 1;
	assert_int_equal(format_key_learn_delivered(before, sizeof(before),
	                                            after, sizeof(after),
	                                            states),
	                 0);
	assert_int_equal(states[0], FORMAT_RECORD_DELETED);
	for (i = 0; i < G_N_ELEMENTS(known); i++) {
		after[known[i]] = 1;
		assert_false(format_mbg_is_same(before, after));
		after[known[i]] = 0;
	}
}

static void
deliveries_are_seen_in_the_mailbag(void **state)
{
	uint8_t before[4 * FORMAT_MBG_RECORD_SIZE] = { 0 };
	uint8_t after[sizeof(before)] = { 0 };
	uint8_t states[FORMAT_KEY_RECORDS_MAX] = {
		[0] = FORMAT_RECORD_DELETED,
		[1] = FORMAT_RECORD_DELETED,
	};
	const size_t two = (size_t)2 * FORMAT_MBG_RECORD_SIZE;

	/* A vacant record is used again, and one comes after the last; what is
	 * not a whole record is none. */
	after[FORMAT_MBG_RECORD_SIZE + 5] = 'x';
	assert_int_equal(format_key_learn_delivered(
				 before, two, after,
				 two + FORMAT_MBG_RECORD_SIZE + 1, states),
	                 2);
	assert_int_equal(states[0], FORMAT_RECORD_DELETED);
	assert_int_equal(states[1], FORMAT_RECORD_LIVE);
	assert_int_equal(states[2], FORMAT_RECORD_LIVE);
	assert_int_equal(states[3], FORMAT_RECORD_UNKNOWN);

	assert_int_equal(format_key_learn_delivered(after, sizeof(after), after,
	                                            two, states),
	                 0);
	assert_int_equal(states[1], FORMAT_RECORD_UNKNOWN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_layout_is_found),
		cmocka_unit_test(nothing_is_ruled_out_by_what_is_unknown),
		cmocka_unit_test(messages_alone_settle_nothing),
		cmocka_unit_test(another_order_of_words_is_not_believed),
		cmocka_unit_test(a_message_that_was_read_is_no_new_one),
		cmocka_unit_test(deliveries_are_seen_in_the_mailbag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
