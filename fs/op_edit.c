/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fs/ops.h"
#include "store/edit.h"
#include "store/journal.h"

/*
 * How an administrator's edits are carried out
 *
 * - The tool that asks is a session like any other, and its list of edits a
 *   transaction: under the locks of all files concerned, checked, committed,
 *   and answered when it is on disk.
 * - Who rewrites a mailbag moves records, whose places a program that works
 *   the queue off remembers: so its processing lock is taken, too.
 * - While it waits for a lock it has no other: if it is granted that one and
 *   then finds another taken, it lets go and waits for that. So it keeps nobody
 *   waiting for longer than a commit takes, and no circle is closed by it.
 *   All of its waits together are bounded like one.
 * - A tool that goes away while it waits changes nothing.
 * - If a file is not what it was, what it is now is on disk before the answer,
 *   so that the tool sees it when it looks again.
 */

/* A lock that is to be had. */
typedef struct Key {
	char *key; /* owned */
	bool is_had;
} Key;

/* A file that everybody sees alike, so that the kernel remembers it. */
typedef struct Plain {
	StorePlace place;
	StoreNode node; /* its content is another; 0: it comes or goes */
} Plain;

typedef struct Edit {
	const FsMount *mount;
	FsControlReply *reply; /* owned until it is answered */
	FsSession *session;    /* a reference */
	char *who;             /* owned; for the log and the journal */
	StoreEdits *edits;     /* owned */
	GArray *keys;          /* Key */
	GHashTable *known;     /* set of keys, borrowed from there */
	GArray *plain;         /* Plain */
	GHashTable *dirs;      /* set of nodes: names in them change */
	guint waited;          /* the key that it waits for */
	int64_t begun_us;      /* monotonic */
	char *reason;          /* owned; why it was not done */
	int r;
} Edit;

static void
key_clear(void *data)
{
	g_free(((Key *)data)->key);
}

static Key *
key_at(const Edit *edit, guint i)
{
	return &g_array_index(edit->keys, Key, i);
}

static Edit *
edit_new(const FsMount *mount, FsControlReply *reply)
{
	Edit *edit = g_new(Edit, 1);

	*edit = (Edit){
		.mount = mount,
		.reply = reply,
		.keys = g_array_new(FALSE, FALSE, sizeof(Key)),
		.known = g_hash_table_new(g_str_hash, g_str_equal),
		.plain = g_array_new(FALSE, FALSE, sizeof(Plain)),
		.dirs = g_hash_table_new_full(g_int64_hash, g_int64_equal,
		                              g_free, NULL),
		.begun_us = g_get_monotonic_time(),
	};
	g_array_set_clear_func(edit->keys, key_clear);
	return edit;
}

/* ---- the answer ----------------------------------------------------------- */

/* Lets go of what it has, answers, and is over. Called without the turn. */
static void
edit_end(Edit *edit)
{
	GVariantBuilder result = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

	if (edit->r == -ESTALE)
		g_variant_builder_add(&result, "{sv}", "stale",
		                      fs_control_text(edit->reason));
	if (edit->r == 0 || edit->r == -ESTALE)
		fs_control_reply(edit->reply, NULL,
		                 g_variant_builder_end(&result));
	else
		fs_control_reply(edit->reply, edit->reason, NULL);
	g_message("edit %s: %s", edit->who,
	          edit->r == 0 ? "done" : edit->reason);

	g_variant_builder_clear(&result);
	store_edits_free(edit->edits);
	g_hash_table_unref(edit->known);
	g_array_unref(edit->keys);
	g_array_unref(edit->plain);
	g_hash_table_unref(edit->dirs);
	fs_session_unref(edit->session);
	g_free(edit->who);
	g_free(edit->reason);
	g_free(edit);
}

static int G_GNUC_PRINTF(3, 4)
	edit_fail(Edit *edit, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_free(edit->reason);
	edit->reason = g_strdup_vprintf(format, args);
	va_end(args);
	return r;
}

