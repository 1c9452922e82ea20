/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How a message is read (RFC 841, sections 3 and 4)
 *
 * - An element is an identifier, a length code, perhaps a qualifier, and
 *   contents. The length counts the qualifier, too. An indefinite length is
 *   made definite at once, by a look for the end-of-constructor; so what
 *   follows never meets one.
 * - An element that runs past the one that contains it is malformed. But what
 *   a vendor defined may hold anything: its contents are elements only if they
 *   add up.
 */

#include "store/format/mai.h"

#include <errno.h>

#include <glib.h>

#include "store/bytes.h"

#define PROPERTY_BIT  0x80
#define QUALIFIER_BIT 0x40

/* ---- one element ---------------------------------------------------------*/

/* A length code or a qualifier: they are written in the same way. */
typedef struct Code {
	bool is_none;   /* indefinite, undefined */
	bool is_vendor; /* long, with a first octet of zero */
	uint64_t value; /* UINT64_MAX: at least that */
} Code;

static int
read_code(const uint8_t *bytes, size_t *at, size_t end, Code *ret_code)
{
	Code code = { .is_none = false };
	unsigned octets = 0;

	if (*at >= end || bytes[*at] > 0x8F)
		return -EBADMSG;
	code.value = bytes[(*at)++];
	if (code.value >= 0x80) {
		octets = code.value & 0x0F;
		code.is_none = octets == 0;
		code.value = 0;
	}
	if (octets > end - *at)
		return -EBADMSG;
	code.is_vendor = octets > 0 && bytes[*at] == 0;
	for (; octets > 0; octets--, (*at)++)
		code.value = code.value >> 56 != 0
		                     ? UINT64_MAX
		                     : code.value << 8 | bytes[*at];
	*ret_code = code;
	return 0;
}

static FormatMaiQualifier
qualifier_of(const Code *code)
{
	if (code->is_none)
		return FORMAT_MAI_UNDEFINED;
	return code->is_vendor ? FORMAT_MAI_VENDOR_QUALIFIED
	                       : FORMAT_MAI_QUALIFIED;
}

/* Reads what comes before the contents. *@ret_length is the length that is
 * written there, true or not; 0 if it is indefinite. */
static int
read_head(const uint8_t *bytes, size_t offset, size_t end,
          FormatMaiElement *ret_element, uint64_t *ret_length)
{
	FormatMaiElement element = { .offset = offset };
	size_t at = offset + 1;
	size_t body;
	Code length;
	Code qualifier;
	int r;

	if (offset >= end)
		return -EBADMSG;
	element.id = bytes[offset] & (uint8_t)~PROPERTY_BIT;
	element.has_properties = bytes[offset] & PROPERTY_BIT;
	r = read_code(bytes, &at, end, &length);
	if (r < 0)
		return r;
	element.is_indefinite = length.is_none;
	body = at;
	if (element.id & QUALIFIER_BIT) {
		r = read_code(bytes, &at, end, &qualifier);
		if (r < 0 || (!length.is_none && at - body > length.value))
			return -EBADMSG;
		element.has_qualifier = qualifier_of(&qualifier);
		element.qualifier = (uint32_t)qualifier.value;
	}
	element.header = at - offset;
	*ret_length = length.is_none ? 0 : length.value - (at - body);
	*ret_element = element;
	return 0;
}

static size_t
end_of(const FormatMaiElement *element)
{
	return element->offset + element->header + element->length +
	       element->trailer;
}

static int read_element(const uint8_t *bytes, size_t offset, size_t end,
                        unsigned level, FormatMaiElement *ret_element);

/* Looks for the end of an element of indefinite length. */
static int
find_end(const uint8_t *bytes, size_t end, unsigned level,
         FormatMaiElement *element)
{
	size_t begin = element->offset + element->header;
	size_t at = begin;
	FormatMaiElement child;
	int r;

	if (level >= FORMAT_MAI_DEPTH_MAX)
		return -EBADMSG;
	do {
		r = read_element(bytes, at, end, level + 1, &child);
		if (r < 0)
			return r;
		element->length = at - begin;
		at = end_of(&child);
	} while (child.id != FORMAT_MAI_END_OF_CONSTRUCTOR);
	element->trailer = at - begin - element->length;
	return 0;
}

static int
read_element(const uint8_t *bytes, size_t offset, size_t end, unsigned level,
             FormatMaiElement *ret_element)
{
	FormatMaiElement element;
	uint64_t length;
	int r;

	r = read_head(bytes, offset, end, &element, &length);
	if (r < 0)
		return r;
	if (element.is_indefinite)
		r = find_end(bytes, end, level, &element);
	else if (length > end - offset - element.header)
		r = -EBADMSG;
	else
		element.length = (size_t)length;
	if (r == 0)
		*ret_element = element;
	return r;
}

/* ---- the walk ------------------------------------------------------------*/

/* Whether the file is one message of a definite length. */
static bool
is_message(const uint8_t *bytes, size_t size, FormatMaiElement *ret_element,
           uint64_t *ret_length)
{
	return read_head(bytes, 0, size, ret_element, ret_length) == 0 &&
	       ret_element->id == FORMAT_MAI_MESSAGE &&
	       !ret_element->is_indefinite;
}

