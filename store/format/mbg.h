/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * MBG files: the headers of a mailbag's messages, one record each. Pure.
 *
 * A record says nothing of whether it is deleted; the KEY does. Deleted
 * records keep their old content, so a fault in one is no damage (Q77926).
 */

/** Bytes of a record (Q77926, Q132744) [D]. */
#define FORMAT_MBG_RECORD_SIZE 116

/** Largest MBG file, in bytes: 4096 records (Q119088, Q138054) [D]. */
#define FORMAT_MBG_SIZE_MAX 475136

/**
 * A record; arrays are as on disk. The places are read off the published dump
 * of two records (Q108027) [X] unless another source is named.
 */
typedef struct FormatMbgRecord {
	uint8_t opaque_00[2];  /* 0x00: zero in the dump; flags? [G] */
	uint8_t sender[11];    /* 0x02: mailbox, NUL-terminated text [X] */
	uint8_t subject[41];   /* 0x0D: text [X]; at most 40 characters and a
	                        * NUL ([I] from Q97025) */
	uint8_t opaque_36[2];  /* 0x36: zero in the dump; priority? [G] */
	uint16_t minute;       /* 0x38 [X] */
	uint16_t hour;         /* 0x3A [X] */
	uint16_t day;          /* 0x3C: of the month, from 1 [X] */
	uint16_t month;        /* 0x3E: from 1 [X] */
	uint16_t year;         /* 0x40: all four digits [X] */
	uint8_t opaque_42[1];  /* 0x42: zero in the dump */
	uint8_t stem[9];       /* 0x43: name of the MAI, and of the P1 in an
	                        * inqueue, 8 hexadecimal digits and a NUL: "54
	                        * bytes after the first character of the
	                        * subject" (Q108027, Q85058) [D] */
	uint8_t opaque_4c[2];  /* 0x4C: zero in the dump; attachments? [G] */
	uint32_t size_guess;   /* 0x4E: 552 and 554 in the dump; the message's
	                        * size in bytes? [G] */
	uint8_t opaque_52[34]; /* 0x52: zero, but for 24 as u32 at 0x58 and a
	                        * u32 that differs at 0x6C: a check value
	                        * (Q107756) or message id (Q131523)? [G] */
} FormatMbgRecord;

/** What is wrong with a record; a set of them is an unsigned. */
typedef enum FormatMbgFault {
	FORMAT_MBG_BAD_STEM = 1 << 0,
	FORMAT_MBG_BAD_TIME = 1 << 1, /* minute, hour, day, month or year */
	FORMAT_MBG_BAD_SENDER = 1 << 2,
	FORMAT_MBG_BAD_SUBJECT = 1 << 3,
	FORMAT_MBG_ODD_SUBJECT = 1 << 4, /* graphics characters */
} FormatMbgFault;

/** How many whole records @size bytes of MBG hold, 4096 at most. */
uint32_t format_mbg_count(uint64_t size);

/** Reads the FORMAT_MBG_RECORD_SIZE bytes at @bytes; any bytes will do. */
void format_mbg_decode(const uint8_t *bytes, FormatMbgRecord *ret_record);

/**
 * Writes @record to the FORMAT_MBG_RECORD_SIZE bytes @ret_bytes. What
 * format_mbg_decode() read becomes the same bytes again.
 */
void format_mbg_encode(const FormatMbgRecord *record, uint8_t *ret_bytes);

/**
 * Whether byte @at of a record is of its sender, subject, time or stem, which
 * tell one message from another; the rest is opaque.
 */
bool format_mbg_is_telling(size_t at);

/**
 * Whether two records are of one message: what tells messages apart is the same.
 * What is opaque may change when it is read [G].
 */
bool format_mbg_is_same(const uint8_t *a, const uint8_t *b);

/**
 * A record from its parts; texts are UTF-8 and cut to what fits, @time_us is
 * in microseconds since 1970 and becomes local time, @stem is 8 hexadecimal
 * digits. What is opaque, and the size, is zero: what the programs make of
 * that is not published [G] (a rebuild by hand needs the right MAI name and a
 * matching KEY only, Q87417 [D]).
 */
void format_mbg_make(const char *sender, const char *subject, int64_t time_us,
                     const char *stem, FormatMbgRecord *ret_record);

/** The sender's mailbox as UTF-8. Ownership: the caller frees it. */
char *format_mbg_sender(const FormatMbgRecord *record);

/** The subject as UTF-8. Ownership: the caller frees it. */
char *format_mbg_subject(const FormatMbgRecord *record);

/**
 * The stem of the record's MAI. Ownership: the caller frees it.
 * Returns NULL if it is none (FORMAT_MBG_BAD_STEM).
 */
char *format_mbg_stem(const FormatMbgRecord *record);

/**
 * When the message was delivered, in microseconds since 1970. On disk it is
 * the local time of the station that delivered it, without its zone (Q119089,
 * Q133192) [D]: this machine's zone is assumed.
 *
 * Returns 0, or -EINVAL if it is no time (FORMAT_MBG_BAD_TIME).
 */
int format_mbg_time(const FormatMbgRecord *record, int64_t *ret_time_us);

/** What is wrong with @record: FormatMbgFault flags, 0 if nothing is. */
unsigned format_mbg_faults(const FormatMbgRecord *record);

/**
 * A sentence for the lowest fault in the set @faults, "" if it is empty; go on
 * with faults & (faults - 1).
 */
const char *format_mbg_fault_text(unsigned faults);

/** The article that the rule for that fault comes from, or "". */
const char *format_mbg_fault_article(unsigned faults);
