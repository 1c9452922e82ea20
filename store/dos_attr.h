/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The extended attribute in which Samba keeps DOS attributes. Pure.
 *
 * Source: what smbd 4.17 writes was observed; the layout is that of
 * xattr_DOSATTRIB, version 5, in Samba's public xattr.idl: an empty hex
 * string, a u16 version, a u32 of valid members, the attributes and the
 * creation time (100 ns since 1601). Little-endian.
 */

#define DOS_ATTR_XATTR "user.DOSATTRIB"

/** Bytes of an encoded attribute. */
#define DOS_ATTR_SIZE 24

#define DOS_ATTR_READ_ONLY 0x01
#define DOS_ATTR_HIDDEN    0x02
#define DOS_ATTR_SYSTEM    0x04
#define DOS_ATTR_DIRECTORY 0x10
#define DOS_ATTR_ARCHIVE   0x20

/** Encodes @attr and @btime_ns (since 1970) as smbd does. */
void dos_attr_encode(uint32_t attr, int64_t btime_ns,
                     uint8_t ret_value[DOS_ATTR_SIZE]);

/**
 * Decodes the attributes from @value, as smbd of any version since 3.0 wrote
 * it: text, or versions 3 to 5, which have them in the same place. Returns
 * false if it is something else.
 */
bool dos_attr_decode(const uint8_t *value, size_t size, uint32_t *ret_attr);
