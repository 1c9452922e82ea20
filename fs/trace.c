/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The trace of one session. */
typedef struct Trace {
	FILE *file;
	int dir_fd; /* where it is; not ours */
	uint64_t session;
	bool is_pending; /* who it is, is not known: see fs_trace_expect() */
	int64_t begun_us;
	size_t size;
	GHashTable *keys; /* StoreNode -> GBytes: KEY files as last seen */
} Trace;

struct FsTraceTable {
	GMutex mutex;
	int dir_fd;         /* of the store; -1 if it could not be opened */
	GHashTable *traces; /* serial -> Trace; under the mutex */
	uint64_t calls;     /* under the mutex */

	/* Under the mutex, too: those after this session are expected until
	 * then, but for these. */
	uint64_t expected; /* UINT64_MAX: nobody is */
	int64_t expected_until_us;
	GHashTable *dropped; /* set of serials */
};

/* ---- one trace ----------------------------------------------------------- */

/* Every line is there for who follows it. */
static void
trace_write(Trace *trace, const char *words)
{
	int64_t us = g_get_monotonic_time() - trace->begun_us;
	int written;

	if (trace->size >= FS_TRACE_SIZE_MAX)
		return;
	written =
		fprintf(trace->file, "at=%" G_GINT64_FORMAT ".%06d %s\n",
	                us / G_USEC_PER_SEC, (int)(us % G_USEC_PER_SEC), words);
	trace->size += written > 0 ? (size_t)written : FS_TRACE_SIZE_MAX;
	if (trace->size >= FS_TRACE_SIZE_MAX)
		(void)fprintf(trace->file, "event=full\n");
	(void)fflush(trace->file);
}

static char *
trace_name(uint64_t session)
{
	return g_strdup_printf("trace-%" G_GUINT64_FORMAT ".log", session);
}

static void
trace_close(void *data)
{
	Trace *trace = data;
	g_autofree char *name = trace_name(trace->session);

	trace_write(trace, "event=end");
	(void)fclose(trace->file);
	if (trace->is_pending)
		(void)unlinkat(trace->dir_fd, name, 0);
	g_hash_table_unref(trace->keys);
	g_free(trace);
}

static FILE *
trace_create(int dir_fd, uint64_t session)
{
	g_autofree char *name = trace_name(session);
	int fd = openat(dir_fd, name,
	                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	                0600);

	return fd < 0 ? NULL : fdopen(fd, "w");
}

/* ---- all of them --------------------------------------------------------- */

FsTrace *
fs_trace_new(const char *dir)
{
	FsTrace *trace = g_new0(FsTrace, 1);

	trace->table = g_new0(struct FsTraceTable, 1);
	g_mutex_init(&trace->table->mutex);
	trace->table->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	trace->table->traces = g_hash_table_new_full(
		g_int64_hash, g_int64_equal, g_free, trace_close);
	trace->table->expected = UINT64_MAX;
	trace->table->dropped = g_hash_table_new_full(
		g_int64_hash, g_int64_equal, g_free, NULL);
	return trace;
}

void
fs_trace_free(FsTrace *trace)
{
	if (trace == NULL)
		return;
	g_hash_table_unref(trace->table->traces);
	g_hash_table_unref(trace->table->dropped);
	g_mutex_clear(&trace->table->mutex);
	if (trace->table->dir_fd >= 0)
		(void)close(trace->table->dir_fd);
	g_free(trace->table);
	g_free(trace);
}

