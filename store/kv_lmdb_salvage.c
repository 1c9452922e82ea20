/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How what is left is read
 *
 * - The pages are walked once (kv_lmdb_pages.c); where each record is, and which
 *   keys may be missing, is kept in two sorted lists.
 * - Of the two states that the file has the newer is read, unless it is damaged
 *   and the older is not.
 * - Whether a key that is not found was there is not known if it lies where some
 *   are missing: then it is -EIO, not -ENOENT. A scan goes on behind those.
 * - A value is read once before it is lent from the map, for a page that cannot
 *   be read would end the process.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "store/kv.h"
#include "store/kv_lmdb_page.h"
#include "store/kv_lmdb_pages.h"

#define DATA_FILE "data.mdb"

/* Where a record is; its key is in the heap of keys. */
typedef struct Place {
	uint64_t key;
	uint64_t at;
	uint64_t size;
	uint16_t key_size;
} Place;

/* Keys that may be missing; owned. */
typedef struct Gap {
	GBytes *from;
	GBytes *to; /* NULL: to the end */
} Gap;

/* What one state has. */
typedef struct State {
	GArray *places;      /* Place, in the order of keys */
	GByteArray *keys;    /* one after the other */
	GArray *gaps;        /* Gap */
	GPtrArray *findings; /* sentences */
} State;

typedef struct Salvage {
	Kv kv;
	int fd;
	const uint8_t *map; /* of the whole file */
	size_t size;
	State *state; /* owned */
} Salvage;

typedef struct SalvageIter {
	KvIter iter;
	guint at;
} SalvageIter;

/* ---- states --------------------------------------------------------------*/

static void
gap_clear(void *data)
{
	Gap *gap = data;

	g_bytes_unref(gap->from);
	g_clear_pointer(&gap->to, g_bytes_unref);
}

static void
state_free(State *state)
{
	g_array_unref(state->places);
	g_byte_array_unref(state->keys);
	g_array_unref(state->gaps);
	g_ptr_array_unref(state->findings);
	g_free(state);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(State, state_free)

static void
add_finding(void *user_data, const char *sentence)
{
	State *state = user_data;

	g_ptr_array_add(state->findings, g_strdup(sentence));
}

static void
add_record(void *user_data, KvSlice key, uint64_t at, uint64_t size)
{
	State *state = user_data;
	Place place = { state->keys->len, at, size, (uint16_t)key.size };

	g_byte_array_append(state->keys, key.data, (guint)key.size);
	g_array_append_val(state->places, place);
}

static void
add_gap(void *user_data, KvSlice from, KvSlice to)
{
	State *state = user_data;
	Gap gap = { g_bytes_new(from.data, from.size),
		    to.data == NULL ? NULL : g_bytes_new(to.data, to.size) };

	g_array_append_val(state->gaps, gap);
}

static LmdbPagesVisitor
visitor_of(State *state)
{
	return (LmdbPagesVisitor){ add_finding, add_record, add_gap, state };
}

static State *
state_read(int fd, uint64_t txn)
{
	State *state = g_new(State, 1);
	LmdbPagesVisitor visitor = visitor_of(state);

	*state = (State){ g_array_new(FALSE, FALSE, sizeof(Place)),
		          g_byte_array_new(),
		          g_array_new(FALSE, FALSE, sizeof(Gap)),
		          g_ptr_array_new_with_free_func(g_free) };
	g_array_set_clear_func(state->gaps, gap_clear);
	lmdb_pages_walk(fd, txn, &visitor);
	return state;
}

/* The newer of the states in @metas, of which those in @sound are there, unless
 * it is damaged and the older is not. */
static State *
state_choose(int fd, const LmdbMeta metas[2], unsigned sound)
{
	unsigned last = sound == 3 ? metas[1].txn > metas[0].txn : sound - 1;
	g_autoptr(State) newer = state_read(fd, metas[last].txn);
	g_autoptr(State) older = NULL;

	if (sound != 3 || newer->findings->len == 0)
		return g_steal_pointer(&newer);
	older = state_read(fd, metas[1 - last].txn);
	if (older->findings->len > 0)
		return g_steal_pointer(&newer);
	for (guint i = 0; i < newer->findings->len; i++)
		add_finding(older, newer->findings->pdata[i]);
	add_finding(older, "what is left is the state one commit before");
	return g_steal_pointer(&older);
}

/* NULL if there is none. */
static State *
state_find(int fd)
{
	LmdbPagesVisitor visitor;
	LmdbMeta metas[2];
	unsigned sound = lmdb_page_read_metas(fd, metas);
	State *state;

	if (sound == 0)
		return NULL;
	state = state_choose(fd, metas, sound);
	visitor = visitor_of(state);
	lmdb_pages_check_metas(fd, &visitor);
	return state;
}

/* ---- reading -------------------------------------------------------------*/

static int
compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
	int r = memcmp(a, b, MIN(a_size, b_size));

	return r != 0 ? r : (a_size > b_size) - (a_size < b_size);
}

