/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include "tools/notes.h"

/** Prints what @notes say and what follows from them. */
void tool_learn_report(const ToolNotes *notes, bool is_json);

/** Prints what contradicts what is known. */
void tool_learn_print_contradictions(const ToolNotes *notes);
