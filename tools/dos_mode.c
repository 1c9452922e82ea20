/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/dos_mode.h"

#include <string.h>
#include <sys/stat.h>

bool
tool_dos_mode_derive(uint32_t mode, int64_t mtime_ns,
                     uint8_t ret_value[DOS_ATTR_SIZE])
{
	if (!S_ISREG(mode) || (mode & S_IWUSR) != 0)
		return false;

	dos_attr_encode(DOS_ATTR_READ_ONLY, mtime_ns, ret_value);
	return true;
}

bool
tool_dos_mode_is_derived(uint32_t mode, int64_t mtime_ns, const void *value,
                         size_t size)
{
	uint8_t derived[DOS_ATTR_SIZE];

	return size == sizeof(derived) &&
	       tool_dos_mode_derive(mode, mtime_ns, derived) &&
	       memcmp(derived, value, size) == 0;
}
