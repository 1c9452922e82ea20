/* SPDX-License-Identifier: BSD-2-Clause */
/* The errors of mail programs, in words; and what was going on when they were
 * logged. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "store/format/error.h"
#include "store/format/log.h"
#include "store/format/text.h"
#include "store/store.h"
#include "tools/access.h"
#include "tools/fact.h"
#include "tools/mail_log.h"
#include "tools/moment.h"
#include "tools/rows.h"
#include "tools/suspect.h"
#include "tools/tool.h"

#define NS_PER_MIN INT64_C(60000000000)

/* Longest text of a log entry that is shown, in bytes. */
#define TEXT_MAX 2000

#define WINDOW_MIN_DEFAULT 2
#define WINDOW_MIN_MAX     1440

typedef struct Explain {
	int window_min;   /* minutes before and after an error */
	int64_t since_ns; /* errors before it are left out */
	gboolean is_iso;
	bool is_json;
	ToolSuspects *suspects; /* owned */
	GVariantBuilder *rows;  /* borrowed: of the errors, for JSON */
	GHashTable *told;       /* owned: the FormatErrors explained so far */
	guint64 errors;
} Explain;

/* ---- a code -------------------------------------------------------------- */

static char *
number_text(const FormatError *error)
{
	switch (error->kind) {
	case FORMAT_ERROR_MAIL:
		return g_strdup_printf("[%03u]", error->number);
	case FORMAT_ERROR_DEVICE:
		return g_strdup_printf("%02X", error->number);
	case FORMAT_ERROR_PHRASE:
		return g_strdup("");
	case FORMAT_ERROR_DOS:
	case FORMAT_ERROR_NOTICE:
	case FORMAT_ERROR_WARNING:
	case FORMAT_ERROR_FATAL:
	case FORMAT_ERROR_EVENT:
		return g_strdup_printf("%u", error->number);
	}
	g_assert_not_reached();
}

/* What there is to say about @error. */
static void
add_error(GVariantBuilder *row, const FormatError *error)
{
	g_autofree char *number = number_text(error);

	tool_fact_text(row, "kind", format_error_kind_name(error->kind));
	tool_fact_text(row, "code", number);
	tool_fact_text(row, "meaning", error->text);
	tool_fact_bool(row, "explained", error->sources != NULL);
	if (error->cause != NULL)
		tool_fact_text(row, "cause", error->cause);
	if (error->cure != NULL)
		tool_fact_text(row, "cure", error->cure);
	if (error->sources != NULL)
		tool_fact_text(row, "sources", error->sources);
}

/* "mail error [021]: Missing routing file (P1)" */
static void
print_meaning(const char *indent, const FormatError *error)
{
	g_autofree char *number = number_text(error);

	(void)printf("%s%s%s%s: %s\n", indent,
	             format_error_kind_name(error->kind),
	             number[0] != '\0' ? " " : "", number, error->text);
}

static void
print_advice(const char *indent, const FormatError *error)
{
	if (error->sources == NULL) {
		(void)printf("%sNo public article that is known explains it.\n",
		             indent);
		return;
	}
	if (error->cause != NULL)
		(void)printf("%sCause:  %s\n", indent, error->cause);
	if (error->cure != NULL)
		(void)printf("%sCure:   %s\n", indent, error->cure);
	(void)printf("%sSource: %s\n", indent, error->sources);
}

static void
print_errors(const GPtrArray *errors, bool is_json)
{
	g_auto(GVariantBuilder) rows =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	g_autoptr(GVariant) list = NULL;
	guint i;

	for (i = 0; i < errors->len; i++) {
		GVariantBuilder row =
			G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

		add_error(&row, errors->pdata[i]);
		g_variant_builder_add_value(&rows, g_variant_builder_end(&row));
		if (!is_json) {
			print_meaning(i > 0 ? "\n" : "", errors->pdata[i]);
			print_advice("  ", errors->pdata[i]);
		}
	}
	list = g_variant_ref_sink(g_variant_builder_end(&rows));
	if (is_json)
		tool_rows_print_json("codes", list);
}

