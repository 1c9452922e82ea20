/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/dos_attr.h"

#include <string.h>

#include <glib.h>

#include "store/bytes.h"

/* Members of version 5: which fields are valid. */
#define VALID_ATTR  0x01
#define VALID_BTIME 0x10

/* 100 ns steps between 1601 and 1970. */
#define NT_EPOCH INT64_C(116444736000000000)

void
dos_attr_encode(uint32_t attr, int64_t btime_ns,
                uint8_t ret_value[DOS_ATTR_SIZE])
{
	memset(ret_value, 0, DOS_ATTR_SIZE);
	bytes_put_u16(ret_value + 2, 5);
	bytes_put_u32(ret_value + 4, 5);
	bytes_put_u32(ret_value + 8, VALID_ATTR | VALID_BTIME);
	bytes_put_u32(ret_value + 12, attr);
	bytes_put_u64(ret_value + 16, (uint64_t)(btime_ns / 100 + NT_EPOCH));
}

/* Versions before 3 are no more than the attributes as text, "0x21". */
static bool
decode_text(const uint8_t *value, size_t size, uint32_t *ret_attr)
{
	g_autofree char *text = g_strndup((const char *)value, size);
	char *end = NULL;
	guint64 attr;

	if (!g_str_has_prefix(text, "0x"))
		return false;
	attr = g_ascii_strtoull(text + 2, &end, 16);
	if (end == text + 2 || *end != '\0' || attr > UINT32_MAX)
		return false;
	*ret_attr = (uint32_t)attr;
	return true;
}

bool
dos_attr_decode(const uint8_t *value, size_t size, uint32_t *ret_attr)
{
	uint16_t version;

	if (size >= 3 && value[0] == '0')
		return decode_text(value, size, ret_attr);
	if (size < 16 || value[0] != 0)
		return false;

	version = bytes_get_u16(value + 2);
	if (version < 3 || version > 5 ||
	    (bytes_get_u32(value + 8) & VALID_ATTR) == 0)
		return false;
	*ret_attr = bytes_get_u32(value + 12);
	return true;
}
