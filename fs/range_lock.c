/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/range_lock.h"

#include <errno.h>

#include "fs/range_table.h"

/*
 * How the table works
 *
 * - A file that is locked or waited for has, in each space, a tree of the
 *   ranges held and a line of those who wait. The ranges of one owner never
 *   overlap.
 * - A waiter stands in its file's line. It is granted when no lock is in its
 *   way; one whose owner holds nothing also lets those before it go first, so
 *   that a stream of readers cannot starve a writer. An owner that does hold
 *   something does not stand back: those before it may be waiting for it. So
 *   standing back never closes a circle, and the search for circles need only
 *   follow locks.
 * - A try looks at locks alone: whoever waits in vain for a large range must
 *   not keep everybody else from bytes that are free.
 * - Every change marks the file it happened in. On the way out of the table
 *   the lines of marked files are gone through, until nothing changes, and
 *   then, with the table unlocked, the waits that have ended are answered.
 */

/* ---- waiting -------------------------------------------------------------*/

/* Whether waiting for @range would close a circle: whether somebody in its way
 * waits, directly or not, for @owner. */
static bool
table_is_circle(FsRangeLock *table, const FsRangeFile *file,
                const FsLockOwner *owner, const FsLockRange *range)
{
	g_autoptr(GPtrArray) agenda =
		fs_range_tree_obstacles(file->held, owner, range);

	table->mark++;
	while (agenda->len > 0) {
		const FsRange *held = g_ptr_array_steal_index_fast(agenda, 0);
		FsRangeOwner *holder =
			fs_range_table_owner(table, held->owner.owner);

		if (holder->id == owner->owner)
			return true;

		for (GList *l = holder->waits.head; l != NULL; l = l->next) {
			FsRangeWait *wait = l->data;

			if (wait->mark == table->mark)
				continue;
			wait->mark = table->mark;
			g_ptr_array_extend_and_steal(
				agenda, fs_range_tree_obstacles(
						wait->file->held, &wait->owner,
						&wait->range));
		}
	}
	return false;
}

static FsRangeWait *
table_park(FsRangeLock *table, FsRangeFile *file, const FsLockOwner *owner,
           const FsLockRange *range)
{
	FsRangeWait *wait = g_new0(FsRangeWait, 1);

	wait->id = ++table->last_wait;
	wait->file = file;
	wait->owner = *owner;
	wait->range = *range;
	g_hash_table_insert(table->waits, &wait->id, wait);
	g_queue_push_tail(&file->line, wait);
	g_queue_push_tail(&fs_range_table_owner(table, owner->owner)->waits,
	                  wait);
	fs_range_table_client(table, owner->session)->waits++;
	return wait;
}

/* Takes @wait out of its line, to be answered with @r. */
static void
table_end(FsRangeLock *table, FsRangeWait *wait, int r)
{
	g_queue_remove(&wait->file->line, wait);
	g_queue_remove(&fs_range_table_owner(table, wait->owner.owner)->waits,
	               wait);
	g_hash_table_steal(table->waits, &wait->id);
	fs_range_table_forget(table, wait->owner.owner);
	fs_range_table_client(table, wait->owner.session)->waits--;
	fs_range_table_forget_client(table, wait->owner.session);
	fs_range_table_mark(table, wait->file);

	wait->r = r;
	g_queue_push_tail(&table->ended, wait);
}

static bool
ranges_overlap(const FsLockRange *a, const FsLockRange *b)
{
	return a->first <= b->last && b->first <= a->last;
}

static bool
file_must_wait(FsRangeLock *table, const FsRangeFile *file,
               const FsLockOwner *owner, const FsLockRange *range,
               const GList *until)
{
	const FsRangeOwner *known =
		g_hash_table_lookup(table->owners, &owner->owner);

	if (fs_range_tree_obstacle(file->held, owner, range) != NULL)
		return true;
	if (known != NULL && known->held > 0)
		return false;

	for (GList *l = file->line.head; l != until; l = l->next) {
		const FsRangeWait *before = l->data;

		if (before->owner.owner != owner->owner &&
		    (before->range.exclusive || range->exclusive) &&
		    ranges_overlap(&before->range, range))
			return true;
	}
	return false;
}

static void
file_grant(FsRangeLock *table, FsRangeFile *file)
{
	GList *next;

	for (GList *l = file->line.head; l != NULL; l = next) {
		FsRangeWait *wait = l->data;

		next = l->next;
		if (file_must_wait(table, file, &wait->owner, &wait->range, l))
			continue;
		table_end(table, wait, 0);
		fs_range_file_take(table, file, &wait->owner, &wait->range);
	}
}

