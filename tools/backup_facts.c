/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/backup_facts.h"

#include "tools/moment.h"
#include "tools/tool.h"

char *
tool_backup_facts_time(const StoreBackup *backup, bool is_iso)
{
	return tool_moment_text(backup->taken_ns, is_iso);
}

char *
tool_backup_facts_size(const StoreBackup *backup)
{
	g_autofree char *records =
		tool_count(backup->records, "record", "records");
	g_autofree char *bytes =
		g_format_size_full(backup->bytes, G_FORMAT_SIZE_IEC_UNITS);

	return g_strdup_printf("%s, %s", records, bytes);
}

void
tool_backup_facts_json(ToolJson *json, const StoreBackup *backup)
{
	g_autofree char *taken = tool_backup_facts_time(backup, true);

	tool_json_number(json, "version", backup->version);
	tool_json_number(json, "format", backup->format);
	tool_json_string(json, "uuid", backup->uuid);
	tool_json_string(json, "program", backup->program);
	tool_json_string(json, "taken", taken);
	tool_json_number(json, "records", backup->records);
	tool_json_number(json, "bytes", backup->bytes);
	tool_json_string(json, "sha256", backup->sha256);
}
