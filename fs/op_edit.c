/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fs/account.h"
#include "fs/log.h"
#include "fs/op_edit_lock.h"
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
 *   the queue off remembers: so its processing lock is taken, too. Who only
 *   wants one to stay as it is takes the update lock: without that nobody
 *   changes it, and a telephone call is not waited for.
 * - While it waits for a lock it has no other: if it is granted that one and
 *   then finds another taken, it lets go and waits for that. So it keeps nobody
 *   waiting for longer than a commit takes, and no circle is closed by it.
 *   All of its waits together are bounded like one.
 * - Everything that takes long is done on a thread of its own, which has the
 *   locks but not the turn: the edits are staged there, and nobody who has to do
 *   with other files notices. What has no lock is looked at once more after it
 *   was staged; from then on its records are guarded, as in any transaction.
 * - A tool that goes away, or is broken, before all is staged changes nothing.
 * - If a file is not what it was, nothing is done: the tool asks for what it is
 *   to be on disk (op_sync.c), and looks again.
 */

/* A file that everybody sees alike, so that the kernel remembers it. */
typedef struct Plain {
	StorePlace place;
	StoreNode node; /* its content is another; 0: it comes or goes */
} Plain;

typedef struct Edit Edit;

/* A part of it. Returns 0, or why it was not done. */
typedef int EditWork(Edit *edit);

struct Edit {
	const FsMount *mount;
	FsControlReply *reply; /* owned until it is answered */
	FsSession *session;    /* a reference */
	char *who;             /* owned; for the log and the journal */
	StoreEdits *edits;     /* owned */
	FsEditLock *lock;      /* owned */
	GArray *plain;         /* Plain */
	GHashTable *dirs;      /* set of nodes: names in them change */
	int64_t begun_us;      /* monotonic */
	int64_t waited_us;     /* until it had all locks */
	EditWork *work;        /* that is being done, and */
	EditWork *then;        /* with the turn; r is what the work came to */
	unsigned epoch;        /* of the session, when it had all locks */
	StoreTxn *txn;         /* owned; what is staged */
	char *reason;          /* owned; why it was not done */
	int r;
};

static Edit *
edit_new(const FsMount *mount, FsControlReply *reply)
{
	Edit *edit = g_new(Edit, 1);

	*edit = (Edit){
		.mount = mount,
		.reply = reply,
		.plain = g_array_new(FALSE, FALSE, sizeof(Plain)),
		.dirs = g_hash_table_new_full(g_int64_hash, g_int64_equal,
		                              g_free, NULL),
		.begun_us = g_get_monotonic_time(),
	};
	return edit;
}

/* ---- the answer ----------------------------------------------------------- */

static void
edit_log(const Edit *edit)
{
	if (edit->r == 0)
		fs_log(FS_EVENT_EDIT, FS_LOG_TEXT("who", edit->who));
	else
		fs_log(FS_EVENT_EDIT_REFUSED, FS_LOG_TEXT("who", edit->who),
		       FS_LOG_TEXT("reason", edit->reason));
}

