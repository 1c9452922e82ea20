/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "tools/office.h"

/**
 * Applies the rules of postoffices to all of @offices. Findings are in the
 * order of postoffices and rules.
 *
 * Ownership: the caller lets go of *@ret_findings, which owns its ToolFinding.
 */
int tool_check_mail(const ToolOffices *offices, gboolean is_quiet,
                    GPtrArray **ret_findings, GError **error);
