/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * KEY files: which records of a mailbag's MBG are deleted. Pure.
 *
 * Certain [D]: 560 bytes, any other size is damage (Q77926, Q118619); counters
 * of new and of unread messages, and a bitmap of the MBG's deleted records,
 * are somewhere in it (Q77926); the bitmap has 512 bytes, one bit for each of
 * at most 4096 records (Q119088, Q138054); a record is deleted nowhere else
 * (Q77926); all zero with an MBG of 0 bytes is a valid empty mailbag (Q104279,
 * Q123319). So 48 bytes are something else [I]; they stay opaque.
 *
 * Not public: where the bitmap begins, which bit of a byte and which byte of a
 * word comes first, and what 1 means. That is why every function takes a layout. Whatever follows
 * from a layout that is not confirmed is to be shown as "assumed".
 */

/** Bytes of a KEY file (Q77926) [D]. */
#define FORMAT_KEY_SIZE 560

/** Bytes of its bitmap (Q119088) [D]. */
#define FORMAT_KEY_BITMAP_SIZE 512

/** Records that a mailbag can have (Q119088, Q138054) [D]. */
#define FORMAT_KEY_RECORDS_MAX 4096

/** How the bitmap lies in a KEY file. */
typedef struct FormatKeyLayout {
	uint32_t offset;       /* of the bitmap, in bytes: 0 to 48 */
	bool first_bit_is_lsb; /* record 0 is bit 0 of its byte, not bit 7 */
	bool one_is_deleted;   /* a deleted record's bit is 1, not 0 */
	uint32_t word;         /* the bytes of each word of 2 or 4 are in the
	                        * opposite order; 0 or 1: all are in order */
	bool is_confirmed;     /* by observation, not assumed */
} FormatKeyLayout;

/**
 * What to assume until somebody has looked: the bitmap comes last, at 0x30
 * [G], the least significant bit and byte first [G], and 1 is deleted ([I] from "delete
 * bit", "bitmap of deleted headers": Q119088, Q77926, Q120220).
 */
extern const FormatKeyLayout FORMAT_KEY_LAYOUT_ASSUMED;

/**
 * Whether @record (below FORMAT_KEY_RECORDS_MAX) is deleted in @key, which has
 * FORMAT_KEY_SIZE bytes.
 */
bool format_key_is_deleted(const uint8_t *key, const FormatKeyLayout *layout,
                           uint32_t record);

/** Marks @record of @key as deleted or not; changes that one bit. */
void format_key_set_deleted(uint8_t *key, const FormatKeyLayout *layout,
                            uint32_t record, bool is_deleted);

/**
 * How many of the first @records records are not deleted; records above
 * FORMAT_KEY_RECORDS_MAX have no bit and are not counted.
 */
uint32_t format_key_count_live(const uint8_t *key,
                               const FormatKeyLayout *layout, uint32_t records);

/**
 * Where a new message goes in a mailbag whose MBG has @records records: to the
 * first deleted one (Q77926, Q147586) [D], else to a new one at the end, whose
 * number is @records. FORMAT_KEY_RECORDS_MAX: nowhere, the mailbag is full.
 */
uint32_t format_key_find_vacant(const uint8_t *key,
                                const FormatKeyLayout *layout,
                                uint32_t records);

/** Whether all bytes of @key are zero: with an empty MBG, an empty mailbag. */
bool format_key_is_zero(const uint8_t *key);

/**
 * Sets one property of @layout from words: "offset" to 0..48 (decimal, or
 * hexadecimal after 0x), "order" to "lsb" or "msb", "deleted" to "0" or "1",
 * "word" to "1", "2" or "4", "confirmed" to "yes" or "no".
 *
 * Returns 0, -ENOENT if there is no such property, -EINVAL if it cannot have
 * that value.
 */
int format_key_layout_set(FormatKeyLayout *layout, const char *property,
                          const char *value);

/**
 * Reads a layout as format_key_layout_print() writes it; what is not named is
 * as assumed.
 *
 * Returns 0, or what format_key_layout_set() does.
 */
int format_key_layout_parse(const char *text, FormatKeyLayout *ret_layout);

/**
 * "offset=48 order=lsb deleted=1 confirmed=no"; where words matter, with
 * "word=2".
 * Ownership: the caller frees it.
 */
char *format_key_layout_print(const FormatKeyLayout *layout);
