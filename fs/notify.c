/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/notify.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

/* From the kernel's fuse.h; the library of Debian 12 is older. */
#define FUSE_NOTIFY_INC_EPOCH 8

struct fuse_out_header {
	uint32_t len;
	int32_t error;
	uint64_t unique;
};

typedef struct Notice {
	fuse_ino_t dir;
	char *name; /* owned; NULL ends the thread */
} Notice;

struct FsNotify {
	struct fuse_session *session; /* borrowed */
	FsLater *later;               /* borrowed */
	GAsyncQueue *queue;           /* of owned Notice */
	GThread *thread;              /* NULL once stopped */
	bool has_ended;               /* only the main thread looks */
};

static void
notice_free(void *user_data)
{
	Notice *notice = user_data;

	g_free(notice->name);
	g_free(notice);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Notice, notice_free)

/* On the main thread. */
static void
notify_ended(void *user_data)
{
	FsNotify *notify = user_data;

	notify->has_ended = true;
}

static void *
notify_run(void *user_data)
{
	FsNotify *notify = user_data;

	while (true) {
		g_autoptr(Notice) notice = g_async_queue_pop(notify->queue);

		if (notice->name == NULL) {
			fs_later_post(notify->later, notify_ended, notify);
			return NULL;
		}

		/* That it is not there is what we want; that the mount is
		 * going away, nothing to report. */
		(void)fuse_lowlevel_notify_inval_entry(
			notify->session, notice->dir, notice->name,
			strlen(notice->name));
	}
}

FsNotify *
fs_notify_new(struct fuse_session *session, FsLater *later)
{
	FsNotify *notify = g_new(FsNotify, 1);

	*notify = (FsNotify){
		.session = session,
		.later = later,
		.queue = g_async_queue_new_full(notice_free),
	};
	notify->thread = g_thread_new("notify", notify_run, notify);
	return notify;
}

void
fs_notify_attr(FsNotify *notify, uint64_t nodeid)
{
	/* A negative offset: the attributes and none of the content. */
	(void)fuse_lowlevel_notify_inval_inode(notify->session, nodeid, -1, 0);
}

void
fs_notify_content(FsNotify *notify, uint64_t nodeid)
{
	if (notify->thread != NULL)
		(void)fuse_lowlevel_notify_inval_inode(notify->session, nodeid,
		                                       0, 0);
}

bool
fs_notify_names(FsNotify *notify)
{
	struct fuse_out_header notice = {
		.len = sizeof notice,
		.error = FUSE_NOTIFY_INC_EPOCH,
	};

	return write(fuse_session_fd(notify->session), &notice,
	             sizeof notice) == sizeof notice;
}

void
fs_notify_entry(FsNotify *notify, uint64_t dir, const char *name)
{
	Notice *notice = g_new(Notice, 1);

	*notice = (Notice){ .dir = dir, .name = g_strdup(name) };
	g_async_queue_push(notify->queue, notice);
}

void
fs_notify_stop(FsNotify *notify)
{
	if (notify == NULL || notify->thread == NULL)
		return;

	fs_notify_entry(notify, 0, NULL);
	while (!notify->has_ended)
		fs_later_await(notify->later);
	g_thread_join(g_steal_pointer(&notify->thread));
}

void
fs_notify_free(FsNotify *notify)
{
	if (notify == NULL)
		return;

	g_assert(notify->thread == NULL);
	g_async_queue_unref(notify->queue);
	g_free(notify);
}
