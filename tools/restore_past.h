/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "tools/tool.h"

/**
 * `poctl restore --at TIME STORE PATH...`: has those files, the files below those
 * directories and those mailbags become what they were at @when, a time of the
 * command line.
 */
ToolExit tool_restore_past(const ToolOptions *options, const char *when,
                           GError **error);