/* The way out of every function that changes something. */
static void
table_unlock(FsRangeLock *table)
{
	GQueue ended;
	FsRangeFile *file;
	FsRangeWait *wait;

	while ((file = g_queue_pop_head(&table->changed)) != NULL) {
		file->changed = false;
		file_grant(table, file);
		if (file->held == NULL && file->line.length == 0 &&
		    !file->changed)
			g_hash_table_remove(table->files[file->space],
			                    &file->node);
	}
	ended = table->ended;
	g_queue_init(&table->ended);
	g_mutex_unlock(&table->mutex);

	while ((wait = g_queue_pop_head(&ended)) != NULL) {
		wait->grant(wait->user_data, wait->r);
		g_free(wait);
	}
}

/* ---- the public side -----------------------------------------------------*/

FsRangeLock *
fs_range_lock_new(FsQuota quota)
{
	FsRangeLock *table = g_new0(FsRangeLock, 1);

	table->quota = quota;
	g_mutex_init(&table->mutex);
	for (size_t i = 0; i < G_N_ELEMENTS(table->files); i++)
		table->files[i] = g_hash_table_new_full(
			g_int64_hash, g_int64_equal, NULL, g_free);
	table->owners = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
	                                      g_free);
	table->waits = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
	                                     g_free);
	table->clients = g_hash_table_new_full(g_int64_hash, g_int64_equal,
	                                       NULL, g_free);
	g_queue_init(&table->changed);
	g_queue_init(&table->ended);
	return table;
}

void
fs_range_lock_free(FsRangeLock *table)
{
	if (table == NULL)
		return;

	g_assert(g_hash_table_size(table->waits) == 0);
	for (size_t i = 0; i < G_N_ELEMENTS(table->files); i++) {
		GHashTableIter iter;
		gpointer file;

		g_hash_table_iter_init(&iter, table->files[i]);
		while (g_hash_table_iter_next(&iter, NULL, &file))
			fs_range_tree_free(((FsRangeFile *)file)->held);
		g_hash_table_unref(table->files[i]);
	}
	g_hash_table_unref(table->owners);
	g_hash_table_unref(table->waits);
	g_hash_table_unref(table->clients);
	g_mutex_clear(&table->mutex);
	g_free(table);
}

bool
fs_range_lock_test(FsRangeLock *table, const FsLockOwner *owner,
                   const FsLockRange *range, FsLockRange *ret_range,
                   FsLockOwner *ret_owner)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	const FsRangeFile *file =
		g_hash_table_lookup(table->files[range->space], &range->node);
	const FsRange *held;

	held = file == NULL ? NULL
	                    : fs_range_tree_obstacle(file->held, owner, range);
	if (held == NULL)
		return false;

	*ret_range = *range;
	ret_range->first = held->first;
	ret_range->last = held->last;
	ret_range->exclusive = held->exclusive;
	*ret_owner = held->owner;
	return true;
}

bool
fs_range_lock_has(FsRangeLock *table, uint64_t node, const void *handle,
                  uint64_t below)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	bool has = false;

	for (size_t i = 0; !has && i < G_N_ELEMENTS(table->files); i++) {
		const FsRangeFile *file =
			g_hash_table_lookup(table->files[i], &node);

		has = file != NULL &&
		      fs_range_tree_has_handle(file->held, handle, below);
	}
	return has;
}

/* Whether @session may hold @more ranges. */
static int
table_check_held(const FsRangeLock *table, uint64_t session, unsigned more)
{
	const FsRangeClient *client =
		g_hash_table_lookup(table->clients, &session);
	unsigned own = client != NULL ? client->held : 0;

	return fs_quota_check(&table->quota, own, table->held, more) < 0
	               ? -ENOLCK
	               : 0;
}

/* Replacing the middle of a range leaves two more than there were. */
static int
table_check_room(const FsRangeLock *table, const FsLockOwner *owner)
{
	return table_check_held(table, owner->session, 2);
}

/* Whether @session may wait once more. */
static int
table_check_waits(const FsRangeLock *table, uint64_t session)
{
	const FsQuota quota = FS_RANGE_WAITS;
	const FsRangeClient *client =
		g_hash_table_lookup(table->clients, &session);
	unsigned own = client != NULL ? client->waits : 0;

	return fs_quota_check(&quota, own, g_hash_table_size(table->waits), 1) <
	                       0
	               ? -ENOLCK
	               : 0;
}

int
fs_range_lock_try(FsRangeLock *table, const FsLockOwner *owner,
                  const FsLockRange *range)
{
	FsRangeFile *file;
	int r;

	g_assert(range->first <= range->last);

	g_mutex_lock(&table->mutex);
	file = fs_range_table_file(table, range);
	r = table_check_room(table, owner);
	if (fs_range_tree_obstacle(file->held, owner, range) != NULL)
		r = -EAGAIN;
	if (r == 0)
		fs_range_file_take(table, file, owner, range);
	else
		fs_range_table_mark(table, file);
	table_unlock(table);
	return r;
}

/* Called with @table locked. Parks the request if it must; *@ret_wait is NULL
 * if it was granted. */
