/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/kv_fault.h"

#include <errno.h>

#include "store/change.h"

/*
 * A state is a tree that nobody changes; a commit makes a new one. A snapshot
 * keeps its state alive. After an unclear commit the engine is finished until
 * it is opened again, like LMDB after a failed write of its meta page: what is
 * begun then fails, what was begun before can still be read.
 */
struct KvFaultDisk {
	GMutex lock;
	GTree *state; /* GBytes -> GBytes; owned */
	KvFaultKind kind;
	uint64_t at;
	uint64_t calls;
	uint64_t commits;
	unsigned bad_reopens;
	unsigned good_snapshots; /* before those */
	unsigned bad_snapshots;
	KvFaultKind ends[KV_FAULT_COMMITS]; /* of the next commits */
	unsigned ends_left;
	bool is_later;
	bool is_unsettled; /* what the next reopen tells */
	bool is_broken;
	bool is_hidden;
	GCond cond;     /* is_held or held has changed */
	bool is_held;   /* commits wait */
	bool has_held;  /* one does */
	size_t limit;   /* bytes of a batch; 0: none */
	uint64_t room;  /* what is told of it */
	const Kv *head; /* the engine that may write; NULL: any */
};

typedef struct KvFault {
	Kv kv;
	KvFaultDisk *disk; /* borrowed */
	bool is_finished;  /* nothing can be begun until it is opened again */
	bool is_closed;    /* which has failed */
} KvFault;

typedef struct FaultSnapshot {
	KvSnapshot snapshot;
	GTree *state; /* owned */
} FaultSnapshot;

typedef struct FaultIter {
	KvIter iter;
	GTreeNode *place;
} FaultIter;

static KvSlice
slice_of(GBytes *bytes)
{
	KvSlice slice;

	slice.data = g_bytes_get_data(bytes, &slice.size);
	return slice;
}

static int
compare(const void *a, const void *b, void *user_data)
{
	return change_compare_keys(slice_of((GBytes *)(uintptr_t)a),
	                           slice_of((GBytes *)(uintptr_t)b));
}

static GTree *
state_new(void)
{
	return g_tree_new_full(compare, NULL, (GDestroyNotify)g_bytes_unref,
	                       (GDestroyNotify)g_bytes_unref);
}

KvFaultDisk *
kv_fault_disk_new(void)
{
	KvFaultDisk *disk = g_new0(KvFaultDisk, 1);

	g_mutex_init(&disk->lock);
	g_cond_init(&disk->cond);
	disk->state = state_new();
	return disk;
}

void
kv_fault_disk_free(KvFaultDisk *disk)
{
	if (disk == NULL)
		return;
	g_tree_unref(disk->state);
	g_mutex_clear(&disk->lock);
	g_cond_clear(&disk->cond);
	g_free(disk);
}

void
kv_fault_plan(KvFaultDisk *disk, KvFaultKind kind, uint64_t at)
{
	g_mutex_lock(&disk->lock);
	disk->kind = kind;
	disk->at = at;
	disk->calls = 0;
	disk->is_unsettled = false;
	g_mutex_unlock(&disk->lock);
}

void
kv_fault_fail_reopens(KvFaultDisk *disk, unsigned count)
{
	g_mutex_lock(&disk->lock);
	disk->bad_reopens = count;
	g_mutex_unlock(&disk->lock);
}

void
kv_fault_fail_snapshots(KvFaultDisk *disk, unsigned count)
{
	kv_fault_fail_later_snapshots(disk, 0, count);
}

void
kv_fault_fail_later_snapshots(KvFaultDisk *disk, unsigned good, unsigned count)
{
	g_mutex_lock(&disk->lock);
	disk->good_snapshots = good;
	disk->bad_snapshots = count;
	g_mutex_unlock(&disk->lock);
}

void
kv_fault_end_commits(KvFaultDisk *disk, const KvFaultKind *kinds,
                     unsigned count)
{
	g_assert(count <= KV_FAULT_COMMITS);
	g_mutex_lock(&disk->lock);
	for (unsigned i = 0; i < count; i++)
		disk->ends[count - 1 - i] = kinds[i];
	disk->ends_left = count;
	g_mutex_unlock(&disk->lock);
}

void
kv_fault_answer_later(KvFaultDisk *disk, bool is_later)
{
	g_mutex_lock(&disk->lock);
	disk->is_later = is_later;
	g_mutex_unlock(&disk->lock);
}