/* ---- what is asked -------------------------------------------------------- */

/* What is mapped must not change or go away under us. */
static int
edits_receive(int fd, StoreEdits **ret_edits)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK;
	g_autoptr(GMappedFile) file = NULL;
	g_autoptr(GBytes) bytes = NULL;
	int had = fd >= 0 ? fcntl(fd, F_GET_SEALS) : -1;

	if (had < 0 || (had & seals) != seals)
		return -EBADMSG;
	file = g_mapped_file_new_from_fd(fd, FALSE, NULL);
	if (file == NULL)
		return -EBADMSG;

	bytes = g_mapped_file_get_bytes(file);
	return store_edits_decode(bytes, ret_edits);
}

/* Enters the lock @key, which it takes, unless it is there or none. */
static void
key_add(Edit *edit, char *key)
{
	Key new = { .key = key };

	if (key == NULL || g_hash_table_contains(edit->known, key)) {
		g_free(key);
		return;
	}
	g_array_append_val(edit->keys, new);
	g_hash_table_add(edit->known, key);
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

static void
place_enter(Edit *edit, const StorePlace *place, const StoreEdit *one)
{
	/* What is undone may come, go or change. */
	bool is_name = one->kind == STORE_EDIT_REMOVE ||
	               one->kind == STORE_EDIT_UNDO || one->node == 0;
	Plain plain = { .place = *place, .node = is_name ? 0 : one->node };

	key_add(edit, fs_lock_key(place));
	if (place->kind == LAYOUT_MAILBAG)
		key_add(edit, processing_key(place));
	if (one->kind == STORE_EDIT_EXPECT)
		return;

	if (is_name)
		g_hash_table_add(edit->dirs,
		                 g_memdup2(&place->dir, sizeof place->dir));
	if (place->kind != LAYOUT_PLAIN)
		return;
	g_array_append_val(edit->plain, plain);
	plain.node = one->node;
	if (one->kind == STORE_EDIT_UNDO && one->node != 0)
		g_array_append_val(edit->plain, plain);
}

/* Finds what the edits concern. Called with the turn. */
static int
edit_survey(Edit *edit)
{
	for (size_t i = 0; i < store_edits_count(edit->edits); i++) {
		const StoreEdit *one = store_edits_at(edit->edits, i);
		StorePlace place;
		int r;

		r = store_edit_place(store_plain(edit->mount->store), one,
		                     &place);
		if (r < 0)
			return edit_fail(edit, r, "%s: %s", one->path,
			                 g_strerror(-r));
		if (place.kind == LAYOUT_LOCK_FILE)
			return edit_fail(edit, -EPERM, "%s is a lock file",
			                 one->path);
		place_enter(edit, &place, one);
	}
	return 0;
}

/* ---- locks ---------------------------------------------------------------- */

static void
keys_drop(Edit *edit)
{
	uint64_t serial = fs_session_serial(edit->session);

	for (guint i = 0; i < edit->keys->len; i++) {
		Key *key = key_at(edit, i);

		if (key->is_had)
			fs_mailbag_lock_drop(edit->mount->mailbags, serial,
			                     key->key, g_get_monotonic_time());
		key->is_had = false;
	}
}

/* Who has @key, for the administrator. */
static int
edit_refuse(Edit *edit, const char *key)
{
	const FsMount *mount = edit->mount;
	g_autofree char *path = NULL;
	g_autofree char *dir = NULL;
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
		return edit_fail(edit, -EBUSY, "%s is locked", path);
	return edit_fail(edit, -EBUSY,
	                 "%s is locked by session %" G_GUINT64_FORMAT
	                 ", process %d",
	                 path, holder, (int)fs_session_pid(session));
}

static int
key_try(const Edit *edit, Key *key)
{
	const FsMount *mount = edit->mount;
	uint64_t serial = fs_session_serial(edit->session);
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

static void edit_granted(void *user_data, int r);

/* Takes all locks. Returns -EINPROGRESS while it waits for one. */
static int
keys_take(Edit *edit)
{
	FsMailbagAsk ask = {
		.session = fs_session_serial(edit->session),
		.now_us = edit->begun_us,
		.park_us = FS_MAILBAG_STAYS,
	};
	FsMailbagWait wait;
	guint i;

	for (i = 0; i < edit->keys->len; i++)
		if (key_try(edit, key_at(edit, i)) < 0)
			break;
	if (i == edit->keys->len)
		return 0;

	keys_drop(edit);
	edit->waited = i;
	ask.key = key_at(edit, i)->key;
	if (fs_mailbag_lock_wait(edit->mount->mailbags, &ask, edit_granted,
	                         edit, &wait) < 0)
		return edit_refuse(edit, ask.key);
	return -EINPROGRESS;
}

/* ---- the change ----------------------------------------------------------- */

/* Files that others have open are not taken from under them, as DOS would. */
static int
opens_check(Edit *edit)
{
	const FsMount *mount = edit->mount;

	for (size_t i = 0; i < store_edits_count(edit->edits); i++) {
		const StoreEdit *one = store_edits_at(edit->edits, i);

		if (one->kind == STORE_EDIT_REMOVE &&
		    fs_handle_is_elsewhere(mount->handles, one->node,
		                           edit->session))
			return edit_fail(edit, -EBUSY, "%s is open", one->path);
	}
	return 0;
}

/* What the kernel remembers of names. Called with the turn. */
static void
names_settle(const Edit *edit)
{
	const FsMount *mount = edit->mount;
	GHashTableIter iter;
	gpointer dir;

	if (g_hash_table_size(edit->dirs) > 0)
		++*mount->names_serial;
	g_hash_table_iter_init(&iter, edit->dirs);
	while (g_hash_table_iter_next(&iter, &dir, NULL))
		fs_notify_attr(mount->notify, *(StoreNode *)dir);

	for (guint i = 0; i < edit->plain->len; i++) {
		const Plain *plain = &g_array_index(edit->plain, Plain, i);

		if (plain->node == 0 && !fs_notify_names(mount->notify))
			fs_notify_entry(mount->notify, plain->place.dir,
			                plain->place.name);
	}
}

/* On the main thread, when it is on disk, or was not done after all. */
static void
edit_landed(void *user_data)
{
	Edit *edit = user_data;
	const FsMount *mount = edit->mount;

	if (edit->r == 0) {
		g_mutex_lock(mount->turn);
		names_settle(edit);
		g_mutex_unlock(mount->turn);
		for (guint i = 0; i < edit->plain->len; i++) {
			const Plain *plain =
				&g_array_index(edit->plain, Plain, i);

			if (plain->node != 0)
				fs_notify_content(mount->notify, plain->node);
		}
	}

	/* Whoever gets the locks now reads what is new. */
	g_mutex_lock(mount->turn);
	keys_drop(edit);
	fs_turn_end(mount);
	g_mutex_unlock(mount->turn);
	edit_end(edit);
}

/* Called on the committer's thread, which must not wait. */
static void
edit_done(void *user_data, int r)
{
	Edit *edit = user_data;

	if (r == -ESTALE)
		edit->r = edit_fail(edit, r, "a file has changed meanwhile");
	else if (r < 0)
		edit->r = edit_fail(edit, r, "it could not be written: %s",
		                    g_strerror(-r));
	fs_later_post(edit->mount->later, edit_landed, edit);
}

/* What has made it stale is on disk. */
static void
edit_synced(void *user_data, int r)
{
	Edit *edit = user_data;

	(void)r;
	fs_later_post(edit->mount->later, edit_landed, edit);
}

/* What the journal shall tell of it. */
static void
edit_account(const Edit *edit, StoreTxn *txn)
{
	StoreAccount account = {
		.session = fs_session_serial(edit->session),
		.waited_ns = (g_get_monotonic_time() - edit->begun_us) * 1000,
	};

	store_txn_account(txn, &account);
}

/* Called with the turn and all locks. edit_landed() follows if it returns 0. */
static int
edit_apply(Edit *edit)
{
	Store *store = edit->mount->store;
	g_autoptr(StoreTxn) txn = NULL;
	int r;

	r = opens_check(edit);
	if (r == 0)
		r = store_txn_begin(store, edit->who, &txn);
	if (r < 0)
		return r;

	r = store_edits_apply(txn, edit->edits, &edit->reason);
	if (r == 0) {
		edit_account(edit, txn);
		store_txn_commit(&txn, edit_done, edit);
	} else if (r == -ESTALE) {
		edit->r = r;
		store_sync(store, edit_synced, edit);
		r = 0;
	}
	return r;
}

/* Goes on as far as the locks let it. Called with the turn. */
static int
edit_try(Edit *edit)
{
	int r = keys_take(edit);

	if (r == 0)
		r = edit_apply(edit);
	if (r < 0 && r != -EINPROGRESS)
		keys_drop(edit);
	return r;
}

/* Takes a step with the turn; ends it if that was the last. */
static void
edit_step(Edit *edit, int step(Edit *edit))
{
	GMutex *turn = edit->mount->turn;
	const FsMount *mount = edit->mount;
	int r;

	g_mutex_lock(turn);
	r = step(edit);
	fs_turn_end(mount);
	g_mutex_unlock(turn);

	/* Else somebody else has it by now. */
	if (r < 0 && r != -EINPROGRESS) {
		edit->r = r;
		edit_end(edit);
	}
}

/* ---- waiting -------------------------------------------------------------- */

static int
edit_wait_ended(Edit *edit)
{
	Key *key = key_at(edit, edit->waited);

	key->is_had = edit->r == 0;
	if (edit->r == 0 && fs_control_is_wanted(edit->reply))
		return edit_try(edit);

	keys_drop(edit);
	if (edit->r == -ETXTBSY)
		return edit_refuse(edit, key->key);
	return edit_fail(edit, -ECANCELED, "nobody waits for it any more");
}

/* On the main thread: only there may it be answered. */
static void
edit_go_on(void *user_data)
{
	edit_step(user_data, edit_wait_ended);
}

static void
edit_granted(void *user_data, int r)
{
	Edit *edit = user_data;

	edit->r = r;
	fs_later_post(edit->mount->later, edit_go_on, edit);
}

/* ---- beginning ------------------------------------------------------------ */

static int
edit_prepare(Edit *edit)
{
	int r = edit_survey(edit);

	return r < 0 ? r : edit_try(edit);
}

static int
edit_introduce(Edit *edit, const FsControlAsk *ask)
{
	g_autofree char *what = g_strescape(ask->argument, NULL);
	int r;

	edit->who =
		g_strdup_printf("poctl, process %d: %s", (int)ask->pid, what);
	r = edits_receive(ask->fd, &edit->edits);
	if (r < 0)
		return edit_fail(edit, r, "the list of edits is no list");
	r = fs_session_find(edit->mount->sessions, ask->pid, &edit->session);
	if (r == 0 && fs_session_pid(edit->session) == 0)
		r = -EACCES;
	if (r < 0)
		return edit_fail(edit, r,
		                 "pofs cannot tell poctl from others; is one "
		                 "of them in a container?");
	return 0;
}

void
fs_edit_start(void *user_data, const FsControlAsk *ask, FsControlReply *reply)
{
	Edit *edit = edit_new(user_data, reply);

	edit->r = edit_introduce(edit, ask);
	if (edit->r < 0)
		edit_end(edit);
	else
		edit_step(edit, edit_prepare);
}
