/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/manager.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <glib.h>
#include <systemd/sd-daemon.h>

#include "fs/log.h"
#include "fs/log_writer.h"

#define READY "READY=1"

/* What may wait to be told, in bytes: some words. */
#define ROOM 4096

static FsLogWriter *writer; /* NULL: who speaks waits */
static bool is_ready_needed;
static gint untold; /* atomic: words that were not taken yet */

/* On the thread, if there is one. A service manager that does not hear that we
 * are ready would wait, and then end us. */
static void
word_tell(int priority, const char *word)
{
	int r = sd_notify(0, word);

	(void)priority;
	g_atomic_int_add(&untold, -1);
	if (r >= 0 || !is_ready_needed || !g_str_equal(word, READY))
		return;
	fs_log_failed("the service manager: %s", g_strerror(-r));
	(void)kill(getpid(), SIGTERM);
}

void
fs_manager_start(bool is_needed)
{
	int r;

	if (getenv("NOTIFY_SOCKET") == NULL)
		return;

	is_ready_needed = is_needed;
	r = fs_log_writer_open(word_tell, &writer);
	if (r < 0)
		fs_log(FS_EVENT_TROUBLE,
		       FS_LOG_TEXT("what", "the service manager"),
		       FS_LOG_TEXT("reason", g_strerror(-r)));
}

void
fs_manager_tell(const char *word)
{
	g_atomic_int_inc(&untold);
	if (writer == NULL)
		word_tell(0, word);
	else if (!fs_log_writer_put(writer, ROOM, 0, word))
		g_atomic_int_add(&untold, -1);
}

void
fs_manager_tell_alive(void)
{
	if (g_atomic_int_get(&untold) == 0)
		fs_manager_tell("WATCHDOG=1");
}

void
fs_manager_stop(void)
{
	fs_log_writer_close(g_steal_pointer(&writer));
}
