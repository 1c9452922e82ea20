/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/options.h"

#include <getopt.h>
#include <string.h>

const char FS_OPTIONS_USAGE[] =
	"usage: pofs [-fv] [-c FILE] STORE MOUNTPOINT [-o OPTION,...]\n"
	"       pofs -n [-c FILE] STORE [-o OPTION,...]\n"
	"       pofs --events\n"
	"\n"
	"Serves the postoffice store in directory STORE at MOUNTPOINT.\n"
	"\n"
	"  -c FILE    read FILE instead of STORE/pofs.conf\n"
	"  -f         stay in the foreground, log to the standard error\n"
	"  -n         print the settings that are in force, and exit\n"
	"  -o OPTION  ro, user=NAME, allow_other, or any key of pofs.conf\n"
	"             (uid=1000, umask=007, dos-sharing=false, ...)\n"
	"  -v         log every request\n"
	"  --events   print what can be in the log, and exit\n"
	"  --help, --version\n";

/* What mount(8) passes on. None of it is ours to decide: the mount is always
 * nosuid, nodev and noexec, and atimes are not kept. */
static const char *const IGNORED[] = {
	"rw",       "dev",     "nodev",      "suid",     "nosuid",  "exec",
	"noexec",   "auto",    "noauto",     "nouser",   "_netdev", "nofail",
	"relatime", "noatime", "nodiratime", "defaults", "sync",    "async",
};

static bool
is_ignored(const char *option)
{
	for (size_t i = 0; i < G_N_ELEMENTS(IGNORED); i++)
		if (strcmp(option, IGNORED[i]) == 0)
			return true;

	return g_str_has_prefix(option, "x-");
}

static bool
mount_option_parse(FsOptions *options, const char *option, GError **error)
{
	FsConfig scratch = fs_config_default();
	const char *equals = strchr(option, '=');
	g_autofree char *key = NULL;

	if (option[0] == '\0' || is_ignored(option))
		return true;

	if (strcmp(option, "ro") == 0) {
		options->read_only = true;
		return true;
	}

	if (strcmp(option, "allow_other") == 0) {
		options->allow_other = true;
		return true;
	}

	if (g_str_has_prefix(option, "user=") && equals[1] != '\0') {
		g_free(options->user);
		options->user = g_strdup(equals + 1);
		return true;
	}

	if (equals == NULL)
		equals = option + strlen(option);
	key = g_strndup(option, (gsize)(equals - option));
	if (!fs_config_set(&scratch, key, *equals ? equals + 1 : "", error))
		return false;

	g_ptr_array_add(options->settings, g_strdup(option));
	return true;
}

static bool
mount_options_parse(FsOptions *options, const char *list, GError **error)
{
	g_auto(GStrv) items = g_strsplit(list, ",", -1);

	for (char **item = items; *item != NULL; item++)
		if (!mount_option_parse(options, *item, error))
			return false;

	return true;
}

static bool
flag_refuse(int flag, char **argv, GError **error)
{
	g_set_error(error, FS_CONFIG_ERROR, FS_CONFIG_ERROR_UNKNOWN,
	            flag == ':' ? "%s needs a value" : "unknown option \"%s\"",
	            argv[optind - 1]);
	return false;
}

/* mount(8) calls mount.TYPE, with letters that mean something else. */
static bool
is_helper(const char *program)
{
	g_autofree char *name = g_path_get_basename(program);

	return g_str_has_prefix(name, "mount.");
}

/* As mount(8) documents them in EXTERNAL HELPERS. What a helper has to be told
 * of the table of mounts (-n), of details (-v) and of its own type (-t) is
 * nothing to us, and we know our options well enough to be strict (-s). */
static bool
helper_flags_parse(FsOptions *options, int argc, char **argv, GError **error)
{
	int flag;

	while ((flag = getopt(argc, argv, ":fno:st:v")) != -1) {
		if (flag == ':' || flag == '?')
			return flag_refuse(flag, argv, error);
		if (flag == 'f')
			options->command = FS_COMMAND_PRETEND;
		if (flag == 'o' && !mount_options_parse(options, optarg, error))
			return false;
	}

	return true;
}

