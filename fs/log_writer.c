/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/log_writer.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

/* How long an author waits for its line, and who closes for all of them, in
 * microseconds. */
#define PUT_US   INT64_C(100000)
#define CLOSE_US INT64_C(5000000)

typedef struct Line {
	GList link; /* in the queue */
	int priority;
	size_t size; /* of it all */
	char text[];
} Line;

struct FsLogWriter {
	FsLogSink *sink;
	GThread *thread;
	GMutex mutex; /* protects what follows */
	GCond changed;
	GQueue lines;     /* of owned Line; the first is being written */
	size_t size;      /* of them all, in bytes */
	uint64_t put;     /* how many, ever */
	uint64_t written; /* and of these */
	bool is_behind;   /* an author has waited in vain */
	bool is_closing;
	bool is_done; /* the thread has ended */
};

/* ---- the thread ---------------------------------------------------------- */

/* With the mutex, but not while it writes. */
static void
line_write(FsLogWriter *writer)
{
	Line *line = g_queue_peek_head(&writer->lines);

	g_mutex_unlock(&writer->mutex);
	writer->sink(line->priority, line->text);
	g_mutex_lock(&writer->mutex);

	(void)g_queue_pop_head_link(&writer->lines);
	writer->size -= line->size;
	writer->written++;
	if (g_queue_is_empty(&writer->lines))
		writer->is_behind = false;
	g_cond_broadcast(&writer->changed);
	g_free(line);
}

static void *
writer_run(void *user_data)
{
	FsLogWriter *writer = user_data;

	g_mutex_lock(&writer->mutex);
	while (!writer->is_closing || !g_queue_is_empty(&writer->lines))
		if (g_queue_is_empty(&writer->lines))
			g_cond_wait(&writer->changed, &writer->mutex);
		else
			line_write(writer);
	writer->is_done = true;
	g_cond_broadcast(&writer->changed);
	g_mutex_unlock(&writer->mutex);
	return NULL;
}

/* ---- its authors --------------------------------------------------------- */

/* Not with the mutex: if there is no memory, GLib says so in the log. */
static Line *
line_new(int priority, const char *text)
{
	size_t length = strlen(text);
	Line *line = g_malloc(sizeof(Line) + length + 1);

	*line = (Line){
		.link.data = line,
		.priority = priority,
		.size = sizeof(Line) + length + 1,
	};
	memcpy(line->text, text, length + 1);
	return line;
}

/* With the mutex: until the line that was put as @serial-th is written. */
static void
line_await(FsLogWriter *writer, uint64_t serial)
{
	int64_t end_us = g_get_monotonic_time() + PUT_US;

	while (writer->written < serial && !writer->is_behind)
		if (!g_cond_wait_until(&writer->changed, &writer->mutex,
		                       end_us) &&
		    writer->written < serial)
			writer->is_behind = true;
}

int
fs_log_writer_open(FsLogSink *sink, FsLogWriter **ret_writer)
{
	FsLogWriter *writer = g_new(FsLogWriter, 1);

	*writer = (FsLogWriter){ .sink = sink };
	g_mutex_init(&writer->mutex);
	g_cond_init(&writer->changed);
	g_queue_init(&writer->lines);
	writer->thread = g_thread_try_new("log", writer_run, writer, NULL);
	if (writer->thread == NULL) {
		g_mutex_clear(&writer->mutex);
		g_cond_clear(&writer->changed);
		g_free(writer);
		return -EAGAIN;
	}

	*ret_writer = writer;
	return 0;
}

bool
fs_log_writer_put(FsLogWriter *writer, size_t room, int priority,
                  const char *text)
{
	Line *line = line_new(priority, text);
	bool is_room;

	g_mutex_lock(&writer->mutex);
	is_room = writer->size + line->size <= room;
	if (is_room) {
		writer->size += line->size;
		g_queue_push_tail_link(&writer->lines, &line->link);
		g_cond_broadcast(&writer->changed);
		line_await(writer, ++writer->put);
	}
	g_mutex_unlock(&writer->mutex);
	if (!is_room)
		g_free(line);
	return is_room;
}

void
fs_log_writer_close(FsLogWriter *writer)
{
	int64_t end_us = g_get_monotonic_time() + CLOSE_US;
	bool is_late = false;

	if (writer == NULL)
		return;

	g_mutex_lock(&writer->mutex);
	writer->is_closing = true;
	g_cond_broadcast(&writer->changed);
	while (!writer->is_done && !is_late)
		is_late = !g_cond_wait_until(&writer->changed, &writer->mutex,
		                             end_us);
	is_late = !writer->is_done;
	g_mutex_unlock(&writer->mutex);
	if (is_late)
		return;

	g_thread_join(writer->thread);
	g_mutex_clear(&writer->mutex);
	g_cond_clear(&writer->changed);
	g_free(writer);
}
