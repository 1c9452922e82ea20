/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/op_edit_lock.h"

#include <errno.h>

/* A lock that is to be had. */
typedef struct Key {
	char *key;       /* owned */
	bool is_changed; /* what it is of; else that is to stay as it is */
	bool is_had;
} Key;

struct FsEditLock {
	const FsMount *mount;
	FsSession *session; /* a reference */
	GArray *keys;       /* Key */
	GHashTable *known;  /* key, borrowed from there -> its place there */
	guint waited;       /* the key that it waits for */
	int64_t begun_us;   /* monotonic: of all its waits together */
};

static void
key_clear(void *data)
{
	g_free(((Key *)data)->key);
}

static Key *
key_at(const FsEditLock *lock, guint i)
{
	return &g_array_index(lock->keys, Key, i);
}

FsEditLock *
fs_edit_lock_new(const FsMount *mount, FsSession *session)
{
	FsEditLock *lock = g_new(FsEditLock, 1);

	*lock = (FsEditLock){
		.mount = mount,
		.session = fs_session_ref(session),
		.keys = g_array_new(FALSE, FALSE, sizeof(Key)),
		.known = g_hash_table_new(g_str_hash, g_str_equal),
		.begun_us = g_get_monotonic_time(),
	};
	g_array_set_clear_func(lock->keys, key_clear);
	return lock;
}

void
fs_edit_lock_free(FsEditLock *lock)
{
	if (lock == NULL)
		return;
	g_hash_table_unref(lock->known);
	g_array_unref(lock->keys);
	fs_session_unref(lock->session);
	g_free(lock);
}

/* Enters the lock @key, which it takes, unless it is there or none. */
static void
key_add(FsEditLock *lock, char *key, bool is_changed)
{
	Key new = { .key = key, .is_changed = is_changed };
	gpointer place;

	if (key == NULL)
		return;
	if (g_hash_table_lookup_extended(lock->known, key, NULL, &place)) {
		key_at(lock, GPOINTER_TO_UINT(place))->is_changed |= is_changed;
		g_free(key);
		return;
	}
	g_hash_table_insert(lock->known, key,
	                    GUINT_TO_POINTER(lock->keys->len));
	g_array_append_val(lock->keys, new);
}

/* The lock of whoever works the mailbag of @place off. */
static char *
processing_key(const StorePlace *place)
{
	StorePlace file = {
		.dir = place->dir,
		.office = place->office,
		.role = LAYOUT_DIR_P1,
		.kind = LAYOUT_LOCK_FILE,
	};
	char mailbag[LAYOUT_MAILBAG_MAX + 1];

	if (!layout_mailbag(place->role, place->name, mailbag))
		return NULL;
	(void)g_snprintf(file.name, sizeof file.name, "%s.0LK", mailbag);
	return fs_lock_key(&file);
}

void
fs_edit_lock_add(FsEditLock *lock, const StorePlace *place)
{
	key_add(lock, fs_lock_key(place), true);
	if (place->kind == LAYOUT_MAILBAG)
		key_add(lock, processing_key(place), true);
}

void
fs_edit_lock_expect(FsEditLock *lock, const StorePlace *place)
{
	key_add(lock, fs_lock_key(place), false);
}

GPtrArray *
fs_edit_lock_keys(const FsEditLock *lock)
{
	GPtrArray *keys = g_ptr_array_new();

	for (guint i = 0; i < lock->keys->len; i++)
		if (key_at(lock, i)->is_changed)
			g_ptr_array_add(keys, key_at(lock, i)->key);
	return keys;
}

/* ---- taking and letting go ------------------------------------------------ */

void
fs_edit_lock_drop(FsEditLock *lock)
{
	uint64_t serial = fs_session_serial(lock->session);

	for (guint i = 0; i < lock->keys->len; i++) {
		Key *key = key_at(lock, i);

		if (key->is_had)
			fs_mailbag_lock_drop(lock->mount->mailbags, serial,
			                     key->key, g_get_monotonic_time());
		key->is_had = false;
	}
}

static int
key_try(const FsEditLock *lock, Key *key)
{
	const FsMount *mount = lock->mount;
	uint64_t serial = fs_session_serial(lock->session);
	int64_t now_us = g_get_monotonic_time();
	int r = 0;

	if (!key->is_had)
		r = fs_mailbag_lock_try(mount->mailbags, serial, key->key,
		                        now_us);
	if (r == -ETXTBSY) {
		/* Whoever merely keeps it may give it up at once. */
		fs_commit_press(mount, key->key);
		r = fs_mailbag_lock_try(mount->mailbags, serial, key->key,
		                        now_us);
	}
	key->is_had = r == 0;
	return r;
}

int
fs_edit_lock_take(FsEditLock *lock, FsMailbagGrant *grant, void *user_data)
{
	FsMailbagAsk ask = {
		.session = fs_session_serial(lock->session),
		.now_us = lock->begun_us,
		.park_us = FS_MAILBAG_STAYS,
	};
	FsMailbagWait wait;
	guint i;
	int r;

	for (i = 0; i < lock->keys->len; i++)
		if (key_try(lock, key_at(lock, i)) < 0)
			break;
	if (i == lock->keys->len)
		return 0;

	fs_edit_lock_drop(lock);
	lock->waited = i;
	ask.key = key_at(lock, i)->key;
	r = fs_mailbag_lock_wait(lock->mount->mailbags, &ask, grant, user_data,
	                         &wait);
	return r < 0 ? r : -EINPROGRESS;
}

void
fs_edit_lock_granted(FsEditLock *lock, int r)
{
	key_at(lock, lock->waited)->is_had = r == 0;
}

/* "session 7, process 4711, client 10.0.0.7:1234" */
static char *
session_text(FsSession *session)
{
	FsPeer peer;
	bool has_client =
		fs_session_peer(session, &peer) && peer.address[0] != '\0';

	return g_strdup_printf(
		"session %" G_GUINT64_FORMAT ", process %d%s%s",
		fs_session_serial(session), (int)fs_session_pid(session),
		has_client ? ", client " : "", has_client ? peer.address : "");
}

char *
fs_edit_lock_text(const FsEditLock *lock)
{
	const FsMount *mount = lock->mount;
	const char *key = key_at(lock, lock->waited)->key;
	g_autofree char *path = NULL;
	g_autofree char *dir = NULL;
	g_autofree char *who = NULL;
	g_autoptr(FsSession) session = NULL;
	FsLockSubject subject = { .name = key };
	uint64_t holder = 0;

	if (fs_lock_key_parse(key, &subject) &&
	    store_node_path(store_plain(mount->store), subject.dir, &dir) == 0)
		path = g_build_filename(dir, subject.name, NULL);
	else
		path = g_strdup(subject.name);

	if (fs_mailbag_lock_holder(mount->mailbags, key, &holder))
		session = fs_session_by_serial(mount->sessions, holder);
	if (session == NULL)
		return g_strdup_printf("%s is locked", path);
	who = session_text(session);
	return g_strdup_printf("%s is locked by %s", path, who);
}
