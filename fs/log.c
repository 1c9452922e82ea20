/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "fs/log_writer.h"

/* Longest value, in bytes; what is beyond is left out. */
#define TEXT_MAX 512

/* So many lines of a limited event in so much time, in microseconds. */
#define LIMIT_COUNT 20
#define LIMIT_US    INT64_C(10000000)

/* What may wait to be written, in bytes: routine lines leave room for others,
 * and both for the last, which tell what was left out. */
#define ROOM_ROUTINE ((size_t)1 << 19)
#define ROOM_OTHERS  ((size_t)1 << 20)
#define ROOM_LAST    SIZE_MAX

typedef struct EventInfo {
	const char *name;
	int priority; /* of syslog(3); LOG_DEBUG: routine */
	bool is_limited;
	const char *keys; /* in order; what is not known is left out */
	const char *meaning;
} EventInfo;

/* What the manual page pofs(8) says in its section EVENTS. */
static const EventInfo EVENTS[] = {
	[FS_EVENT_READY] = { "ready", LOG_NOTICE, false,
	                     "store mountpoint access version", "It serves." },
	[FS_EVENT_UNCLEAN] = { "unclean", LOG_WARNING, false, "store",
	                       "The last one did not end in order." },
	[FS_EVENT_STOPPING] = { "stopping", LOG_NOTICE, false, "mountpoint",
	                        "It takes no more requests." },
	[FS_EVENT_STOPPED] = { "stopped", LOG_NOTICE, false, "mountpoint",
	                       "All is on disk, and it ends." },
	[FS_EVENT_FAILED] = { "failed", LOG_ERR, false, "reason",
	                      "It cannot start." },
	[FS_EVENT_HUNG] = { "hung", LOG_ERR, false, "silent-s",
	                    "The process that served hangs, and is killed." },
	[FS_EVENT_KILLED] = { "killed", LOG_ERR, false, "signal reason",
	                      "The process that served was killed." },
	[FS_EVENT_TROUBLE] = { "trouble", LOG_WARNING, false, "what reason",
	                       "Something failed that it can do without." },

	[FS_EVENT_SESSION_BEGIN] = { "session-begin", LOG_DEBUG, false,
	                             "session pid",
	                             "A client's first request." },
	[FS_EVENT_SESSION_END] = { "session-end", LOG_DEBUG, false,
	                           "session pid client",
	                           "Its process has ended." },
	[FS_EVENT_REQUEST] = { "request", LOG_DEBUG, false,
	                       "op slot node size r us",
	                       "A request was answered." },
	[FS_EVENT_LOCK_TIMEOUT] = { "lock-timeout", LOG_WARNING, true,
	                            "session pid client lock waited-ms holder "
	                            "holder-pid holder-client held-ms",
	                            "A client waited for a lock in vain." },
	[FS_EVENT_LOCK_CIRCLE] = { "lock-circle", LOG_WARNING, true,
	                           "session pid client lock waited-ms holder "
	                           "holder-pid holder-client held-ms",
	                           "A wait was refused that could never end." },
	[FS_EVENT_LOCK_STRANGER] = { "lock-stranger", LOG_WARNING, true, "uid",
	                             "A caller cannot be told from others." },
	[FS_EVENT_SILENT] = { "silent", LOG_WARNING, true,
	                      "session pid client lock",
	                      "A client that kept others waiting hangs." },
	[FS_EVENT_TRUNCATE_REFUSED] = { "truncate-refused", LOG_WARNING, true,
	                                "session pid client path op",
	                                "Another's message was to be emptied." },
	[FS_EVENT_WRITE_REFUSED] = { "write-refused", LOG_WARNING, true,
	                             "op room",
	                             "A client wrote more than there is room "
	                             "for." },

	[FS_EVENT_UNDONE] = { "undone", LOG_WARNING, true,
	                      "session pid client why reason age-ms files "
	                      "bytes "
	                      "quarantine",
	                      "A transaction was undone." },
	[FS_EVENT_NOT_KEPT] = { "not-kept", LOG_ERR, false,
	                        "session pid client reason",
	                        "What was undone is not in the quarantine." },
	[FS_EVENT_COMMIT_FAILED] = { "commit-failed", LOG_ERR, true,
	                             "session pid client reason",
	                             "A transaction could not be committed." },

	[FS_EVENT_STORE_FULL] = { "store-full", LOG_ERR, true, "store room",
	                          "There is no room for mail; reading goes on." },
	[FS_EVENT_STORE_FAILING] = { "store-failing", LOG_CRIT, false,
	                             "store reason",
	                             "The disk has errors; nothing is written." },
	[FS_EVENT_STORE_WELL] = { "store-well", LOG_NOTICE, true, "store room",
	                          "Mail is written again." },
	[FS_EVENT_LOST] = { "lost", LOG_CRIT, false, "store reason",
	                    "The last changes are not on disk." },
	[FS_EVENT_STORE] = { "store", LOG_WARNING, true, "text",
	                     "The store has something to say." },

	[FS_EVENT_BREAK] = { "break", LOG_NOTICE, false,
	                     "session pid client locks waits files",
	                     "poctl break ended what a session had under "
	                     "way." },
	[FS_EVENT_EDIT] = { "edit", LOG_NOTICE, false, "who",
	                    "poctl has changed mail." },
	[FS_EVENT_EDIT_REFUSED] = { "edit-refused", LOG_NOTICE, false,
	                            "who reason",
	                            "poctl wanted to, and nothing was done." },
	[FS_EVENT_DISCARD] = { "discard", LOG_NOTICE, false, "quarantine",
	                       "poctl has removed a quarantined transaction." },
	[FS_EVENT_CONTROL_REFUSED] = { "control-refused", LOG_WARNING, true,
	                               "uid pid",
	                               "Who may not asked at the socket." },
	[FS_EVENT_CONTROL_CLOSED] = { "control-closed", LOG_INFO, true,
	                              "reason",
	                              "Who asked there did not finish." },

	[FS_EVENT_LIBRARY] = { "library", LOG_WARNING, true, "domain text",
	                       "A library has something to say." },
	[FS_EVENT_SUPPRESSED] = { "suppressed", LOG_WARNING, false,
	                          "name count",
	                          "So many lines of an event were left out." },
};