static int
explain_code(const FormatErrorCode *code, const char *word, bool is_json,
             GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new();
	size_t count;
	const FormatError *all = format_error_table(&count);
	size_t i;

	for (i = 0; i < count; i++)
		if (all[i].number == code->number &&
		    all[i].kind != FORMAT_ERROR_PHRASE &&
		    (!code->has_kind || all[i].kind == code->kind))
			g_ptr_array_add(found,
			                (FormatError *)(uintptr_t)&all[i]);
	if (found->len == 0)
		return tool_fail(error, -ENOENT,
		                 "%s is no error of the mail programs that is "
		                 "known",
		                 word);
	print_errors(found, is_json);
	return 0;
}

/* ---- a log --------------------------------------------------------------- */

static void
print_suspects(GVariant *suspects)
{
	GVariantIter iter;
	GVariant *row;

	g_variant_iter_init(&iter, suspects);
	while (g_variant_iter_loop(&iter, "@a{sv}", &row)) {
		g_autofree char *text = tool_suspect_text(row);

		tool_say("    %s", text);
	}
}

/* The time of @entry for people: "" if it has none. */
static char *
time_text(const Explain *explain, const FormatLogEntry *entry)
{
	const FormatLogTime *time = &entry->time;

	if (!time->is_known)
		return g_strdup("");
	if (time->year == 0)
		return g_strdup_printf("%02d:%02d", time->hour, time->minute);
	return g_strdup_printf(
		"%04d-%02d-%02d%c%02d:%02d%s", time->year, time->month,
		time->day, explain->is_iso ? 'T' : ' ', time->hour,
		time->minute,
		time->has_date || explain->is_json ? "" : " (date assumed)");
}

static void
print_entry(Explain *explain, const FormatLogEntry *entry,
            const FormatError *error, GVariant *suspects)
{
	g_autofree char *text =
		format_text_decode(entry->text, MIN(entry->size, TEXT_MAX));
	g_autofree char *time = time_text(explain, entry);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	size_t i;

	for (i = 0; lines[i] != NULL; i++)
		tool_say("%s%s%s", i == 0 ? time : "", i == 0 ? "  " : "    ",
		         g_strstrip(lines[i]));
	print_meaning("  ", error);
	if (g_hash_table_add(explain->told, (FormatError *)(uintptr_t)error))
		print_advice("  ", error);
	print_suspects(suspects);
	(void)putchar('\n');
}

static void
add_entry(const Explain *explain, const ToolMailLog *log,
          const FormatLogEntry *entry, const FormatError *error,
          GVariant *suspects)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	g_autofree char *text =
		format_text_decode(entry->text, MIN(entry->size, TEXT_MAX));
	g_autofree char *time = time_text(explain, entry);

	tool_fact_text(&row, "log", log->path);
	tool_fact_number(&row, "line", entry->line);
	tool_fact_text(&row, "time", time);
	tool_fact_bool(&row, "date_assumed",
	               entry->time.is_known && !entry->time.has_date);
	tool_fact_text(&row, "text", text);
	add_error(&row, error);
	g_variant_builder_add(&row, "{sv}", "transactions", suspects);
	g_variant_builder_add_value(explain->rows, g_variant_builder_end(&row));
}

/* The transactions about the time of @entry; none if it has no time. */
static int
find_suspects(const Explain *explain, const FormatLogEntry *entry,
              GVariant **ret_suspects, GError **error)
{
	int64_t window_ns = explain->window_min * NS_PER_MIN;
	int64_t time_ns;

	if (!tool_mail_log_time(&entry->time, &time_ns)) {
		*ret_suspects = g_variant_ref_sink(
			g_variant_new_array(G_VARIANT_TYPE("a{sv}"), NULL, 0));
		return 0;
	}
	return tool_suspects_find(explain->suspects, time_ns - window_ns,
	                          time_ns + NS_PER_MIN + window_ns, entry,
	                          ret_suspects, error);
}

/* Explains the entry if it is an error that is wanted. */
static int
explain_entry(Explain *explain, const ToolMailLog *log,
              const FormatLogEntry *entry, GError **error)
{
	const FormatError *meaning =
		format_error_in_text(entry->text, entry->size);
	g_autoptr(GVariant) suspects = NULL;
	int64_t time_ns = G_MAXINT64;
	int r;

	(void)tool_mail_log_time(&entry->time, &time_ns);
	if (meaning == NULL || time_ns < explain->since_ns)
		return 0;
	r = find_suspects(explain, entry, &suspects, error);
	if (r < 0)
		return r;
	explain->errors++;
	if (explain->is_json)
		add_entry(explain, log, entry, meaning, suspects);
	else
		print_entry(explain, entry, meaning, suspects);
	return 0;
}

