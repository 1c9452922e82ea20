/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/ops.h"

/* A question that waits for the disk. */
typedef struct Sync {
	FsLater *later;        /* borrowed */
	FsControlReply *reply; /* owned until it is answered */
	int r;
} Sync;

static void
sync_answer(void *user_data)
{
	Sync *sync = user_data;

	if (sync->r < 0)
		fs_control_reply(sync->reply, g_strerror(-sync->r), NULL);
	else
		fs_control_reply(
			sync->reply, NULL,
			g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0));
	g_free(sync);
}

/* Called by the store's own thread. */
static void
sync_done(void *user_data, int r)
{
	Sync *sync = user_data;

	sync->r = r;
	fs_later_post(sync->later, sync_answer, sync);
}

void
fs_sync_start(void *user_data, const FsControlAsk *ask, FsControlReply *reply)
{
	const FsMount *mount = user_data;
	Sync *sync = g_new(Sync, 1);

	(void)ask;
	*sync = (Sync){ .later = mount->later, .reply = reply };
	store_sync(mount->store, sync_done, sync);
}
