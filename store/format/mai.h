/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * MAI files: messages, as elements of FIPS PUB 98 (RFC 841, Q93239). Pure.
 *
 * Tags and lengths are clear, strings are enciphered (Q130322) [D] and stay
 * opaque. The parser is tolerant, for only one file is published (Q104423, from
 * 0x0B on): fields in any order, repeated, of any id; vendor-defined ones may
 * hold elements or anything else. It reads no byte beyond the file, nests
 * FORMAT_MAI_DEPTH_MAX deep at most, and allocates nothing.
 */

/** Bytes before the first element of a file that is no FIPS message: the
 * header and the owner count (Q104423) [X]. */
#define FORMAT_MAI_LIST_OFFSET 0x0D

/** Where the owner count is, a u16 (Q104423) [D]. */
#define FORMAT_MAI_OWNERS_OFFSET 0x0B

/** Levels of elements in elements that are looked at. */
#define FORMAT_MAI_DEPTH_MAX 8

/** Identifiers of elements, without their property bit (RFC 841) [D]. */
typedef enum FormatMaiId {
	FORMAT_MAI_NO_OP = 0x00,
	FORMAT_MAI_END_OF_CONSTRUCTOR = 0x01,
	FORMAT_MAI_ASCII = 0x02,
	FORMAT_MAI_UNIQUE_ID = 0x09,
	FORMAT_MAI_SEQUENCE = 0x0A,
	FORMAT_MAI_SET = 0x0B,
	FORMAT_MAI_INTEGER = 0x20, /* little-endian here (Q104423) [X] */
	FORMAT_MAI_PROPERTY_LIST = 0x24,
	FORMAT_MAI_DATE = 0x28,
	FORMAT_MAI_PROPERTY = 0x45,
	FORMAT_MAI_FIELD = 0x4C,
	FORMAT_MAI_MESSAGE = 0x4D,
	FORMAT_MAI_VENDOR = 0x7F,
} FormatMaiId;

/** Ids of fields, the qualifiers of FORMAT_MAI_FIELD (RFC 841) [D]. */
typedef enum FormatMaiField {
	FORMAT_MAI_FROM = 0x01,
	FORMAT_MAI_POSTED_DATE = 0x02,
	FORMAT_MAI_TEXT = 0x04,
	FORMAT_MAI_TO = 0x05,
	FORMAT_MAI_CC = 0x06,
	FORMAT_MAI_SUBJECT = 0x07,
	FORMAT_MAI_ATTACHMENTS = 0x08,
} FormatMaiField;

/** What a qualifier says. */
typedef enum FormatMaiQualifier {
	FORMAT_MAI_UNQUALIFIED,      /* such elements have none */
	FORMAT_MAI_QUALIFIED,        /* the number in qualifier */
	FORMAT_MAI_UNDEFINED,        /* "undefined" */
	FORMAT_MAI_VENDOR_QUALIFIED, /* a number of the vendor's */
} FormatMaiQualifier;

/** An element. Offsets are in the file, all sizes in bytes. */
typedef struct FormatMaiElement {
	uint8_t id; /* FormatMaiId or another, without its property bit */
	bool has_properties; /* the first child is its property list */
	bool is_indefinite;  /* ends with an end-of-constructor */
	bool has_children;   /* what it contains comes next, one deeper */
	bool is_vendors;     /* within an element that a vendor defined */
	FormatMaiQualifier has_qualifier;
	uint32_t qualifier; /* the last 4 octets of a longer one */
	unsigned depth;     /* 0: of the file itself */
	size_t offset;      /* of its identifier */
	size_t header;      /* identifier, length code and qualifier */
	size_t length;      /* contents after the header */
	size_t trailer;     /* the end-of-constructor's bytes, or 0 */
} FormatMaiElement;

/** A walk through a file's elements, parents first. Its fields are its own. */
typedef struct FormatMaiWalk {
	const uint8_t *bytes;
	size_t size;
	size_t at;
	unsigned depth;
	unsigned vendor_depth; /* 0, or from where on it is the vendor's */
	bool is_message;
	size_t ends[FORMAT_MAI_DEPTH_MAX + 1];
	size_t nexts[FORMAT_MAI_DEPTH_MAX + 1];
} FormatMaiWalk;

/**
 * Begins at the message element if @bytes begin with one, else with the list
 * at FORMAT_MAI_LIST_OFFSET.
 * Ownership: @bytes of @size are borrowed as long as the walk lasts.
 */
void format_mai_walk_begin(FormatMaiWalk *walk, const uint8_t *bytes,
                           size_t size);

/**
 * Goes to the next element. No-ops are elements, too. A message that claims
 * more than the file has is given as far as the file goes.
 *
 * Returns 1 with an element, 0 after the last one, -EBADMSG where there is no
 * whole element: format_mai_walk_at() says where, and the walk is over.
 */
int format_mai_walk_next(FormatMaiWalk *walk, FormatMaiElement *ret_element);

/** The offset that the walk has come to. */
size_t format_mai_walk_at(const FormatMaiWalk *walk);

/** What a file looks like, the worst first. */
typedef enum FormatMaiVerdict {
	FORMAT_MAI_EMPTY,     /* no bytes */
	FORMAT_MAI_FOREIGN,   /* not a message at all */
	FORMAT_MAI_SHORT,     /* declares more bytes than there are */
	FORMAT_MAI_ZERO_TAIL, /* ends in zeros where elements should be */
	FORMAT_MAI_MALFORMED, /* elements do not add up */
	FORMAT_MAI_NO_TEXT,   /* adds up, but has no Text field */
	FORMAT_MAI_GOOD,
} FormatMaiVerdict;

/** A verdict and its reasons. */
typedef struct FormatMaiReport {
	FormatMaiVerdict verdict;
	uint64_t declared; /* bytes by its own header; 0: does not say */
	size_t at; /* where the zeros or the malformed element begin, else 0 */
	uint32_t elements; /* how many were walked through */
} FormatMaiReport;

/**
 * Zeros at the end of a message that make it FORMAT_MAI_ZERO_TAIL: more than an
 * Integer, or an enciphered string by chance, ends in [G].
 */
#define FORMAT_MAI_ZERO_TAIL_MIN 8

/**
 * Looks at all of a file. Bytes after the declared ones are padding and do not
 * matter.
 */
void format_mai_check(const uint8_t *bytes, size_t size,
                      FormatMaiReport *ret_report);

/** "good", "shorter than it declares", ... */
const char *format_mai_verdict_text(FormatMaiVerdict verdict);

/**
 * How many bytes the file should have by its own header, from its first
 * @size bytes (6 are enough, [G] for all messages that External writes).
 *
 * Returns 0, or -ENODATA if it does not say: another id, an indefinite length,
 * or too few bytes.
 */
int format_mai_declared_size(const uint8_t *bytes, size_t size,
                             uint64_t *ret_size);

/**
 * How many mailbags refer to the message (Q104423) [D]: u16 at 0x0B, updated in
 * place by whoever deletes his header.
 *
 * Returns 0, or -ENODATA if @size bytes do not reach so far.
 */
int format_mai_owners(const uint8_t *bytes, size_t size, uint16_t *ret_owners);

/** Sets it in place. Returns 0 or -ENODATA. */
int format_mai_set_owners(uint8_t *bytes, size_t size, uint16_t owners);

/** The name of an element with that id ("Field"), NULL if it has none. */
const char *format_mai_id_name(uint8_t id);

/** The name of a standard field ("Posted-Date"), NULL if it has none. */
const char *format_mai_field_name(uint32_t field);
