/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <glib.h>

#include "fs/quota.h"
#include "store/store.h"

/**
 * The settings of one mount: defaults, then pofs.conf, then -o KEY=VALUE.
 *
 * One table in config.c names every key, its range and its default; the
 * reader, `pofs -n` and the check of the manual page follow it.
 *
 * Threads: immutable once the server runs.
 */

/** Value of uid, gid and umask that says: report what is stored. */
#define FS_CONFIG_STORED ((int64_t)-1)

typedef struct FsConfig {
	int64_t map_size_mib; /* 0: as created */
	int64_t sync_ms;
	int64_t dirty_limit_mib;
	int64_t staged_limit_mib;
	int64_t staged_max_mib;
	int64_t staged_all_mib;
	int64_t quarantine_max_mib;
	int64_t journal_max_mib; /* 0: nothing is kept of the past */
	int64_t journal_age_days;
	int64_t uid;             /* or FS_CONFIG_STORED */
	int64_t gid;             /* or FS_CONFIG_STORED */
	int64_t umask;           /* or FS_CONFIG_STORED */
	int64_t report_free_mib; /* 0: the truth */
	int64_t plain_timeout_s;
	int64_t dos_sharing; /* 0 or 1 */
	int64_t sandbox;     /* 0 or 1 */
	int64_t watchdog_s;  /* 0: nobody watches */
	int64_t lock_wait_s; /* 0: nobody waits */
	int64_t smbd_park_ms;
	int64_t idle_open_s;         /* 0: never */
	int64_t commit_age_s;        /* 0: only if somebody waits */
	int64_t transaction_limit_s; /* 0: none */
	int64_t silent_limit_s;      /* 0: none */
	int64_t truncate_guard;      /* 0 or 1 */
	int64_t listings_max_mib;
	int64_t client_handles;
	int64_t all_handles;
	int64_t client_ranges;
	int64_t all_ranges;
} FsConfig;

#define FS_CONFIG_ERROR (fs_config_error_quark())

typedef enum FsConfigError {
	FS_CONFIG_ERROR_UNKNOWN, /* no such group or key */
	FS_CONFIG_ERROR_VALUE,   /* out of range, or not a value at all */
	FS_CONFIG_ERROR_FILE,    /* unreadable, or not a key file */
} FsConfigError;

GQuark fs_config_error_quark(void);

/** The defaults. */
FsConfig fs_config_default(void);

/** Sets @key, as -o does; keys are unique over all groups. */
bool fs_config_set(FsConfig *config, const char *key, const char *value,
                   GError **error);

/**
 * Reads file @path over @config, which keeps its values if that fails. Errors
 * name the file and the line.
 */
bool fs_config_load(FsConfig *config, const char *path, GError **error);

/** What of @config is the store's. */
StoreOptions fs_config_store(const FsConfig *config);

/** How many files may be open, and ranges locked. */
FsQuota fs_config_handles(const FsConfig *config);
FsQuota fs_config_ranges(const FsConfig *config);

/** How many bytes listings take. */
uint64_t fs_config_listings(const FsConfig *config);

/** Prints every setting, as a pofs.conf that would give @config. */
void fs_config_print(const FsConfig *config, FILE *out);
