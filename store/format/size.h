/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * How large a postoffice's files may be. Pure. All rules are documented [D]:
 * Q77926, Q132744, Q135868 and what a rule names besides.
 */

/** A rule: base + n * unit bytes, of which n is any number from 0 on. */
typedef struct FormatSizeRule {
	const char *path; /* in the postoffice; a pattern of fnmatch() */
	uint32_t base;    /* bytes */
	uint32_t unit;    /* bytes of a record, or 0: exactly base */
	uint32_t max;     /* bytes, or 0: no limit */

	/* Not so while directory synchronization works, nor after it did not
	 * finish. */
	bool is_when_idle;
	const char *articles; /* "Q77926, Q118619" */
} FormatSizeRule;

/**
 * The rule for the file @path in a postoffice ("KEY/0000000A.KEY"), in any
 * case; NULL if there is none.
 */
const FormatSizeRule *format_size_rule(const char *path);

/** Whether @size bytes keep to @rule. */
bool format_size_fits(const FormatSizeRule *rule, uint64_t size);

/**
 * The rule that the file @path with @size bytes breaks, or NULL if it breaks
 * none.
 */
const FormatSizeRule *format_size_check(const char *path, uint64_t size);

/**
 * What @rule asks for: "560 bytes", "116 bytes a record, at most 475136",
 * "4 bytes and 51 bytes a record", "empty".
 * Ownership: the caller frees it.
 */
char *format_size_text(const FormatSizeRule *rule);

/**
 * Whether ACCESS.GLB, ACCESS2.GLB and ACCESS3.GLB of these sizes in bytes have
 * the same number of records (Q77926) [D].
 */
bool format_size_access_agrees(uint64_t access, uint64_t access2,
                               uint64_t access3);