G_STATIC_ASSERT(G_N_ELEMENTS(EVENTS) == FS_EVENT_END);

/* How many lines of an event were written of late, and were not. */
typedef struct Quota {
	int64_t since_us;
	unsigned count;
	unsigned left_out;
} Quota;

static bool is_foreground = true;
static bool is_verbose;
static bool is_journal;     /* the standard error is */
static FsLogWriter *writer; /* owned; NULL: who has a line writes it */

static GMutex mutex; /* protects what follows */
static Quota quotas[FS_EVENT_END];

void
fs_log_print(FILE *out)
{
	static const char *const priorities[] = {
		[LOG_CRIT] = "crit",       [LOG_ERR] = "err",
		[LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
		[LOG_INFO] = "info",       [LOG_DEBUG] = "debug",
	};

	for (size_t i = 0; i < FS_EVENT_END; i++)
		fprintf(out, "%s\t%s\t%s\t%s\n", EVENTS[i].name,
		        priorities[EVENTS[i].priority], EVENTS[i].keys,
		        EVENTS[i].meaning);
}

/* ---- lines --------------------------------------------------------------- */

static bool
is_plain(const char *text)
{
	if (text[0] == '\0')
		return false;
	for (; *text != '\0'; text++)
		if (!g_ascii_isgraph(*text) || strchr("\"=\\", *text) != NULL)
			return false;
	return true;
}

/* Adds one character of @text, or a byte that is none, and returns its end. */
static const char *
add_character(GString *line, const char *text)
{
	gunichar c = g_utf8_get_char_validated(text, -1);
	const char *end;

	if (c == (gunichar)-1 || c == (gunichar)-2 || !g_unichar_isprint(c)) {
		g_string_append_printf(line, "\\x%02x", (unsigned char)*text);
		return text + 1;
	}

	if (c == '"' || c == '\\')
		g_string_append_c(line, '\\');
	end = g_utf8_next_char(text);
	g_string_append_len(line, text, end - text);
	return end;
}

static void
add_text(GString *line, const char *text)
{
	const char *end = text;

	if (is_plain(text) && strlen(text) <= TEXT_MAX) {
		g_string_append(line, text);
		return;
	}

	g_string_append_c(line, '"');
	while (*end != '\0' && end - text < TEXT_MAX)
		end = add_character(line, end);
	g_string_append(line, *end != '\0' ? "...\"" : "\"");
}

static char *
line_new(FsEvent event, const FsLogField *fields)
{
	g_autoptr(GString) line = g_string_new("event=");

	g_string_append(line, EVENTS[event].name);
	for (; fields->key != NULL; fields++) {
		if (fields->is_text && fields->text == NULL)
			continue;
		g_string_append_printf(line, " %s=", fields->key);
		if (fields->is_text)
			add_text(line, fields->text);
		else
			g_string_append_printf(line, "%" PRId64,
			                       fields->number);
	}
	return g_string_free(g_steal_pointer(&line), FALSE);
}

static bool
is_wanted(FsEvent event)
{
	return EVENTS[event].priority != LOG_DEBUG || is_verbose;
}

/* ---- limits -------------------------------------------------------------- */

/* Whether one more line of @event may be written. What was left out before
 * @now_us is told of by fs_log_flush(). */
static bool
quota_take(FsEvent event, int64_t now_us)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&mutex);
	Quota *quota = &quotas[event];

	if (!EVENTS[event].is_limited)
		return true;

	if (now_us - quota->since_us >= LIMIT_US) {
		quota->since_us = now_us;
		quota->count = 0;
	}
	if (quota->count >= LIMIT_COUNT) {
		quota->left_out++;
		return false;
	}
	quota->count++;
	return true;
}

