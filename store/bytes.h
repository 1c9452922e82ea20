/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>
#include <string.h>

#include <glib.h>

/**
 * Little-endian numbers in unaligned bytes.
 */

static inline void
bytes_put_u16(uint8_t *p, uint16_t n)
{
	n = GUINT16_TO_LE(n);
	memcpy(p, &n, sizeof(n));
}

static inline void
bytes_put_u32(uint8_t *p, uint32_t n)
{
	n = GUINT32_TO_LE(n);
	memcpy(p, &n, sizeof(n));
}

static inline void
bytes_put_u64(uint8_t *p, uint64_t n)
{
	n = GUINT64_TO_LE(n);
	memcpy(p, &n, sizeof(n));
}

static inline uint16_t
bytes_get_u16(const uint8_t *p)
{
	uint16_t n;

	memcpy(&n, p, sizeof(n));
	return GUINT16_FROM_LE(n);
}

static inline uint32_t
bytes_get_u32(const uint8_t *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof(n));
	return GUINT32_FROM_LE(n);
}

static inline uint64_t
bytes_get_u64(const uint8_t *p)
{
	uint64_t n;

	memcpy(&n, p, sizeof(n));
	return GUINT64_FROM_LE(n);
}
