/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/backup.h"
#include "tools/json.h"

/** Adds what @backup is of to @json. */
void tool_backup_facts_json(ToolJson *json, const StoreBackup *backup);

/** "12 records, 3.4 MiB". Ownership: the caller's. */
char *tool_backup_facts_size(const StoreBackup *backup);

/** When it was taken: local time, or ISO 8601. Ownership: the caller's. */
char *tool_backup_facts_time(const StoreBackup *backup, bool is_iso);
