/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

/**
 * Mounts a copy of @image, which has a file system of @type, at directory
 * @dir, which is made: its journal is replayed there, and @image stays as it
 * is. The copy is @dir with ".image". Returns false if it cannot be mounted,
 * and has then said why.
 */
bool device_mount(const char *image, const char *type, const char *dir);

/** Takes the mount away, whoever still uses it, and the copy. */
void device_unmount(const char *dir);
