/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#define MIB       ((uint64_t)1 << 20)
#define S_PER_DAY 86400

typedef enum SettingType {
	SETTING_NUMBER,
	SETTING_OCTAL,
	SETTING_BOOLEAN,
} SettingType;

typedef struct Setting {
	const char *group;
	const char *key;
	SettingType type;
	size_t offset; /* of an int64_t in FsConfig */
	int64_t min;   /* FS_CONFIG_STORED: the word "stored" is a value */
	int64_t max;
	int64_t standard;
	const char *sentence;
} Setting;

static const Setting SETTINGS[] = {
	{ "store", "map-size-mib", SETTING_NUMBER,
	  offsetof(FsConfig, map_size_mib), 0, 16 << 20, 0,
	  "Address space of the store, not disk space; 0 keeps what it has." },
	{ "store", "sync-ms", SETTING_NUMBER, offsetof(FsConfig, sync_ms), 10,
	  60000, 1000, "Changes to plain files are on disk this long after." },
	{ "store", "dirty-limit-mib", SETTING_NUMBER,
	  offsetof(FsConfig, dirty_limit_mib), 1, 4096, 32,
	  "Changes kept in memory before writers wait for the disk." },
	{ "store", "staged-limit-mib", SETTING_NUMBER,
	  offsetof(FsConfig, staged_limit_mib), 1, 1024, 4,
	  "What a transaction keeps in memory before it goes to disk." },
	{ "store", "staged-max-mib", SETTING_NUMBER,
	  offsetof(FsConfig, staged_max_mib), 1, 4096, 32,
	  "What it may keep in memory of files that it changes in place." },
	{ "store", "staged-all-mib", SETTING_NUMBER,
	  offsetof(FsConfig, staged_all_mib), 1, 65536, 256,
	  "What all may keep in memory; a quarter is for those with little." },
	{ "store", "quarantine-max-mib", SETTING_NUMBER,
	  offsetof(FsConfig, quarantine_max_mib), 1, 1 << 20, 1024,
	  "What is kept of undone transactions; the oldest goes first." },
	{ "store", "journal-max-mib", SETTING_NUMBER,
	  offsetof(FsConfig, journal_max_mib), 0, 1 << 20, 1024,
	  "What is kept of mail as it was before it was changed." },
	{ "store", "journal-age-days", SETTING_NUMBER,
	  offsetof(FsConfig, journal_age_days), 1, 3650, 7,
	  "The journal of transactions goes back this far." },
	{ "mount", "uid", SETTING_NUMBER, offsetof(FsConfig, uid),
	  FS_CONFIG_STORED, UINT32_MAX - 1, FS_CONFIG_STORED,
	  "Owner of everything, or \"stored\"." },
	{ "mount", "gid", SETTING_NUMBER, offsetof(FsConfig, gid),
	  FS_CONFIG_STORED, UINT32_MAX - 1, FS_CONFIG_STORED,
	  "Group of everything, or \"stored\"." },
	{ "mount", "umask", SETTING_OCTAL, offsetof(FsConfig, umask),
	  FS_CONFIG_STORED, 0777, FS_CONFIG_STORED,
	  "Permissions that nobody has, in octal, or \"stored\"." },
	{ "mount", "report-free-mib", SETTING_NUMBER,
	  offsetof(FsConfig, report_free_mib), 0, INT32_MAX, 2047,
	  "Most free space that is reported; 0 tells the truth." },
	{ "mount", "plain-timeout-s", SETTING_NUMBER,
	  offsetof(FsConfig, plain_timeout_s), 0, 86400, 3600,
	  "The kernel remembers plain files and directories this long." },
	{ "mount", "dos-sharing", SETTING_BOOLEAN,
	  offsetof(FsConfig, dos_sharing), 0, 1, 1,
	  "Files in use by others, or read-only, cannot be deleted." },
	{ "mount", "sandbox", SETTING_BOOLEAN, offsetof(FsConfig, sandbox), 0,
	  1, 1, "The server has the system calls that serving needs only." },
	{ "mount", "watchdog-s", SETTING_NUMBER, offsetof(FsConfig, watchdog_s),
	  0, 3600, 20,
	  "A server that hangs for this long is killed; 0 never." },
	{ "locks", "lock-wait-s", SETTING_NUMBER,
	  offsetof(FsConfig, lock_wait_s), 0, 3600, 30,
	  "Who opens what another has locked waits this long; 0 fails." },
	{ "locks", "smbd-park-ms", SETTING_NUMBER,
	  offsetof(FsConfig, smbd_park_ms), 10, 60000, 500,
	  "An smbd waits this long at a time, and then asks each second." },
	{ "locks", "idle-open-s", SETTING_NUMBER,
	  offsetof(FsConfig, idle_open_s), 0, 3600, 5,
	  "A mailbag left open unused gives way after this; 0 never." },
	{ "locks", "commit-age-s", SETTING_NUMBER,
	  offsetof(FsConfig, commit_age_s), 0, 3600, 5,
	  "What is under way this long is seen at its next safe point." },
	{ "locks", "transaction-limit-s", SETTING_NUMBER,
	  offsetof(FsConfig, transaction_limit_s), 0, 86400, 900,
	  "What is under way for longer is undone; 0 never." },
	{ "locks", "silent-limit-s", SETTING_NUMBER,
	  offsetof(FsConfig, silent_limit_s), 0, 86400, 60,
	  "Who keeps others waiting and is silent loses its locks; 0 never." },
	{ "locks", "truncate-guard", SETTING_BOOLEAN,
	  offsetof(FsConfig, truncate_guard), 0, 1, 1,
	  "Only who created a MAI or ATT may empty it." },
	{ "limits", "listings-max-mib", SETTING_NUMBER,
	  offsetof(FsConfig, listings_max_mib), 1, 4096, 32,
	  "Names of directories that are being read; beyond, read anew." },
	{ "limits", "client-handles", SETTING_NUMBER,
	  offsetof(FsConfig, client_handles), 64, 1 << 20, 16384,
	  "Open files and directories of one client." },
	{ "limits", "all-handles", SETTING_NUMBER,
	  offsetof(FsConfig, all_handles), 64, 1 << 24, 262144,
	  "Those of all clients; a quarter is for who has few." },
	{ "limits", "client-ranges", SETTING_NUMBER,
	  offsetof(FsConfig, client_ranges), 64, 1 << 20, 16384,
	  "Byte ranges that one client has locked." },
	{ "limits", "all-ranges", SETTING_NUMBER,
	  offsetof(FsConfig, all_ranges), 64, 1 << 24, 65536,
	  "Those of all clients; a quarter is for who has few." },
};