static int
table_wait(FsRangeLock *table, FsRangeFile *file, const FsLockOwner *owner,
           const FsLockRange *range, FsRangeWait **ret_wait)
{
	int r;

	r = table_check_room(table, owner);
	if (r < 0)
		return r;

	/* As flock(2) converts: two who hold it shared may both ask for more. */
	if (range->space == FS_LOCK_FLOCK &&
	    fs_range_tree_obstacle(file->held, owner, range) != NULL)
		fs_range_file_drop(table, file, owner, 0, UINT64_MAX);

	if (!file_must_wait(table, file, owner, range, NULL)) {
		fs_range_file_take(table, file, owner, range);
		*ret_wait = NULL;
		return 0;
	}

	r = table_check_waits(table, owner->session);
	if (r < 0)
		return r;
	if (table_is_circle(table, file, owner, range))
		return -EDEADLK;

	*ret_wait = table_park(table, file, owner, range);
	return 0;
}

int
fs_range_lock_wait(FsRangeLock *table, const FsLockOwner *owner,
                   const FsLockRange *range, FsLockGrant *grant,
                   void *user_data, FsLockWait *ret_wait)
{
	FsRangeWait *wait = NULL;
	FsRangeFile *file;
	int r;

	g_assert(range->first <= range->last);

	g_mutex_lock(&table->mutex);
	file = fs_range_table_file(table, range);
	fs_range_table_mark(table, file);
	r = table_wait(table, file, owner, range, &wait);
	if (wait != NULL) {
		wait->grant = grant;
		wait->user_data = user_data;
	}
	if (r == 0)
		*ret_wait = wait == NULL ? 0 : wait->id;
	table_unlock(table);

	if (r == 0 && wait == NULL)
		grant(user_data, 0);
	return r;
}

void
fs_range_lock_cancel(FsRangeLock *table, FsLockWait id)
{
	FsRangeWait *wait;

	g_mutex_lock(&table->mutex);
	wait = g_hash_table_lookup(table->waits, &id);
	if (wait != NULL)
		table_end(table, wait, -EINTR);
	table_unlock(table);
}

/* Whether dropping @range leaves one more than there were, with no room for
 * it. */
static bool
file_is_full(const FsRangeLock *table, const FsRangeFile *file,
             const FsLockOwner *owner, const FsLockRange *range)
{
	g_autoptr(GPtrArray) own = NULL;
	const FsRange *held;

	if (table_check_held(table, owner->session, 1) == 0)
		return false;

	own = fs_range_tree_of_owner(file->held, owner->owner, range->first,
	                             range->last);
	held = own->len > 0 ? own->pdata[0] : NULL;
	return held != NULL && held->first < range->first &&
	       held->last > range->last;
}

int
fs_range_lock_drop(FsRangeLock *table, const FsLockOwner *owner,
                   const FsLockRange *range)
{
	const FsRangeOwner *known;
	FsRangeFile *file;
	int r = 0;

	g_assert(range->first <= range->last);

	g_mutex_lock(&table->mutex);
	/* Whoever closes a file mostly holds nothing: one look tells. */
	known = g_hash_table_lookup(table->owners, &owner->owner);
	file = g_hash_table_lookup(table->files[range->space], &range->node);
	if (known != NULL && known->held > 0 && file != NULL) {
		if (file_is_full(table, file, owner, range))
			r = -ENOLCK;
		else
			fs_range_file_drop(table, file, owner, range->first,
			                   range->last);
	}
	table_unlock(table);
	return r;
}

void
fs_range_lock_drop_owner(FsRangeLock *table, uint64_t node, uint64_t owner)
{
	const FsLockOwner who = { .owner = owner };
	const FsLockRange all = { .node = node,
		                  .space = FS_LOCK_POSIX,
		                  .last = UINT64_MAX };

	/* A whole file splits nothing. */
	(void)fs_range_lock_drop(table, &who, &all);
}

static void
file_drop_handle(FsRangeLock *table, FsRangeFile *file, const void *handle)
{
	g_autoptr(GPtrArray) all = fs_range_tree_of_handle(file->held, handle);
	GList *next;

	for (guint i = 0; i < all->len; i++) {
		FsRange *held = all->pdata[i];
		uint64_t id = held->owner.owner;

		fs_range_file_remove(table, file, held);
		fs_range_table_forget(table, id);
	}

	for (GList *l = file->line.head; l != NULL; l = next) {
		FsRangeWait *wait = l->data;

		next = l->next;
		if (wait->owner.handle == handle)
			table_end(table, wait, -EINTR);
	}
}

void
fs_range_lock_drop_handle(FsRangeLock *table, uint64_t node, const void *handle)
{
	g_mutex_lock(&table->mutex);
	for (size_t i = 0; i < G_N_ELEMENTS(table->files); i++) {
		FsRangeFile *file = g_hash_table_lookup(table->files[i], &node);

		if (file != NULL)
			file_drop_handle(table, file, handle);
	}
	table_unlock(table);
}