static int
explain_log(Explain *explain, const ToolMailLog *log, GError **error)
{
	guint64 before = explain->errors;
	guint i;
	int r = 0;

	if (log->is_cut)
		tool_warn("%s is long: only its end was read", log->path);
	if (!explain->is_json)
		tool_say("%s:", log->path);
	for (i = 0; r == 0 && i < log->entries->len; i++)
		r = explain_entry(
			explain, log,
			&g_array_index(log->entries, FormatLogEntry, i), error);
	if (r == 0 && !explain->is_json && explain->errors == before)
		(void)puts("No error.\n");
	return r;
}

/* The logs that @word names; all if it is NULL. */
static int
read_logs(StoreTxn *txn, const char *word, GPtrArray **ret_logs, GError **error)
{
	g_autoptr(GPtrArray) logs = NULL;
	ToolMailLog *log = NULL;
	int r;

	if (word == NULL)
		return tool_mail_log_read_all(txn, ret_logs, error);
	if (access(word, F_OK) == 0)
		r = tool_mail_log_read(word, &log, error);
	else
		r = tool_mail_log_read_stored(txn, word, &log, error);
	if (r < 0)
		return r;
	logs = g_ptr_array_new_with_free_func(tool_mail_log_free);
	g_ptr_array_add(logs, log);
	*ret_logs = g_steal_pointer(&logs);
	return 0;
}

static int
explain_logs(Explain *explain, Store *store, const char *word, GError **error)
{
	g_auto(GVariantBuilder) rows =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	g_autoptr(GVariant) list = NULL;
	g_autoptr(GPtrArray) logs = NULL;
	int64_t window_ns = explain->window_min * NS_PER_MIN;
	guint i;
	int r;

	explain->rows = &rows;
	r = read_logs(store_plain(store), word, &logs, error);
	if (r == 0)
		r = tool_suspects_read(store, explain->since_ns - window_ns,
		                       explain->is_iso, &explain->suspects,
		                       error);
	for (i = 0; r == 0 && i < logs->len; i++)
		r = explain_log(explain, logs->pdata[i], error);
	if (r < 0)
		return r;
	if (!explain->is_json && logs->len == 0)
		(void)puts("The postoffice has no logs.");
	list = g_variant_ref_sink(g_variant_builder_end(&rows));
	if (explain->is_json)
		tool_rows_print_json("errors", list);
	return 0;
}

/* ---- the command --------------------------------------------------------- */

static int
explain_word(Explain *explain, char **arguments, GError **error)
{
	g_autoptr(Store) store = NULL;
	const char *word = arguments[1];
	FormatErrorCode code;
	int r;

	r = tool_access_open(arguments[0], STORE_READ, &store, error);
	if (r < 0)
		return r;
	if (word != NULL && format_error_parse(word, &code))
		return explain_code(&code, word, explain->is_json, error);
	return explain_logs(explain, store, word, error);
}

ToolExit
tool_explain(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	Explain explain = { .window_min = WINDOW_MIN_DEFAULT };
	g_autofree char *since = NULL;
	const GOptionEntry entries[] = {
		{ "window", 0, 0, G_OPTION_ARG_INT, &explain.window_min,
		  "Look so many minutes before and after an error", "N" },
		{ "since", 0, 0, G_OPTION_ARG_STRING, &since,
		  "Leave out errors before TIME", "TIME" },
		{ "iso", 0, 0, G_OPTION_ARG_NONE, &explain.is_iso,
		  "Print times in ISO 8601", NULL },
		{ NULL },
	};
	int r;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if (explain.window_min < 0 || explain.window_min > WINDOW_MIN_MAX) {
		(void)tool_misuse(error, "--window is 0 to %d minutes",
		                  WINDOW_MIN_MAX);
		return TOOL_USAGE;
	}
	if (since != NULL &&
	    tool_moment_read(since, &explain.since_ns, error) < 0)
		return TOOL_USAGE;
	explain.is_json = options.json;
	explain.is_iso |= options.json;
	explain.told = g_hash_table_new(NULL, NULL);
	r = explain_word(&explain, options.arguments, error);
	tool_suspects_free(explain.suspects);
	g_hash_table_unref(explain.told);
	return r < 0 ? TOOL_FAILED : TOOL_OK;
}
