/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/lock_key.h"

FsLockPurpose
fs_lock_key_purpose(const StorePlace *place)
{
	char mailbag[LAYOUT_MAILBAG_MAX + 1];

	switch (place->kind) {
	case LAYOUT_MAILBAG:
	case LAYOUT_LOCK_FILE:
		if (!layout_mailbag(place->role, place->name, mailbag))
			return FS_LOCK_FILE;
		if (layout_is_inqueue(mailbag))
			return FS_LOCK_INQUEUE;
		return place->kind == LAYOUT_MAILBAG ? FS_LOCK_UPDATE
		                                     : FS_LOCK_PROCESSING;
	case LAYOUT_MESSAGE:
		return FS_LOCK_FILE;
	case LAYOUT_PLAIN:
	default:
		return layout_is_one_owner(place->role, place->name)
		               ? FS_LOCK_FILE
		               : FS_LOCK_NONE;
	}
}

char *
fs_lock_key(const StorePlace *place)
{
	char mailbag[LAYOUT_MAILBAG_MAX + 1] = "";

	(void)layout_mailbag(place->role, place->name, mailbag);
	switch (fs_lock_key_purpose(place)) {
	case FS_LOCK_UPDATE:
		return g_strdup_printf("U:%" G_GUINT64_FORMAT ":%s",
		                       place->office, mailbag);
	case FS_LOCK_PROCESSING:
		return g_strdup_printf("P:%" G_GUINT64_FORMAT ":%s",
		                       place->office, mailbag);
	case FS_LOCK_INQUEUE:
		return g_strdup_printf("Q:%" G_GUINT64_FORMAT, place->office);
	case FS_LOCK_FILE:
		return g_strdup_printf("F:%" G_GUINT64_FORMAT ":%s", place->dir,
		                       place->name);
	case FS_LOCK_NONE:
	default:
		return NULL;
	}
}

const char *
fs_lock_purpose_name(FsLockPurpose purpose)
{
	static const char *const names[] = {
		[FS_LOCK_UPDATE] = "update",
		[FS_LOCK_PROCESSING] = "processing",
		[FS_LOCK_INQUEUE] = "inqueue",
		[FS_LOCK_FILE] = "file",
	};

	return names[purpose];
}

static FsLockPurpose
letter_purpose(char letter)
{
	switch (letter) {
	case 'U':
		return FS_LOCK_UPDATE;
	case 'P':
		return FS_LOCK_PROCESSING;
	case 'Q':
		return FS_LOCK_INQUEUE;
	case 'F':
		return FS_LOCK_FILE;
	default:
		return FS_LOCK_NONE;
	}
}

bool
fs_lock_key_parse(const char *key, FsLockSubject *ret_subject)
{
	FsLockSubject subject = { .purpose = letter_purpose(key[0]) };
	char *end;

	if (subject.purpose == FS_LOCK_NONE || key[1] != ':')
		return false;

	subject.dir = g_ascii_strtoull(key + 2, &end, 10);
	if (subject.purpose == FS_LOCK_INQUEUE)
		subject.name = "INQUEUE";
	else if (*end == ':')
		subject.name = end + 1;
	else
		return false;

	*ret_subject = subject;
	return true;
}