void
kv_fault_break(KvFaultDisk *disk, bool is_broken)
{
	g_mutex_lock(&disk->lock);
	disk->is_broken = is_broken;
	g_mutex_unlock(&disk->lock);
}

void
kv_fault_hold(KvFaultDisk *disk, bool is_held)
{
	g_mutex_lock(&disk->lock);
	disk->is_held = is_held;
	g_cond_broadcast(&disk->cond);
	g_mutex_unlock(&disk->lock);
}

void
kv_fault_await_held(KvFaultDisk *disk)
{
	gint64 deadline = g_get_monotonic_time() + INT64_C(30) * G_USEC_PER_SEC;

	g_mutex_lock(&disk->lock);
	while (!disk->has_held)
		g_assert(g_cond_wait_until(&disk->cond, &disk->lock, deadline));
	g_mutex_unlock(&disk->lock);
}

void
kv_fault_limit(KvFaultDisk *disk, size_t bytes)
{
	g_mutex_lock(&disk->lock);
	disk->limit = bytes;
	g_mutex_unlock(&disk->lock);
}

void
kv_fault_hide_room(KvFaultDisk *disk, bool is_hidden)
{
	g_mutex_lock(&disk->lock);
	disk->is_hidden = is_hidden;
	g_mutex_unlock(&disk->lock);
}

void
kv_fault_leave_room(KvFaultDisk *disk, uint64_t bytes)
{
	g_mutex_lock(&disk->lock);
	disk->room = bytes;
	g_mutex_unlock(&disk->lock);
}

uint64_t
kv_fault_calls(const KvFaultDisk *disk)
{
	return disk->calls;
}

uint64_t
kv_fault_commits(const KvFaultDisk *disk)
{
	return disk->commits;
}

/* Counts a call and tells how it shall fail. */
static KvFaultKind
next_fault(KvFaultDisk *disk)
{
	KvFaultKind kind = KV_FAULT_NONE;

	g_mutex_lock(&disk->lock);
	if (++disk->calls == disk->at)
		kind = disk->kind;
	g_mutex_unlock(&disk->lock);
	return kind;
}

/* Whether a call that reads shall fail. What was begun can be read to its end:
 * in LMDB's map, too, it stays until that is closed. */
static bool
read_fails(const KvFault *fault)
{
	return next_fault(fault->disk) == KV_FAULT_IO;
}

/* Whether @*left said that this one fails, too. */
static bool
count_down(KvFaultDisk *disk, unsigned *left)
{
	bool fails;

	g_mutex_lock(&disk->lock);
	fails = *left > 0;
	*left -= fails;
	g_mutex_unlock(&disk->lock);
	return fails;
}

static int
fault_snapshot(Kv *kv, KvSnapshot **ret_snapshot)
{
	KvFault *fault = (KvFault *)kv;
	FaultSnapshot *s;

	if (read_fails(fault) || fault->is_finished ||
	    (!count_down(fault->disk, &fault->disk->good_snapshots) &&
	     count_down(fault->disk, &fault->disk->bad_snapshots)))
		return -EIO;
	s = g_new0(FaultSnapshot, 1);
	s->snapshot.kv = kv;
	g_mutex_lock(&fault->disk->lock);
	s->state = g_tree_ref(fault->disk->state);
	g_mutex_unlock(&fault->disk->lock);
	*ret_snapshot = &s->snapshot;
	return 0;
}

static void
fault_snapshot_end(KvSnapshot *snapshot)
{
	FaultSnapshot *s = (FaultSnapshot *)snapshot;

	g_tree_unref(s->state);
	g_free(s);
}

static int
fault_get(KvSnapshot *snapshot, KvSlice key, KvSlice *ret_value)
{
	FaultSnapshot *s = (FaultSnapshot *)snapshot;
	g_autoptr(GBytes) k = g_bytes_new(key.data, key.size);
	GBytes *value;

	if (read_fails((KvFault *)snapshot->kv))
		return -EIO;
	value = g_tree_lookup(s->state, k);
	if (value == NULL)
		return -ENOENT;
	*ret_value = slice_of(value);
	return 0;
}

static KvRecord
record_at(GTreeNode *place)
{
	if (place == NULL)
		return (KvRecord){ { NULL, 0 }, { NULL, 0 } };
	return (KvRecord){ slice_of(g_tree_node_key(place)),
		           slice_of(g_tree_node_value(place)) };
}