void
format_mai_walk_begin(FormatMaiWalk *walk, const uint8_t *bytes, size_t size)
{
	FormatMaiElement message;
	uint64_t length;

	*walk = (FormatMaiWalk){ .bytes = bytes, .size = size };
	walk->ends[0] = size;
	walk->at = MIN(FORMAT_MAI_LIST_OFFSET, size);
	if (!is_message(bytes, size, &message, &length))
		return;
	/* What follows the message is padding. A message that is cut off is
	 * read up to there. */
	walk->at = 0;
	walk->is_message = true;
	walk->ends[0] =
		message.header + (size_t)MIN(length, size - message.header);
}

static bool
may_have_children(const FormatMaiElement *element)
{
	static const uint8_t CONSTRUCTORS[] = {
		FORMAT_MAI_UNIQUE_ID,     FORMAT_MAI_SEQUENCE,
		FORMAT_MAI_SET,           FORMAT_MAI_DATE,
		FORMAT_MAI_PROPERTY_LIST, FORMAT_MAI_PROPERTY,
		FORMAT_MAI_FIELD,         FORMAT_MAI_MESSAGE,
		FORMAT_MAI_VENDOR,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(CONSTRUCTORS); i++)
		if (element->id == CONSTRUCTORS[i])
			return element->length > 0;
	return false;
}

/* Whether contents that do not add up are an error, not the vendor's. */
static bool
is_strict(const FormatMaiWalk *walk, const FormatMaiElement *element)
{
	return walk->vendor_depth == 0 &&
	       (element->id == FORMAT_MAI_MESSAGE ||
	        (element->id == FORMAT_MAI_FIELD &&
	         element->has_qualifier == FORMAT_MAI_QUALIFIED));
}

static bool
adds_up(const FormatMaiWalk *walk, const FormatMaiElement *element)
{
	size_t at = element->offset + element->header;
	size_t end = at + element->length;
	FormatMaiElement child;

	while (at < end) {
		if (read_element(walk->bytes, at, end, walk->depth + 1,
		                 &child) < 0)
			return false;
		at = end_of(&child);
	}
	return true;
}

static bool
has_children(const FormatMaiWalk *walk, const FormatMaiElement *element)
{
	return may_have_children(element) &&
	       walk->depth < FORMAT_MAI_DEPTH_MAX &&
	       (is_strict(walk, element) || adds_up(walk, element));
}

static void
go_down(FormatMaiWalk *walk, const FormatMaiElement *element)
{
	bool is_strict_here = is_strict(walk, element);

	walk->nexts[walk->depth] = end_of(element);
	walk->at = element->offset + element->header;
	walk->depth++;
	walk->ends[walk->depth] = walk->at + element->length;
	if (!is_strict_here && walk->vendor_depth == 0)
		walk->vendor_depth = walk->depth;
}

static void
go_up(FormatMaiWalk *walk)
{
	walk->depth--;
	walk->at = walk->nexts[walk->depth];
	if (walk->depth < walk->vendor_depth)
		walk->vendor_depth = 0;
}

/* As read_element(), but a message is read as far as it goes. */
static int
read_next(const FormatMaiWalk *walk, FormatMaiElement *ret_element)
{
	uint64_t length;
	int r;

	if (walk->at > 0 || !walk->is_message)
		return read_element(walk->bytes, walk->at,
		                    walk->ends[walk->depth], walk->depth,
		                    ret_element);
	r = read_head(walk->bytes, 0, walk->size, ret_element, &length);
	if (r == 0)
		ret_element->length = walk->ends[0] - ret_element->header;
	return r;
}

int
format_mai_walk_next(FormatMaiWalk *walk, FormatMaiElement *ret_element)
{
	FormatMaiElement element;
	int r;

	while (walk->depth > 0 && walk->at == walk->ends[walk->depth])
		go_up(walk);
	if (walk->at == walk->ends[walk->depth])
		return 0;
	r = read_next(walk, &element);
	if (r < 0)
		return r;
	element.depth = walk->depth;
	element.is_vendors = walk->vendor_depth > 0;
	element.has_children = has_children(walk, &element);
	if (element.has_children)
		go_down(walk, &element);
	else
		walk->at = end_of(&element);
	*ret_element = element;
	return 1;
}

size_t
format_mai_walk_at(const FormatMaiWalk *walk)
{
	return walk->at;
}

/* ---- the header ----------------------------------------------------------*/

int
format_mai_declared_size(const uint8_t *bytes, size_t size, uint64_t *ret_size)
{
	FormatMaiElement message;
	uint64_t length;

	if (!is_message(bytes, size, &message, &length))
		return -ENODATA;
	*ret_size = length > UINT64_MAX - message.header
	                    ? UINT64_MAX
	                    : length + message.header;
	return 0;
}

int
format_mai_owners(const uint8_t *bytes, size_t size, uint16_t *ret_owners)
{
	if (size < FORMAT_MAI_OWNERS_OFFSET + sizeof(uint16_t))
		return -ENODATA;
	*ret_owners = bytes_get_u16(bytes + FORMAT_MAI_OWNERS_OFFSET);
	return 0;
}

int
format_mai_set_owners(uint8_t *bytes, size_t size, uint16_t owners)
{
	if (size < FORMAT_MAI_OWNERS_OFFSET + sizeof(uint16_t))
		return -ENODATA;
	bytes_put_u16(bytes + FORMAT_MAI_OWNERS_OFFSET, owners);
	return 0;
}