/* Lets go of what it has, answers, and is over. Called without the turn. */
static void
edit_end(Edit *edit)
{
	GVariantBuilder result = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

	if (edit->r < 0 && edit->reason == NULL)
		edit->reason = g_strdup_printf("it could not be done: %s",
		                               g_strerror(-edit->r));
	if (edit->r == -ESTALE)
		g_variant_builder_add(&result, "{sv}", "stale",
		                      fs_control_text(edit->reason));
	if (edit->r == 0 || edit->r == -ESTALE)
		fs_control_reply(edit->reply, NULL,
		                 g_variant_builder_end(&result));
	else
		fs_control_reply(edit->reply, edit->reason, NULL);
	edit_log(edit);

	g_variant_builder_clear(&result);
	store_txn_abort(edit->txn);
	store_edits_free(edit->edits);
	fs_edit_lock_free(edit->lock);
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

static void
place_enter(Edit *edit, const StorePlace *place, const StoreEdit *one)
{
	/* What is undone may come, go or change. */
	bool is_name = one->kind == STORE_EDIT_REMOVE ||
	               one->kind == STORE_EDIT_UNDO || one->node == 0;
	Plain plain = { .place = *place, .node = is_name ? 0 : one->node };

	if (one->kind == STORE_EDIT_EXPECT) {
		fs_edit_lock_expect(edit->lock, place);
		return;
	}

	fs_edit_lock_add(edit->lock, place);
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

/* Finds what the edits concern. */
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

/* ---- the change ----------------------------------------------------------- */

/* Whether @one has taken its file away. */
static bool
is_removed(const Edit *edit, const StoreEdit *one)
{
	StoreAttr attr;

	return one->node != 0 &&
	       (store_attr_get(edit->txn, one->node, &attr) < 0 ||
	        attr.parent == 0);
}

/* Files that others have open are not taken from under them, as DOS would. */
static int
opens_check(Edit *edit)
{
	const FsMount *mount = edit->mount;

	for (size_t i = 0; i < store_edits_count(edit->edits); i++) {
		const StoreEdit *one = store_edits_at(edit->edits, i);

		if (fs_handle_is_elsewhere(mount->handles, one->node,
		                           edit->session) &&
		    is_removed(edit, one))
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
	fs_edit_lock_drop(edit->lock);
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

/* What the journal shall tell of it. */
static void
edit_account(const Edit *edit)
{
	g_autoptr(GPtrArray) keys = fs_edit_lock_keys(edit->lock);
	g_autofree char *mailbags = NULL;
	StoreAccount account = {
		.session = fs_session_serial(edit->session),
		.waited_ns = edit->waited_us * 1000,
	};

	mailbags = fs_account_mailbags(edit->mount->store, keys);
	account.mailbags = mailbags;
	store_txn_account(edit->txn, &account);
}

/* Called with all locks, without the turn. */
static int
edit_stage(Edit *edit)
{
	int r = store_txn_begin(edit->mount->store, edit->who, &edit->txn);

	return r < 0 ? r
	             : store_edits_apply(edit->txn, edit->edits, &edit->reason);
}

/* What it has come to until now. */
static int
edit_check(Edit *edit)
{
	if (edit->r == 0 && !fs_control_is_wanted(edit->reply))
		edit->r = edit_fail(edit, -ECANCELED,
		                    "nobody waits for it any more");
	return edit->r;
}

/* Called with the turn and all locks. edit_landed() follows if it returns 0. */
static int
edit_commit(Edit *edit)
{
	int r = edit_check(edit);

	if (r == 0 && fs_session_epoch(edit->session) != edit->epoch)
		r = edit_fail(edit, -ECANCELED, "its session was broken");
	if (r == 0)
		r = opens_check(edit);
	if (r < 0)
		return r;

	edit_account(edit);
	store_txn_commit(&edit->txn, edit_done, edit);
	return 0;
}

/* ---- steps ---------------------------------------------------------------- */

/* Takes a step with the turn; ends it if that was the last. */
static void
edit_step(Edit *edit, EditWork *step)
{
	GMutex *turn = edit->mount->turn;
	const FsMount *mount = edit->mount;
	int r;

	g_mutex_lock(turn);
	r = step(edit);
	if (r < 0 && r != -EINPROGRESS)
		fs_edit_lock_drop(edit->lock);
	fs_turn_end(mount);
	g_mutex_unlock(turn);

	/* Else somebody else has it by now. */
	if (r < 0 && r != -EINPROGRESS) {
		edit->r = r;
		edit_end(edit);
	}
}

/* On the main thread: only there may it be answered. */
static void
edit_go_on(void *user_data)
{
	Edit *edit = user_data;

	edit_step(edit, edit->then);
}

/* On the thread of such work. */
static void
edit_work(void *data, void *user_data)
{
	Edit *edit = data;

	(void)user_data;
	edit->r = edit->work(edit);
	fs_later_post(edit->mount->later, edit_go_on, edit);
}

/* Has @work done without the turn, and @then with it. */
static void
edit_begin(Edit *edit, EditWork *work, EditWork *then)
{
	edit->work = work;
	edit->then = then;
	g_thread_pool_push(edit->mount->edits, edit, NULL);
}

GThreadPool *
fs_edit_pool_new(void)
{
	g_autoptr(GError) error = NULL;
	GThreadPool *pool = g_thread_pool_new(edit_work, NULL, 1, TRUE, &error);

	if (error == NULL)
		return pool;
	fs_log_failed("thread: %s", error->message);
	g_thread_pool_free(pool, TRUE, FALSE);
	return NULL;
}

/* ---- locks ---------------------------------------------------------------- */

static void edit_granted(void *user_data, int r);

/* Goes on as far as the locks let it. Called with the turn. */
static int
edit_lock(Edit *edit)
{
	g_autofree char *text = NULL;
	int r = edit_check(edit);

	if (r == 0)
		r = fs_edit_lock_take(edit->lock, edit_granted, edit);
	if (r == -ETXTBSY) {
		text = fs_edit_lock_text(edit->lock);
		return edit_fail(edit, -EBUSY, "%s", text);
	}
	if (r < 0)
		return r;

	edit->epoch = fs_session_epoch(edit->session);
	edit->waited_us = g_get_monotonic_time() - edit->begun_us;
	edit_begin(edit, edit_stage, edit_commit);
	return 0;
}

static int
edit_wait_ended(Edit *edit)
{
	fs_edit_lock_granted(edit->lock, edit->r);
	return edit_lock(edit);
}

static void
edit_granted(void *user_data, int r)
{
	Edit *edit = user_data;

	edit->r = r;
	edit->then = edit_wait_ended;
	fs_later_post(edit->mount->later, edit_go_on, edit);
}

/* ---- beginning ------------------------------------------------------------ */

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
	edit->lock = fs_edit_lock_new(edit->mount, edit->session);
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
		edit_begin(edit, edit_survey, edit_lock);
}