/* Called with the table locked. */
static int
trace_begin(FsTrace *trace, uint64_t session, const char *who, bool is_pending)
{
	struct FsTraceTable *table = trace->table;
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *time = g_date_time_format_iso8601(now);
	g_autofree char *escaped = g_strescape(who, NULL);
	g_autofree char *words = NULL;
	FILE *file;
	Trace *new;

	if (g_hash_table_contains(table->traces, &session))
		return -EALREADY;
	if (g_hash_table_size(table->traces) == FS_TRACE_SESSIONS_MAX)
		return -EMFILE;
	file = trace_create(table->dir_fd, session);
	if (file == NULL)
		return -errno;

	new = g_new(Trace, 1);
	*new = (Trace){
		.file = file,
		.dir_fd = table->dir_fd,
		.session = session,
		.is_pending = is_pending,
		.begun_us = g_get_monotonic_time(),
		.keys = g_hash_table_new_full(g_int64_hash, g_int64_equal,
		                              g_free,
		                              (GDestroyNotify)g_bytes_unref),
	};
	g_hash_table_insert(table->traces, g_memdup2(&session, sizeof(session)),
	                    new);
	words = g_strdup_printf("event=start session=%" G_GUINT64_FORMAT
	                        " time=%s who=\"%s\"",
	                        session, time, escaped);
	trace_write(new, words);
	trace->is_on = true;
	return 0;
}

int
fs_trace_start(FsTrace *trace, uint64_t session, const char *who)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&trace->table->mutex);

	return trace_begin(trace, session, who, false);
}

/* Called with the table locked. */
static void
is_on_settle(FsTrace *trace)
{
	trace->is_on = trace->table->expected != UINT64_MAX ||
	               g_hash_table_size(trace->table->traces) > 0;
}

static gboolean
is_pending(gpointer key, gpointer trace, gpointer user_data)
{
	(void)key;
	(void)user_data;
	return ((Trace *)trace)->is_pending;
}

/* Nobody is expected any more. Called with the table locked. */
static void
expect_end(FsTrace *trace)
{
	struct FsTraceTable *table = trace->table;

	table->expected = UINT64_MAX;
	g_hash_table_remove_all(table->dropped);
	g_hash_table_foreach_remove(table->traces, is_pending, NULL);
	is_on_settle(trace);
}

int
fs_trace_stop(FsTrace *trace, uint64_t session)
{
	struct FsTraceTable *table = trace->table;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);

	if (!g_hash_table_remove(table->traces, &session))
		return -ENOENT;
	is_on_settle(trace);
	return 0;
}

unsigned
fs_trace_stop_all(FsTrace *trace)
{
	struct FsTraceTable *table = trace->table;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	unsigned count;

	expect_end(trace);
	count = g_hash_table_size(table->traces);
	g_hash_table_remove_all(table->traces);
	is_on_settle(trace);
	return count;
}

bool
fs_trace_meet(FsTrace *trace, uint64_t session)
{
	struct FsTraceTable *table = trace->table;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);

	if (table->expected != UINT64_MAX &&
	    g_get_monotonic_time() > table->expected_until_us)
		expect_end(trace);
	if (g_hash_table_contains(table->traces, &session))
		return true;
	return session > table->expected &&
	       !g_hash_table_contains(table->dropped, &session) &&
	       trace_begin(trace, session, "not known yet", true) == 0;
}

/* ---- a client that is expected --------------------------------------------*/

void
fs_trace_expect(FsTrace *trace, uint64_t session)
{
	struct FsTraceTable *table = trace->table;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);

	table->expected = MIN(table->expected, session);
	table->expected_until_us = g_get_monotonic_time() + FS_TRACE_EXPECT_US;
	trace->is_on = true;
}

GArray *
fs_trace_expected(const FsTrace *trace)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&trace->table->mutex);
	GArray *sessions = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, trace->table->traces);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const Trace *of = value;

		if (of->is_pending)
			g_array_append_val(sessions, of->session);
	}
	return sessions;
}

int
fs_trace_keep(FsTrace *trace, uint64_t session, const char *who)
{
	struct FsTraceTable *table = trace->table;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	Trace *of = g_hash_table_lookup(table->traces, &session);
	g_autofree char *escaped = g_strescape(who, NULL);
	g_autofree char *words = g_strdup_printf("event=\"it is %s\"", escaped);

	if (of == NULL)
		return -ENOENT;
	of->is_pending = false;
	trace_write(of, words);
	expect_end(trace);
	return 0;
}

