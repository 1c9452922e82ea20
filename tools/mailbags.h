/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

#include <glib.h>

#include "store/store.h"

/** A record of an MBG is so many bytes (Q77926). */
#define TOOL_MAILBAG_RECORD_SIZE 116

/** A pair of KEY and MBG, as it is in the store. */
typedef struct ToolMailbag {
	char *office; /* the postoffice's path; "/" is the root; owned */
	char name[LAYOUT_MAILBAG_MAX + 1];
	uint64_t bytes;     /* of the MBG; 0 if there is none */
	int64_t changed_ns; /* the KEY was */
} ToolMailbag;

/**
 * How many messages there are at most in @mailbag: deleted ones, which only the
 * KEY knows of, count too (Q146113, Q148707).
 */
uint64_t tool_mailbag_records(const ToolMailbag *mailbag);

/**
 * Finds every mailbag that has a KEY in every postoffice of @store, those of
 * one postoffice next to each other.
 *
 * Ownership: the caller unrefs *@ret_mailbags, of type ToolMailbag.
 */
int tool_mailbags_list(Store *store, GPtrArray **ret_mailbags);
