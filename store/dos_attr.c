/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/dos_attr.h"

#include <string.h>

#include <glib.h>

/* Members of version 5: which fields are valid. */
#define VALID_ATTR  0x01
#define VALID_BTIME 0x10

/* 100 ns steps between 1601 and 1970. */
#define NT_EPOCH INT64_C(116444736000000000)

static void
put_u16(uint8_t *p, uint16_t value)
{
	value = GUINT16_TO_LE(value);
	memcpy(p, &value, sizeof(value));
}

static void
put_u32(uint8_t *p, uint32_t value)
{
	value = GUINT32_TO_LE(value);
	memcpy(p, &value, sizeof(value));
}

static void
put_u64(uint8_t *p, uint64_t value)
{
	value = GUINT64_TO_LE(value);
	memcpy(p, &value, sizeof(value));
}

void
dos_attr_encode(uint32_t attr, int64_t btime_ns,
                uint8_t ret_value[DOS_ATTR_SIZE])
{
	memset(ret_value, 0, DOS_ATTR_SIZE);
	put_u16(ret_value + 2, 5);
	put_u32(ret_value + 4, 5);
	put_u32(ret_value + 8, VALID_ATTR | VALID_BTIME);
	put_u32(ret_value + 12, attr);
	put_u64(ret_value + 16, (uint64_t)(btime_ns / 100 + NT_EPOCH));
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
	uint32_t valid;
	uint32_t attr;

	if (size >= 3 && value[0] == '0')
		return decode_text(value, size, ret_attr);
	if (size < 16 || value[0] != 0)
		return false;

	memcpy(&version, value + 2, sizeof(version));
	memcpy(&valid, value + 8, sizeof(valid));
	memcpy(&attr, value + 12, sizeof(attr));
	if (GUINT16_FROM_LE(version) != 5 ||
	    (GUINT32_FROM_LE(valid) & VALID_ATTR) == 0)
		return false;
	*ret_attr = GUINT32_FROM_LE(attr);
	return true;
}