void
fs_trace_drop(FsTrace *trace, uint64_t session)
{
	struct FsTraceTable *table = trace->table;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);

	g_hash_table_add(table->dropped, g_memdup2(&session, sizeof(session)));
	(void)g_hash_table_remove(table->traces, &session);
	is_on_settle(trace);
}

/* ---- entries ------------------------------------------------------------- */

/* Writes @words to the trace of @session, if it has one. */
static void
table_write(struct FsTraceTable *table, uint64_t session, const char *words)
{
	Trace *trace = g_hash_table_lookup(table->traces, &session);

	if (trace != NULL)
		trace_write(trace, words);
}

void
fs_trace_ask(FsTrace *trace, uint64_t session, const char *op,
             const char *format, ...)
{
	struct FsTraceTable *table = trace->table;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	g_autofree char *detail = NULL;
	g_autofree char *words = NULL;
	va_list arguments;

	if (!g_hash_table_contains(table->traces, &session))
		return;
	va_start(arguments, format);
	detail = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	trace->asking = (FsTraceCall){ session, ++table->calls };
	words = g_strdup_printf("call=%" G_GUINT64_FORMAT " op=%s %s",
	                        trace->asking.number, op, detail);
	table_write(table, session, words);
}

void
fs_trace_answer(FsTrace *trace, const FsTraceCall *call, int r, size_t size)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&trace->table->mutex);
	g_autofree char *words =
		g_strdup_printf("call=%" G_GUINT64_FORMAT " r=%d done=%zu",
	                        call->number, r, size);

	table_write(trace->table, call->session, words);
}

void
fs_trace_event(FsTrace *trace, uint64_t session, const char *event)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&trace->table->mutex);
	g_autofree char *escaped = g_strescape(event, NULL);
	g_autofree char *words = g_strdup_printf("event=\"%s\"", escaped);

	table_write(trace->table, session, words);
}

/* ---- KEY files ----------------------------------------------------------- */

/* "030:00>02 031:01>00" */
static char *
difference(GBytes *before, const uint8_t *after, size_t size)
{
	size_t before_size;
	const uint8_t *old = g_bytes_get_data(before, &before_size);
	GString *words = g_string_new(NULL);
	size_t i;

	for (i = 0; i < MIN(size, before_size); i++)
		if (old[i] != after[i])
			g_string_append_printf(words, " %03zx:%02x>%02x", i,
			                       old[i], after[i]);
	if (size != before_size)
		g_string_append_printf(words, " size:%zu>%zu", before_size,
		                       size);
	return g_string_free(words, FALSE);
}

void
fs_trace_key_begin(FsTrace *trace, uint64_t session, StoreNode node,
                   const uint8_t *key, size_t size)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&trace->table->mutex);
	Trace *of = g_hash_table_lookup(trace->table->traces, &session);

	if (of != NULL && !g_hash_table_contains(of->keys, &node))
		g_hash_table_insert(of->keys, g_memdup2(&node, sizeof(node)),
		                    g_bytes_new(key, size));
}

/* Others may change it until it is used again. */
void
fs_trace_key_end(FsTrace *trace, uint64_t session, StoreNode node,
                 const char *path, const uint8_t *key, size_t size)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&trace->table->mutex);
	Trace *of = g_hash_table_lookup(trace->table->traces, &session);
	g_autofree char *changed = NULL;
	g_autofree char *words = NULL;
	GBytes *before;

	before = of != NULL ? g_hash_table_lookup(of->keys, &node) : NULL;
	if (before == NULL)
		return;
	changed = difference(before, key, size);
	words = g_strdup_printf("event=key path=\"%s\"%s", path, changed);
	if (changed[0] != '\0')
		trace_write(of, words);
	(void)g_hash_table_remove(of->keys, &node);
}