static int
fault_near(KvSnapshot *snapshot, KvSlice key, KvRecord *ret_before,
           KvRecord *ret_after)
{
	FaultSnapshot *s = (FaultSnapshot *)snapshot;
	g_autoptr(GBytes) k = g_bytes_new(key.data, key.size);
	GTreeNode *place;

	if (read_fails((KvFault *)snapshot->kv))
		return -EIO;
	place = g_tree_lower_bound(s->state, k);
	*ret_after = record_at(place);
	*ret_before = record_at(place != NULL ? g_tree_node_previous(place)
	                                      : g_tree_node_last(s->state));
	return 0;
}

static int
fault_iter(KvSnapshot *snapshot, KvSlice from, KvIter **ret_iter)
{
	FaultSnapshot *s = (FaultSnapshot *)snapshot;
	g_autoptr(GBytes) k = g_bytes_new(from.data, from.size);
	FaultIter *it;

	if (read_fails((KvFault *)snapshot->kv))
		return -EIO;
	it = g_new0(FaultIter, 1);
	it->iter.snapshot = snapshot;
	it->place = g_tree_lower_bound(s->state, k);
	*ret_iter = &it->iter;
	return 0;
}

static int
fault_iter_next(KvIter *iter, KvSlice *ret_key, KvSlice *ret_value)
{
	FaultIter *it = (FaultIter *)iter;

	if (read_fails((KvFault *)iter->snapshot->kv))
		return -EIO;
	if (it->place == NULL)
		return -ENOENT;
	*ret_key = slice_of(g_tree_node_key(it->place));
	*ret_value = slice_of(g_tree_node_value(it->place));
	it->place = g_tree_node_next(it->place);
	return 0;
}

static void
fault_iter_end(KvIter *iter)
{
	g_free(iter);
}

static gboolean
copy_entry(void *key, void *value, void *user_data)
{
	g_tree_insert(user_data, g_bytes_ref(key), g_bytes_ref(value));
	return FALSE;
}

static void
apply(KvFaultDisk *disk, const KvBatch *batch)
{
	GTree *next = state_new();
	size_t i;

	g_tree_foreach(disk->state, copy_entry, next);
	for (i = 0; i < batch->count; i++) {
		const KvChange *change = &batch->changes[i];
		GBytes *key = g_bytes_new(change->key.data, change->key.size);

		if (change->value.data != NULL) {
			g_tree_insert(next, key,
			              g_bytes_new(change->value.data,
			                          change->value.size));
			continue;
		}
		g_tree_remove(next, key);
		g_bytes_unref(key);
	}
	g_tree_unref(disk->state);
	disk->state = next;
	disk->commits++;
}

static bool
guard_holds(KvFaultDisk *disk, const KvChange *guard)
{
	g_autoptr(GBytes) key = NULL;
	g_autoptr(GBytes) want = NULL;
	GBytes *value;

	if (guard->key.data == NULL)
		return true;
	key = g_bytes_new(guard->key.data, guard->key.size);
	want = g_bytes_new(guard->value.data, guard->value.size);
	value = g_tree_lookup(disk->state, key);
	return value != NULL && g_bytes_equal(value, want);
}

static void
wait_while_held(KvFaultDisk *disk)
{
	g_mutex_lock(&disk->lock);
	disk->has_held = disk->is_held;
	g_cond_broadcast(&disk->cond);
	while (disk->is_held)
		g_cond_wait(&disk->cond, &disk->lock);
	disk->has_held = false;
	g_mutex_unlock(&disk->lock);
}

static bool
has_room(KvFaultDisk *disk, const KvBatch *batch)
{
	size_t bytes = 0;
	size_t limit;
	size_t i;

	g_mutex_lock(&disk->lock);
	limit = disk->limit;
	g_mutex_unlock(&disk->lock);
	for (i = 0; i < batch->count; i++)
		bytes += batch->changes[i].key.size +
		         batch->changes[i].value.size;
	return limit == 0 || bytes <= limit;
}

/* Does what is left of it after @kind. Returns whether the guard holds. */
static bool
apply_if_held(KvFault *fault, const KvBatch *batch, KvFaultKind kind)
{
	KvFaultDisk *disk = fault->disk;
	bool holds;

	g_mutex_lock(&disk->lock);
	holds = (disk->head == NULL || disk->head == &fault->kv) &&
	        guard_holds(disk, &batch->guard);
	if (holds && kind != KV_FAULT_UNKNOWN_LOST)
		apply(disk, batch);
	g_mutex_unlock(&disk->lock);
	return holds;
}

