/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "tools/office_mailbag.h"

/** Whose a mailbag is. */
typedef struct ToolAddress {
	ToolMailbagKind kind;
	char *name;        /* owned: "NET/PO", a gateway's name, a user's */
	bool is_ambiguous; /* lists name several owners: the name is the first */
} ToolAddress;

/**
 * Reads who is known in @office, by the stem of the mailbag: postoffices and
 * gateways from NETWORK.GLB and the XTN files (Q148666, Q86625), users from
 * ADMIN.NME (Q119563). Records that are not active are left out; lists that
 * are missing are empty ones.
 *
 * Ownership: the caller lets go of *@ret_addresses, stem -> ToolAddress.
 */
int tool_address_read(const ToolOffice *office, GHashTable **ret_addresses);
