/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "fs/config.h"

/** What the command line asks for. */
typedef enum FsCommand {
	FS_COMMAND_MOUNT,
	FS_COMMAND_PRETEND, /* check the settings, but do not mount */
	FS_COMMAND_PRINT_CONFIG,
	FS_COMMAND_PRINT_EVENTS,
	FS_COMMAND_HELP,
	FS_COMMAND_VERSION,
} FsCommand;

/** The command line. Threads: immutable once parsed. */
typedef struct FsOptions {
	FsCommand command;
	bool foreground;
	bool verbose;
	bool read_only;
	bool allow_other;
	char *store;         /* directory, absolute */
	char *mount_point;   /* absolute; NULL unless mounting */
	char *user;          /* to drop the privileges to, or NULL */
	char *config_path;   /* or NULL: pofs.conf in the store, if it exists */
	GPtrArray *settings; /* of owned "KEY=VALUE", to set over pofs.conf */
} FsOptions;

/** What `pofs --help` prints. */
extern const char FS_OPTIONS_USAGE[];

/** Parses the command line. An error is a usage error.
 *
 * If @argv[0] is mount.TYPE the caller is mount(8), and the letters are those
 * of its helpers (mount(8), "EXTERNAL HELPERS"). */
bool fs_options_parse(int argc, char **argv, FsOptions **ret_options,
                      GError **error);

/** The settings that @options, pofs.conf and the defaults make together. */
bool fs_options_config(const FsOptions *options, FsConfig *ret_config,
                       GError **error);

/** NULL is a no-op. */
void fs_options_free(FsOptions *options);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsOptions, fs_options_free)