static const Place *
place_at(const Salvage *salvage, guint i)
{
	return &g_array_index(salvage->state->places, Place, i);
}

static KvSlice
key_at(const Salvage *salvage, guint i)
{
	const Place *place = place_at(salvage, i);

	return (KvSlice){ salvage->state->keys->data + place->key,
		          place->key_size };
}

/* The first record that is not before @key. */
static guint
find(const Salvage *salvage, KvSlice key)
{
	guint low = 0;
	guint high = salvage->state->places->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		KvSlice here = key_at(salvage, middle);

		if (compare(here.data, here.size, key.data, key.size) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
is_in_gap(const Salvage *salvage, KvSlice key)
{
	const GArray *gaps = salvage->state->gaps;

	for (guint i = 0; i < gaps->len; i++) {
		const Gap *gap = &g_array_index(gaps, Gap, i);
		gsize from_size;
		gsize to_size = 0;
		const void *from = g_bytes_get_data(gap->from, &from_size);
		const void *to = gap->to == NULL
		                         ? NULL
		                         : g_bytes_get_data(gap->to, &to_size);

		if ((from_size == 0 ||
		     compare(key.data, key.size, from, from_size) >= 0) &&
		    (to == NULL ||
		     compare(key.data, key.size, to, to_size) < 0))
			return true;
	}
	return false;
}

static int
read_value(const Salvage *salvage, guint i, KvSlice *ret_value)
{
	const Place *place = place_at(salvage, i);
	uint8_t block[4096];
	uint64_t at = place->at;
	uint64_t end = place->at + place->size;

	if (place->at > salvage->size ||
	    place->size > salvage->size - place->at)
		return -EIO;
	for (; at < end; at += MIN(sizeof(block), end - at))
		if (!lmdb_page_read(salvage->fd, block,
		                    MIN(sizeof(block), end - at), at))
			return -EIO;
	*ret_value = (KvSlice){ salvage->map + place->at, place->size };
	return 0;
}

static int
salvage_snapshot(Kv *kv, KvSnapshot **ret_snapshot)
{
	KvSnapshot *snapshot = g_new(KvSnapshot, 1);

	snapshot->kv = kv;
	*ret_snapshot = snapshot;
	return 0;
}

static void
salvage_snapshot_end(KvSnapshot *snapshot)
{
	g_free(snapshot);
}

static int
salvage_get(KvSnapshot *snapshot, KvSlice key, KvSlice *ret_value)
{
	const Salvage *salvage = (const Salvage *)snapshot->kv;
	guint i = find(salvage, key);
	KvSlice here;

	if (i < salvage->state->places->len) {
		here = key_at(salvage, i);
		if (compare(here.data, here.size, key.data, key.size) == 0)
			return read_value(salvage, i, ret_value);
	}
	return is_in_gap(salvage, key) ? -EIO : -ENOENT;
}

static KvRecord
record_at(const Salvage *salvage, guint i)
{
	KvRecord record = { { NULL, 0 }, { "", 0 } };

	if (i >= salvage->state->places->len)
		return record;
	record.key = key_at(salvage, i);
	/* What cannot be read has no checksum either. */
	(void)read_value(salvage, i, &record.value);
	return record;
}

static int
salvage_near(KvSnapshot *snapshot, KvSlice key, KvRecord *ret_before,
             KvRecord *ret_after)
{
	const Salvage *salvage = (const Salvage *)snapshot->kv;
	guint i = find(salvage, key);

	*ret_before = record_at(salvage, i > 0 ? i - 1 : G_MAXUINT);
	*ret_after = record_at(salvage, i);
	return 0;
}

static int
salvage_iter(KvSnapshot *snapshot, KvSlice from, KvIter **ret_iter)
{
	const Salvage *salvage = (const Salvage *)snapshot->kv;
	SalvageIter *it = g_new(SalvageIter, 1);

	it->iter.snapshot = snapshot;
	it->at = find(salvage, from);
	*ret_iter = &it->iter;
	return 0;
}

static int
salvage_iter_next(KvIter *iter, KvSlice *ret_key, KvSlice *ret_value)
{
	const Salvage *salvage = (const Salvage *)iter->snapshot->kv;
	SalvageIter *it = (SalvageIter *)iter;
	KvRecord record = record_at(salvage, it->at);

	if (record.key.data == NULL)
		return -ENOENT;
	it->at++;
	*ret_key = record.key;
	*ret_value = record.value;
	return 0;
}

static void
salvage_iter_end(KvIter *iter)
{
	g_free(iter);
}

/* ---- everything else -----------------------------------------------------*/

static void
salvage_commit(Kv *kv, const KvBatch *batch, KvDone *done, void *user_data)
{
	(void)kv;
	(void)batch;
	done(user_data, KV_IO);
}

static int
salvage_room(KvSnapshot *snapshot, KvRoom *ret_room)
{
	const Salvage *salvage = (const Salvage *)snapshot->kv;

	*ret_room = (KvRoom){ .map_size = salvage->size,
		              .total = salvage->size,
		              .used = salvage->size };
	return 0;
}

static int
salvage_verify(Kv *kv, KvFinding *finding, void *user_data, uint64_t *ret_count)
{
	const State *state = ((Salvage *)kv)->state;

	for (guint i = 0; i < state->findings->len; i++)
		finding(user_data, state->findings->pdata[i]);
	*ret_count = state->findings->len;
	return 0;
}

static int
salvage_reopen(Kv *kv, bool *ret_is_settled)
{
	(void)kv;
	(void)ret_is_settled;
	return -EIO;
}

static void
salvage_close(Kv *kv)
{
	Salvage *salvage = (Salvage *)kv;

	if (salvage->map != NULL)
		munmap((void *)(uintptr_t)salvage->map, salvage->size);
	if (salvage->fd >= 0)
		close(salvage->fd);
	g_clear_pointer(&salvage->state, state_free);
	g_free(salvage);
}

static const KvEngine salvage_engine = {
	.snapshot = salvage_snapshot,
	.snapshot_end = salvage_snapshot_end,
	.get = salvage_get,
	.near = salvage_near,
	.iter = salvage_iter,
	.iter_next = salvage_iter_next,
	.iter_end = salvage_iter_end,
	.commit = salvage_commit,
	.room = salvage_room,
	.verify = salvage_verify,
	.reopen = salvage_reopen,
	.close = salvage_close,
};

static int
salvage_open(Salvage *salvage, const char *dir)
{
	g_autofree char *path = g_build_filename(dir, DATA_FILE, NULL);
	struct stat st;
	void *map;

	salvage->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (salvage->fd < 0 || fstat(salvage->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return -EPROTO;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, salvage->fd,
	           0);
	if (map == MAP_FAILED)
		return -errno;
	salvage->map = map;
	salvage->size = (size_t)st.st_size;
	salvage->state = state_find(salvage->fd);
	return salvage->state != NULL ? 0 : -EPROTO;
}

int
kv_lmdb_salvage(const char *dir, Kv **ret_kv, char **ret_reason)
{
	Salvage *salvage = g_new0(Salvage, 1);
	g_autoptr(Kv) kv = &salvage->kv;
	int r;

	salvage->kv.engine = &salvage_engine;
	salvage->fd = -1;
	r = salvage_open(salvage, dir);
	if (r < 0) {
		*ret_reason =
			r == -EPROTO
				? g_strdup_printf("%s: nothing is left of the "
		                                  "database",
		                                  dir)
				: g_strdup_printf("%s: %s", dir,
		                                  g_strerror(-r));
		return r;
	}
	*ret_kv = g_steal_pointer(&kv);
	return 0;
}
