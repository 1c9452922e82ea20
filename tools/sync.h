/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

/** Makes durable that @path has its name: syncs the directory it is in. */
int tool_sync_parent(const char *path, GError **error);