static int64_t *
setting_value(const Setting *setting, FsConfig *config)
{
	return (int64_t *)(void *)((char *)config + setting->offset);
}

static const Setting *
setting_find(const char *group, const char *key)
{
	for (size_t i = 0; i < G_N_ELEMENTS(SETTINGS); i++) {
		if (group != NULL && strcmp(SETTINGS[i].group, group) != 0)
			continue;
		if (strcmp(SETTINGS[i].key, key) == 0)
			return &SETTINGS[i];
	}

	return NULL;
}

/* What poctl reads there (tools/key_layout.h) is none of the daemon's business,
 * and no reason to refuse the file. */
#define TOOLS_GROUP "key-layout"

static bool
group_is_known(const char *group)
{
	if (strcmp(group, TOOLS_GROUP) == 0)
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(SETTINGS); i++)
		if (strcmp(SETTINGS[i].group, group) == 0)
			return true;

	return false;
}

static char *
setting_range(const Setting *setting)
{
	const char *stored =
		setting->min == FS_CONFIG_STORED ? "\"stored\" or " : "";
	int64_t min = MAX(setting->min, 0);

	switch (setting->type) {
	case SETTING_BOOLEAN:
		return g_strdup("true or false");
	case SETTING_OCTAL:
		return g_strdup_printf("%san octal number from 0 to %" PRIo64,
		                       stored, (uint64_t)setting->max);
	case SETTING_NUMBER:
		break;
	}

	return g_strdup_printf("%sa number from %" PRId64 " to %" PRId64,
	                       stored, min, setting->max);
}

static bool
setting_parse(const Setting *setting, const char *text, int64_t *ret_value)
{
	guint base = setting->type == SETTING_OCTAL ? 8 : 10;

	if (setting->type == SETTING_BOOLEAN) {
		*ret_value = strcmp(text, "true") == 0;
		return *ret_value == 1 || strcmp(text, "false") == 0;
	}

	if (setting->min == FS_CONFIG_STORED && strcmp(text, "stored") == 0) {
		*ret_value = FS_CONFIG_STORED;
		return true;
	}

	return g_ascii_string_to_signed(text, base, MAX(setting->min, 0),
	                                setting->max, ret_value, NULL);
}

static bool
setting_set(const Setting *setting, FsConfig *config, const char *text,
            GError **error)
{
	g_autofree char *range = setting_range(setting);
	int64_t value;

	if (!setting_parse(setting, text, &value)) {
		g_set_error(error, FS_CONFIG_ERROR, FS_CONFIG_ERROR_VALUE,
		            "%s must be %s, not \"%s\"", setting->key, range,
		            text);
		return false;
	}

	*setting_value(setting, config) = value;
	return true;
}

GQuark
fs_config_error_quark(void)
{
	return g_quark_from_static_string("fs-config-error");
}

FsConfig
fs_config_default(void)
{
	FsConfig config = { 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(SETTINGS); i++)
		*setting_value(&SETTINGS[i], &config) = SETTINGS[i].standard;

	return config;
}

bool
fs_config_set(FsConfig *config, const char *key, const char *value,
              GError **error)
{
	const Setting *setting = setting_find(NULL, key);

	if (setting == NULL) {
		g_set_error(error, FS_CONFIG_ERROR, FS_CONFIG_ERROR_UNKNOWN,
		            "unknown option \"%s\"", key);
		return false;
	}

	return setting_set(setting, config, value, error);
}

