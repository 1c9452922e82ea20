/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/mail_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/listing.h"
#include "tools/tool.h"

#define NS_PER_S INT64_C(1000000000)

/* Where programs say what went wrong (Q77926). SENT and RECV.LOG only say what
 * went where. */
static const char *const names[] = { "SESSION.LOG", "SYSTEM.LOG",
	                             "DISPATCH.LOG", "DIRSYNC.LOG" };

/* ---- entries ------------------------------------------------------------- */

bool
tool_mail_log_time(const FormatLogTime *time, int64_t *ret_ns)
{
	g_autoptr(GDateTime) local = NULL;

	if (!time->is_known || time->year == 0)
		return false;
	local = g_date_time_new_local(time->year, time->month, time->day,
	                              time->hour, time->minute, 0);
	if (local == NULL)
		return false;
	*ret_ns = g_date_time_to_unix(local) * NS_PER_S;
	return true;
}

/* When the log was changed last, as its entries tell time. */
static FormatLogTime
change_time(int64_t time_ns)
{
	g_autoptr(GDateTime) local =
		g_date_time_new_from_unix_local(time_ns / NS_PER_S);
	FormatLogTime time = { .is_known = local != NULL, .has_date = true };

	if (local != NULL) {
		g_date_time_get_ymd(local, &time.year, &time.month, &time.day);
		time.hour = g_date_time_get_hour(local);
		time.minute = g_date_time_get_minute(local);
	}
	return time;
}

void
tool_mail_log_free(void *data)
{
	ToolMailLog *log = data;

	if (log == NULL)
		return;
	g_free(log->path);
	g_byte_array_unref(log->bytes);
	g_array_unref(log->entries);
	g_free(log);
}

/* Takes @bytes. */
static ToolMailLog *
log_new(const char *path, GByteArray *bytes, uint64_t size, int64_t changed_ns)
{
	ToolMailLog *log = g_new0(ToolMailLog, 1);
	FormatLogTime end = change_time(changed_ns);
	FormatLogEntry entry;
	FormatLog reader;

	log->path = g_strdup(path);
	log->bytes = bytes;
	log->is_cut = size > bytes->len;
	log->entries = g_array_new(FALSE, FALSE, sizeof(FormatLogEntry));
	format_log_init(&reader, bytes->data, bytes->len);
	while (format_log_next(&reader, &entry))
		g_array_append_val(log->entries, entry);
	if (end.is_known)
		format_log_assume_dates(
			(FormatLogEntry *)(void *)log->entries->data,
			log->entries->len, &end);
	return log;
}

/* ---- the host's files ---------------------------------------------------- */

static int
read_fd(int fd, uint64_t offset, GByteArray *bytes)
{
	size_t done = 0;

	while (done < bytes->len) {
		ssize_t got = pread(fd, bytes->data + done, bytes->len - done,
		                    (off_t)(offset + done));

		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	g_byte_array_set_size(bytes, (guint)done);
	return 0;
}

int
tool_mail_log_read(const char *path, ToolMailLog **ret_log, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	struct stat st;
	size_t size;
	int r = 0;

	if (fd < 0)
		return tool_fail(error, -errno, "cannot open %s: %s", path,
		                 g_strerror(errno));
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (r == 0) {
		size = MIN((size_t)st.st_size, TOOL_MAIL_LOG_MAX);
		g_byte_array_set_size(bytes, (guint)size);
		r = read_fd(fd, (uint64_t)st.st_size - size, bytes);
	}
	(void)close(fd);
	if (r < 0)
		return tool_fail(error, r, "cannot read %s: %s", path,
		                 g_strerror(-r));
	*ret_log = log_new(path, g_steal_pointer(&bytes), (uint64_t)st.st_size,
	                   st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec);
	return 0;
}

/* ---- the store's files --------------------------------------------------- */

static int
read_node(StoreTxn *txn, StoreNode node, const char *path,
          ToolMailLog **ret_log)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	StoreAttr attr;
	size_t size;
	int r;

	r = store_attr_get(txn, node, &attr);
	if (r < 0)
		return r;
	size = MIN((size_t)attr.size, TOOL_MAIL_LOG_MAX);
	g_byte_array_set_size(bytes, (guint)size);
	r = store_file_read(txn, node, attr.size - size, bytes->data, size,
	                    &size);
	if (r < 0)
		return r;
	g_byte_array_set_size(bytes, (guint)size);
	*ret_log = log_new(path, g_steal_pointer(&bytes), attr.size,
	                   attr.mtime_ns);
	return 0;
}

/* Finds what the words of @path lead to from @dir. */
static int
find_path(StoreTxn *txn, StoreNode dir, const char *path, StoreNode *ret_node)
{
	g_auto(GStrv) words = g_strsplit_set(path, "/\\", -1);
	StoreEntry entry = { .node = dir };
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && words[i] != NULL; i++)
		if (words[i][0] != '\0')
			r = store_name_find(txn, entry.node, words[i], &entry);
	if (r == 0)
		*ret_node = entry.node;
	return r;
}

int
tool_mail_log_read_stored(StoreTxn *txn, const char *path,
                          ToolMailLog **ret_log, GError **error)
{
	StoreNode node;
	int r;

	r = find_path(txn, STORE_ROOT, path, &node);
	if (r == 0)
		r = read_node(txn, node, path, ret_log);
	if (r < 0)
		return tool_fail(error, r,
		                 "%s is no code, no file here, and none in the "
		                 "store: %s",
		                 path, g_strerror(-r));
	return 0;
}

/* Adds the logs of the postoffice @dir, which is called @name. */
static int
add_office(StoreTxn *txn, StoreNode dir, const char *name, GPtrArray *logs)
{
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path =
			g_build_filename(name, "LOG", names[i], NULL);
		g_autofree char *below =
			g_build_filename("LOG", names[i], NULL);
		ToolMailLog *log;
		StoreNode node;
		int r;

		r = find_path(txn, dir, below, &node);
		if (r == 0)
			r = read_node(txn, node, path, &log);
		if (r == 0)
			g_ptr_array_add(logs, log);
		else if (r == -EIO)
			return r;
	}
	return 0;
}

static int
add_offices(StoreTxn *txn, GPtrArray *logs)
{
	g_autoptr(GPtrArray) entries = NULL;
	guint i;
	int r;

	r = tool_listing_read(txn, STORE_ROOT, &entries);
	if (r == 0)
		r = add_office(txn, STORE_ROOT, "/", logs);
	for (i = 0; r == 0 && i < entries->len; i++) {
		const StoreEntry *entry = entries->pdata[i];
		g_autofree char *path =
			g_build_filename("/", entry->name, NULL);
		LayoutDir role;

		if (!S_ISDIR(entry->mode))
			continue;
		r = store_dir_role(txn, entry->node, &role);
		if (r == 0 && role == LAYOUT_DIR_POSTOFFICE)
			r = add_office(txn, entry->node, path, logs);
	}
	return r;
}

int
tool_mail_log_read_all(StoreTxn *txn, GPtrArray **ret_logs, GError **error)
{
	g_autoptr(GPtrArray) logs =
		g_ptr_array_new_with_free_func(tool_mail_log_free);
	int r;

	r = add_offices(txn, logs);
	if (r < 0)
		return tool_fail(error, r, "cannot read the logs: %s",
		                 g_strerror(-r));
	*ret_logs = g_steal_pointer(&logs);
	return 0;
}