static bool
flags_parse(FsOptions *options, int argc, char **argv, GError **error)
{
	static const struct option LONG[] = {
		{ "events", no_argument, NULL, 'e' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int flag;

	while ((flag = getopt_long(argc, argv, ":c:fhno:vV", LONG, NULL)) !=
	       -1) {
		switch (flag) {
		case 'c':
			g_free(options->config_path);
			options->config_path =
				g_canonicalize_filename(optarg, NULL);
			break;
		case 'e':
			options->command = FS_COMMAND_PRINT_EVENTS;
			return true;
		case 'f':
			options->foreground = true;
			break;
		case 'h':
			options->command = FS_COMMAND_HELP;
			return true;
		case 'n':
			options->command = FS_COMMAND_PRINT_CONFIG;
			break;
		case 'o':
			if (!mount_options_parse(options, optarg, error))
				return false;
			break;
		case 'v':
			options->verbose = true;
			break;
		case 'V':
			options->command = FS_COMMAND_VERSION;
			return true;
		default:
			return flag_refuse(flag, argv, error);
		}
	}

	return true;
}

static int
operands_wanted(FsCommand command)
{
	switch (command) {
	case FS_COMMAND_MOUNT:
	case FS_COMMAND_PRETEND:
		return 2;
	case FS_COMMAND_PRINT_CONFIG:
		return 1;
	case FS_COMMAND_PRINT_EVENTS:
	case FS_COMMAND_HELP:
	case FS_COMMAND_VERSION:
		break;
	}

	return 0;
}

static bool
operands_parse(FsOptions *options, int count, char **operands, GError **error)
{
	int wanted = operands_wanted(options->command);

	if (wanted == 0)
		return true;

	if (count != wanted) {
		g_set_error(error, FS_CONFIG_ERROR, FS_CONFIG_ERROR_VALUE,
		            wanted == 2 ? "a STORE and a MOUNTPOINT are needed"
		                        : "one STORE is needed");
		return false;
	}

	options->store = g_canonicalize_filename(operands[0], NULL);
	if (wanted == 2)
		options->mount_point =
			g_canonicalize_filename(operands[1], NULL);

	return true;
}

bool
fs_options_parse(int argc, char **argv, FsOptions **ret_options, GError **error)
{
	g_autoptr(FsOptions) options = g_new0(FsOptions, 1);
	bool parsed;

	options->settings = g_ptr_array_new_with_free_func(g_free);

	opterr = 0;
	parsed = argc > 0 && is_helper(argv[0])
	                 ? helper_flags_parse(options, argc, argv, error)
	                 : flags_parse(options, argc, argv, error);
	if (!parsed ||
	    !operands_parse(options, argc - optind, argv + optind, error))
		return false;

	*ret_options = g_steal_pointer(&options);
	return true;
}

bool
fs_options_config(const FsOptions *options, FsConfig *ret_config,
                  GError **error)
{
	g_autofree char *own = NULL;
	const char *path = options->config_path;
	FsConfig config = fs_config_default();

	if (path == NULL) {
		own = g_build_filename(options->store, "pofs.conf", NULL);
		path = g_file_test(own, G_FILE_TEST_EXISTS) ? own : NULL;
	}

	if (path != NULL && !fs_config_load(&config, path, error))
		return false;

	for (guint i = 0; i < options->settings->len; i++) {
		const char *setting = options->settings->pdata[i];
		g_auto(GStrv) pair = g_strsplit(setting, "=", 2);

		if (!fs_config_set(&config, pair[0], pair[1] ? pair[1] : "",
		                   error))
			return false;
	}

	*ret_config = config;
	return true;
}

void
fs_options_free(FsOptions *options)
{
	if (options == NULL)
		return;

	g_free(options->store);
	g_free(options->mount_point);
	g_free(options->user);
	g_free(options->config_path);
	g_ptr_array_unref(options->settings);
	g_free(options);
}