/* How many lines of @event were left out, if that is over or @is_end. */
static unsigned
quota_settle(FsEvent event, int64_t now_us, bool is_end)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&mutex);
	Quota *quota = &quotas[event];
	unsigned count = quota->left_out;

	if (count == 0 || (!is_end && now_us - quota->since_us < LIMIT_US))
		return 0;

	quota->left_out = 0;
	return count;
}

/* So many lines more of @event could not be written. */
static void
quota_add_left_out(FsEvent event, unsigned count)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&mutex);

	quotas[event].left_out += count;
}

char *
fs_log_line(FsEvent event, const FsLogField *fields, int64_t now_us)
{
	return is_wanted(event) && quota_take(event, now_us)
	               ? line_new(event, fields)
	               : NULL;
}

/* ---- writing ------------------------------------------------------------- */

/* A pipe's other end may have made it one that does not wait. */
static void
error_write(const char *text)
{
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t size = write(out.fd, text, left);

		if (size < 0 && errno == EAGAIN)
			(void)poll(&out, 1, -1);
		else if (size < 0 && errno != EINTR)
			return;
		if (size > 0) {
			text += size;
			left -= (size_t)size;
		}
	}
}

static void
sink_write(int priority, const char *text)
{
	g_autofree char *line = NULL;

	if (!is_foreground) {
		syslog(priority, "%s", text);
		return;
	}

	line = is_journal ? g_strdup_printf("<%d>%s\n", priority, text)
	                  : g_strdup_printf("%s\n", text);
	error_write(line);
}

static size_t
room_for(FsEvent event)
{
	return EVENTS[event].priority == LOG_DEBUG ? ROOM_ROUTINE : ROOM_OTHERS;
}

/* Returns false if there is no room for it. */
static bool
line_write(FsEvent event, const char *line, size_t room)
{
	int priority = EVENTS[event].priority;

	if (writer != NULL)
		return fs_log_writer_put(writer, room, priority, line);

	sink_write(priority, line);
	return true;
}

