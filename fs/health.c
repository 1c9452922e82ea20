/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/health.h"

#include <errno.h>

#include "fs/log.h"

/* Errors that may be of the store's making. */
void
fs_health_answered(FsHealth *health, const char *op, int r)
{
	StoreRoom room;

	if ((r != -ENOSPC && r != -EIO) || health->store == NULL)
		return;

	health->is_suspect = true;
	fs_health_look(health);
	if (r == -ENOSPC && health->error == 0 &&
	    store_room(health->store, &room) == 0)
		fs_log(FS_EVENT_WRITE_REFUSED, FS_LOG_TEXT("op", op),
		       FS_LOG_NUMBER("room", room.free));
}

static void
change_log(const FsHealth *health, const StoreVitals *vitals)
{
	switch (health->error) {
	case 0:
		fs_log(FS_EVENT_STORE_WELL,
		       FS_LOG_TEXT("store", health->store_path),
		       FS_LOG_NUMBER("room", vitals->room.free));
		break;
	case ENOSPC:
		fs_log(FS_EVENT_STORE_FULL,
		       FS_LOG_TEXT("store", health->store_path),
		       FS_LOG_NUMBER("room", vitals->room.free));
		break;
	default:
		fs_log(FS_EVENT_STORE_FAILING,
		       FS_LOG_TEXT("store", health->store_path),
		       FS_LOG_TEXT("reason", g_strerror(health->error)));
		break;
	}
}

void
fs_health_look(FsHealth *health)
{
	StoreVitals vitals = { .error = 0 };
	int r;

	if (!health->is_suspect && health->error == 0)
		return;

	health->is_suspect = false;
	r = store_vitals(health->store, &vitals);
	if (r < 0)
		vitals.error = -r;
	if (vitals.error == health->error)
		return;

	health->error = vitals.error;
	change_log(health, &vitals);
}

void
fs_health_suspect(FsHealth *health)
{
	health->is_suspect = true;
	fs_health_look(health);
}

const char *
fs_health_text(int error)
{
	switch (error) {
	case 0:
		return "well";
	case ENOSPC:
		return "full: mail can be read and deleted, not written";
	default:
		return "failing: the disk has errors, nothing can be written";
	}
}
