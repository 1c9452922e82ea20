/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/format/mai.h"
#include "tools/office.h"

/** What there is of a message besides its headers: its MAI and its P1. */
typedef struct ToolMessage {
	StoreAttr mai; /* node 0: there is none */
	StoreAttr p1;  /* node 0: there is none */
	bool has_owners;
	uint16_t owners;
	bool is_checked;        /* it was not too large for that */
	FormatMaiReport report; /* then this is what it looks like */
} ToolMessage;

/** Most bytes of a MAI that are looked at; larger ones are not checked. */
#define TOOL_MESSAGE_SIZE_MAX ((size_t)16 << 20)

/**
 * Numbers before and after a message's where its attachments may be: they are
 * given out together, a few at a time (Q148515), and which are its own is not
 * public.
 */
#define TOOL_MESSAGE_NEIGHBOURS 64

/** Looks at the message @stem, eight hexadecimal digits. */
int tool_message_find(const ToolOffice *office, const char *stem,
                      ToolMessage *ret_message);

/** Reads the MAI @mai of @office into @message. */
int tool_message_read(const ToolOffice *office, const StoreAttr *mai,
                      ToolMessage *message);

/** Whether the MAI that is there is worse than good, or good but without
 * text. */
bool tool_message_is_torn(const ToolMessage *message);