/* It takes no more room than the line that it goes before. */
static void
left_out_write(int64_t now_us, size_t room)
{
	bool is_end = room == ROOM_LAST;

	for (FsEvent event = 0; event < FS_EVENT_END; event++) {
		unsigned count = quota_settle(event, now_us, is_end);
		g_autofree char *line = NULL;

		if (count == 0)
			continue;
		line = line_new(FS_EVENT_SUPPRESSED,
		                (const FsLogField[]){
					FS_LOG_TEXT("name", EVENTS[event].name),
					FS_LOG_NUMBER("count", count),
					{ NULL } });
		if (!line_write(FS_EVENT_SUPPRESSED, line, room))
			quota_add_left_out(event, count);
	}
}

void
fs_log_write(FsEvent event, const FsLogField *fields)
{
	int64_t now_us = g_get_monotonic_time();
	g_autofree char *line = NULL;

	if (!is_wanted(event))
		return;

	left_out_write(now_us, room_for(event));
	line = fs_log_line(event, fields, now_us);
	if (line != NULL && !line_write(event, line, room_for(event)))
		quota_add_left_out(event, 1);
}

void
fs_log_start(void)
{
	int r = fs_log_writer_open(sink_write, &writer);

	if (r < 0)
		fs_log(FS_EVENT_TROUBLE, FS_LOG_TEXT("what", "the log"),
		       FS_LOG_TEXT("reason", g_strerror(-r)));
}

void
fs_log_stop(void)
{
	left_out_write(g_get_monotonic_time(), ROOM_LAST);
	fs_log_writer_close(g_steal_pointer(&writer));
}

void
fs_log_failed(const char *format, ...)
{
	g_autofree char *reason = NULL;
	va_list arguments;

	va_start(arguments, format);
	reason = g_strdup_vprintf(format, arguments);
	va_end(arguments);

	if (is_journal)
		fs_log(FS_EVENT_FAILED, FS_LOG_TEXT("reason", reason));
	else
		fprintf(stderr, "pofs: %s\n", reason);
}

bool
fs_log_is_verbose(void)
{
	return is_verbose;
}

/* ---- what others write --------------------------------------------------- */

static GLogWriterOutput
glib_write(GLogLevelFlags level, const GLogField *fields, gsize count,
           gpointer user_data)
{
	const char *domain = NULL;
	const char *text = "";

	(void)user_data;
	if ((level & (G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_INFO)) != 0)
		return G_LOG_WRITER_HANDLED;

	for (gsize i = 0; i < count; i++) {
		if (strcmp(fields[i].key, "MESSAGE") == 0)
			text = fields[i].value;
		else if (strcmp(fields[i].key, "GLIB_DOMAIN") == 0)
			domain = fields[i].value;
	}

	if (g_strcmp0(domain, "store") == 0)
		fs_log(FS_EVENT_STORE, FS_LOG_TEXT("text", text));
	else
		fs_log(FS_EVENT_LIBRARY, FS_LOG_TEXT("domain", domain),
		       FS_LOG_TEXT("text", text));
	return G_LOG_WRITER_HANDLED;
}

/* systemd names the device and inode of what it has made our standard error,
 * which may be another by now. */
static bool
is_stderr_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	g_autofree char *own = NULL;
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) < 0)
		return false;

	own = g_strdup_printf("%" PRIuMAX ":%" PRIuMAX, (uintmax_t)st.st_dev,
	                      (uintmax_t)st.st_ino);
	return strcmp(stream, own) == 0;
}

void
fs_log_open(bool foreground, bool verbose)
{
	is_foreground = foreground;
	is_verbose = verbose;
	is_journal = is_stderr_journal();
	if (!foreground)
		openlog("pofs", LOG_PID, LOG_DAEMON);
	g_log_set_writer_func(glib_write, NULL, NULL);
}