/* GKeyFile would read the same syntax, but it forgets which line a key was on,
 * and an administrator wants to be told. */
static bool
line_load(FsConfig *config, char *line, char **group, GError **error)
{
	const Setting *setting;
	size_t size;
	char *equals;

	g_strstrip(line);
	size = strlen(line);
	if (size == 0 || line[0] == '#')
		return true;

	if (line[0] == '[' && line[size - 1] == ']') {
		g_free(*group);
		*group = g_strndup(line + 1, size - 2);
		if (group_is_known(*group))
			return true;
		g_set_error(error, FS_CONFIG_ERROR, FS_CONFIG_ERROR_UNKNOWN,
		            "unknown group [%s]", *group);
		return false;
	}

	equals = strchr(line, '=');
	if (*group == NULL || equals == NULL) {
		g_set_error(error, FS_CONFIG_ERROR, FS_CONFIG_ERROR_FILE,
		            "neither [GROUP] nor, below one, KEY = VALUE");
		return false;
	}

	if (strcmp(*group, TOOLS_GROUP) == 0)
		return true;
	*equals = '\0';
	g_strchomp(line);
	setting = setting_find(*group, line);
	if (setting == NULL) {
		g_set_error(error, FS_CONFIG_ERROR, FS_CONFIG_ERROR_UNKNOWN,
		            "unknown key \"%s\" in [%s]", line, *group);
		return false;
	}

	return setting_set(setting, config, g_strchug(equals + 1), error);
}

bool
fs_config_load(FsConfig *config, const char *path, GError **error)
{
	g_autofree char *text = NULL;
	g_autofree char *group = NULL;
	g_auto(GStrv) lines = NULL;
	FsConfig loaded = *config;
	gsize size;

	if (!g_file_get_contents(path, &text, &size, NULL)) {
		g_set_error(error, FS_CONFIG_ERROR, FS_CONFIG_ERROR_FILE,
		            "%s: %s", path, g_strerror(errno));
		return false;
	}

	if (strlen(text) != size || !g_utf8_validate(text, -1, NULL)) {
		g_set_error(error, FS_CONFIG_ERROR, FS_CONFIG_ERROR_FILE,
		            "%s: not a text file", path);
		return false;
	}

	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0; lines[i] != NULL; i++) {
		if (line_load(&loaded, lines[i], &group, error))
			continue;
		g_prefix_error(error, "%s:%u: ", path, i + 1);
		return false;
	}

	*config = loaded;
	return true;
}

static void
setting_print(const Setting *setting, int64_t value, FILE *out)
{
	fprintf(out, "# %s\n%s = ", setting->sentence, setting->key);

	if (setting->type == SETTING_BOOLEAN)
		fprintf(out, "%s\n", value ? "true" : "false");
	else if (value == FS_CONFIG_STORED)
		fprintf(out, "stored\n");
	else if (setting->type == SETTING_OCTAL)
		fprintf(out, "%03" PRIo64 "\n", (uint64_t)value);
	else
		fprintf(out, "%" PRId64 "\n", value);
}

StoreOptions
fs_config_store(const FsConfig *config)
{
	return (StoreOptions){
		.map_size = (uint64_t)config->map_size_mib * MIB,
		.sync_ms = (unsigned)config->sync_ms,
		.dirty_limit = (uint64_t)config->dirty_limit_mib * MIB,
		.staged_limit = (uint64_t)config->staged_limit_mib * MIB,
		.staged_max = (uint64_t)config->staged_max_mib * MIB,
		.staged_all = (uint64_t)config->staged_all_mib * MIB,
		.quarantine_max = (uint64_t)config->quarantine_max_mib * MIB,
		.journal_max = (uint64_t)config->journal_max_mib * MIB,
		.journal_age_s = (uint64_t)config->journal_age_days * S_PER_DAY,
	};
}

FsQuota
fs_config_handles(const FsConfig *config)
{
	return (FsQuota){ .client = (uint64_t)config->client_handles,
		          .all = (uint64_t)config->all_handles };
}

FsQuota
fs_config_ranges(const FsConfig *config)
{
	return (FsQuota){ .client = (uint64_t)config->client_ranges,
		          .all = (uint64_t)config->all_ranges };
}

uint64_t
fs_config_listings(const FsConfig *config)
{
	return (uint64_t)config->listings_max_mib * MIB;
}

void
fs_config_print(const FsConfig *config, FILE *out)
{
	FsConfig copy = *config;
	const char *group = "";

	for (size_t i = 0; i < G_N_ELEMENTS(SETTINGS); i++) {
		if (strcmp(SETTINGS[i].group, group) != 0) {
			group = SETTINGS[i].group;
			fprintf(out, "%s[%s]\n", i == 0 ? "" : "\n", group);
		}
		setting_print(&SETTINGS[i], *setting_value(&SETTINGS[i], &copy),
		              out);
	}
}