static KvResult
commit(KvFault *fault, const KvBatch *batch)
{
	KvFaultDisk *disk = fault->disk;
	KvFaultKind kind = next_fault(disk);

	wait_while_held(disk);
	if (count_down(disk, &disk->ends_left))
		kind = disk->ends[disk->ends_left];
	if (disk->is_broken || fault->is_finished || kind == KV_FAULT_IO)
		return KV_IO;
	if (kind == KV_FAULT_NOSPACE || !has_room(disk, batch))
		return KV_NOSPACE;
	if (!apply_if_held(fault, batch, kind))
		return KV_REFUSED;
	fault->is_finished = kind != KV_FAULT_NONE;
	disk->is_unsettled = kind == KV_FAULT_UNSETTLED;
	return kind == KV_FAULT_NONE ? KV_COMMITTED : KV_UNKNOWN;
}

/* A commit that is answered on another thread. */
typedef struct Later {
	KvFault *fault;
	const KvBatch *batch; /* borrowed */
	KvDone *done;
	void *user_data;
} Later;

static void *
answer_later(void *user_data)
{
	g_autofree Later *later = user_data;

	later->done(later->user_data, commit(later->fault, later->batch));
	return NULL;
}

static void
fault_commit(Kv *kv, const KvBatch *batch, KvDone *done, void *user_data)
{
	KvFault *fault = (KvFault *)kv;
	Later *later;
	bool is_later;

	g_mutex_lock(&fault->disk->lock);
	is_later = fault->disk->is_later;
	g_mutex_unlock(&fault->disk->lock);
	if (!is_later) {
		done(user_data, commit(fault, batch));
		return;
	}
	later = g_new(Later, 1);
	*later = (Later){ fault, batch, done, user_data };
	g_thread_unref(g_thread_new("later", answer_later, later));
}

static int
fault_room(KvSnapshot *snapshot, KvRoom *ret_room)
{
	KvFault *fault = (KvFault *)snapshot->kv;
	KvFaultDisk *disk = fault->disk;
	bool is_hidden;
	uint64_t room;

	g_mutex_lock(&disk->lock);
	is_hidden = disk->is_hidden;
	room = disk->room > 0 ? disk->room : UINT64_C(1) << 40;
	g_mutex_unlock(&disk->lock);
	if (read_fails(fault) || fault->is_closed || is_hidden)
		return -EIO;
	*ret_room = (KvRoom){ .map_size = UINT64_C(1) << 40, .free = room };
	return 0;
}

static int
fault_reopen(Kv *kv, bool *ret_is_settled)
{
	KvFault *fault = (KvFault *)kv;
	KvFaultDisk *disk = fault->disk;

	fault->is_finished = disk->is_broken || disk->bad_reopens > 0 ||
	                     next_fault(disk) == KV_FAULT_IO;
	if (disk->bad_reopens > 0)
		disk->bad_reopens--;
	fault->is_closed = fault->is_finished;
	if (fault->is_closed)
		return -EIO;
	*ret_is_settled = !disk->is_unsettled;
	disk->is_unsettled = false;
	return 0;
}

static void
fault_close(Kv *kv)
{
	g_free(kv);
}

/* It is a list in memory: nothing can be wrong with how it is built. */
static int
fault_verify(Kv *kv, KvFinding *finding, void *user_data, uint64_t *ret_count)
{
	*ret_count = 0;
	return 0;
}

static const KvEngine fault_engine = {
	.snapshot = fault_snapshot,
	.snapshot_end = fault_snapshot_end,
	.get = fault_get,
	.near = fault_near,
	.iter = fault_iter,
	.iter_next = fault_iter_next,
	.iter_end = fault_iter_end,
	.commit = fault_commit,
	.room = fault_room,
	.verify = fault_verify,
	.reopen = fault_reopen,
	.close = fault_close,
};

Kv *
kv_fault_open(KvFaultDisk *disk)
{
	KvFault *fault = g_new0(KvFault, 1);

	fault->kv.engine = &fault_engine;
	fault->disk = disk;
	return &fault->kv;
}

void
kv_fault_lead(Kv *kv)
{
	KvFaultDisk *disk = ((KvFault *)kv)->disk;

	g_mutex_lock(&disk->lock);
	disk->head = kv;
	g_mutex_unlock(&disk->lock);
}
