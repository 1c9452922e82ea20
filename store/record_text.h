/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/kv.h"

/**
 * What the record of @key is, for a person who reads that it is damaged; any
 * bytes may be a key. Ownership: the caller's.
 */
char *record_text(KvSlice key);
