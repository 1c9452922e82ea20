/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How the pages are walked
 *
 * - From the root that a meta page names, each page is read, and compared with
 *   what its parent knows of it: its number, its kind, that its keys lie
 *   between two of the parent's. Its nodes must fill it without a gap.
 * - No page may be met twice, neither in the trees nor in the free list, which
 *   is a tree of lists of page numbers; and what was met must come to what the
 *   meta page counts.
 * - The pages of big values, most of a file, are looked at in the order of the
 *   file: in that of the keys a disk would seek for each of them.
 * - A page that is not what it should be is not gone into; what may be missing
 *   for it is told as a range of keys. Of a page whose nodes are not in order,
 *   those that are whole are told, for each record has a checksum.
 * - The two meta pages follow each other, and each transaction frees a page of
 *   the one before: so the last key of a state's free list is its transaction.
 *   Of the older state no more can be asked: LMDB makes it of a commit whose
 *   sync failed, by taking back no more than its number.
 */

#include "store/kv_lmdb_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <glib.h>

#include "store/kv_lmdb_page.h"

/* LMDB goes no deeper. */
#define DEPTH_MAX 32

/* How far ahead of where it is the file is read. */
#define AHEAD ((uint64_t)1 << 20)

/* Pages of a big value, which are still to be looked at. */
typedef struct Big {
	uint64_t first;
	uint64_t size; /* bytes of the value */
} Big;

/* Keys: from the one, to before the other, whose data may be NULL: no end. */
typedef struct Bounds {
	KvSlice from;
	KvSlice to;
} Bounds;

typedef struct Walk {
	int fd;
	const LmdbMeta *meta;
	const LmdbTree *tree;
	uint64_t page_size;
	uint64_t file_size;
	uint8_t *seen; /* a bit a page; owned */
	GArray *bigs;  /* Big; owned */
	LmdbTree counted;
	uint64_t last_key; /* of the free list */
	uint64_t findings;
	const LmdbPagesVisitor *visitor;
} Walk;

/* A page on its way. */
typedef struct Step {
	LmdbPage page;
	unsigned level; /* of the root: 1 */
	Bounds bounds;
	bool is_sound; /* until something is found */
} Step;

static void G_GNUC_PRINTF(2, 3) found(Walk *walk, const char *format, ...)
{
	g_autofree char *sentence = NULL;
	va_list args;

	va_start(args, format);
	sentence = g_strdup_vprintf(format, args);
	va_end(args);
	walk->findings++;
	walk->visitor->finding(walk->visitor->user_data, sentence);
}

static void
found_page(Walk *walk, uint64_t number, const char *what)
{
	found(walk, "page %" PRIu64 ": %s", number, what);
}

/* Of one page one thing is enough. */
static void
found_unsound(Walk *walk, Step *step, const char *what)
{
	if (step->is_sound)
		found_page(walk, step->page.number, what);
	step->is_sound = false;
}

static bool
is_free_list(const Walk *walk)
{
	return walk->tree == &walk->meta->free;
}

static void
lose(const Walk *walk, const Bounds *bounds)
{
	const LmdbPagesVisitor *visitor = walk->visitor;

	if (!is_free_list(walk) && visitor->lost != NULL)
		visitor->lost(visitor->user_data, bounds->from, bounds->to);
}

/* ---- which pages are used ------------------------------------------------*/

/* Notes that @count pages from @first on are used, if none is already. */
static bool
claim(Walk *walk, uint64_t first, uint64_t count)
{
	uint64_t last = walk->meta->last_page;
	uint64_t i;

	if (first < 2 || first > last || count > last - first + 1) {
		found_page(walk, first, "is none of the database's");
		return false;
	}
	for (i = first; i < first + count; i++)
		if ((walk->seen[i / 8] >> i % 8 & 1) != 0) {
			found_page(walk, i, "is used twice");
			return false;
		}
	for (i = first; i < first + count; i++)
		walk->seen[i / 8] |= (uint8_t)(1 << i % 8);
	return true;
}

/* ---- keys ----------------------------------------------------------------*/

static int
compare(const Walk *walk, KvSlice a, KvSlice b)
{
	uint64_t x;
	uint64_t y;
	int r;

	if (!is_free_list(walk)) {
		r = memcmp(a.data, b.data, MIN(a.size, b.size));
		return r != 0 ? r : (a.size > b.size) - (a.size < b.size);
	}
	memcpy(&x, a.data, sizeof(x));
	memcpy(&y, b.data, sizeof(y));
	return (x > y) - (x < y);
}

static bool
is_key(const Walk *walk, KvSlice key)
{
	if (is_free_list(walk))
		return key.size == sizeof(uint64_t);
	return key.size > 0 && key.size <= KV_KEY_MAX;
}

/* Whether @key can follow @previous, a key of the same page if @is_next, and
 * else where the page begins, and comes before its end. */
static bool
is_in_order(const Walk *walk, KvSlice previous, bool is_next, KvSlice key,
            KvSlice end)
{
	int least = is_next ? 1 : 0;

	return is_key(walk, key) &&
	       (previous.size == 0 || compare(walk, key, previous) >= least) &&
	       (end.data == NULL || compare(walk, key, end) < 0);
}

/* ---- big values ----------------------------------------------------------*/

static gint
compare_bigs(gconstpointer a, gconstpointer b)
{
	const Big *x = a;
	const Big *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* Has the file read to beyond @at, which does not go back. */
static void
read_ahead(const Walk *walk, uint64_t at, uint64_t *end)
{
	if (at + AHEAD <= *end)
		return;
	*end = MAX(at, *end);
	(void)posix_fadvise(walk->fd, (off_t)*end, (off_t)AHEAD,
	                    POSIX_FADV_WILLNEED);
	*end += AHEAD;
}

static void
walk_big(Walk *walk, const Big *big)
{
	uint64_t at = big->first * walk->page_size;
	uint64_t least =
		(sizeof(LmdbHeader) - 1 + big->size) / walk->page_size + 1;
	LmdbHeader header;
	uint32_t count;

	if (!lmdb_page_read(walk->fd, &header, sizeof(header), at)) {
		found_page(walk, big->first, "cannot be read");
		return;
	}
	count = header.lower | (uint32_t)header.upper << 16;
	if (header.number != big->first || header.flags != LMDB_PAGE_OVERFLOW ||
	    count < least)
		found_page(walk, big->first, "is another one");
	else if (at + count * walk->page_size > walk->file_size)
		found_page(walk, big->first, "its end is missing");
	else if (claim(walk, big->first, count))
		walk->counted.overflows += count;
}

/* Looks at the pages of all big values of a tree. */
static void
walk_bigs(Walk *walk)
{
	uint64_t end = 0;
	guint i;

	g_array_sort(walk->bigs, compare_bigs);
	for (i = 0; i < walk->bigs->len; i++) {
		const Big *big = &g_array_index(walk->bigs, Big, i);

		read_ahead(walk, big->first * walk->page_size, &end);
		walk_big(walk, big);
	}
	g_array_set_size(walk->bigs, 0);
}

/* ---- leaves --------------------------------------------------------------*/

/* Claims the pages of a list of the free list: how many, then the numbers, the
 * highest first. One that a commit had reserved room for and did not need is
 * empty, whatever is in the room. */
static void
walk_list(Walk *walk, Step *step, const LmdbNode *node)
{
	g_autofree uint64_t *list = g_try_malloc(node->size + 1);
	uint64_t count = node->size / sizeof(uint64_t);
	uint64_t i;

	memcpy(&walk->last_key, node->key.data, sizeof(walk->last_key));
	if (count == 0 || list == NULL ||
	    !lmdb_page_read(walk->fd, list, node->size, node->at) ||
	    (list[0] != 0 && list[0] != count - 1)) {
		found_unsound(walk, step, "a list of free pages is damaged");
		return;
	}
	for (i = 1; i <= list[0]; i++)
		if (i > 1 && list[i] >= list[i - 1])
			found_unsound(walk, step,
			              "free pages are not in order");
		else
			(void)claim(walk, list[i], 1);
}

static void
walk_leaf_node(Walk *walk, Step *step, LmdbNode *node)
{
	const LmdbPagesVisitor *visitor = walk->visitor;

	walk->counted.entries++;
	if (node->is_big) {
		Big big = { node->child, node->size };

		g_array_append_val(walk->bigs, big);
		node->at = node->child * walk->page_size + sizeof(LmdbHeader);
	}
	if (is_free_list(walk))
		walk_list(walk, step, node);
	else if (visitor->record != NULL)
		visitor->record(visitor->user_data, node->key, node->at,
		                node->size);
}

static void
walk_leaf(Walk *walk, Step *step)
{
	unsigned count = lmdb_page_count(&step->page);
	KvSlice previous = step->bounds.from;
	bool is_next = false;
	unsigned i;

	walk->counted.leaves++;
	for (i = 0; i < count; i++) {
		LmdbNode node;

		if (!lmdb_page_node(&step->page, i, &node) ||
		    !is_in_order(walk, previous, is_next, node.key,
		                 step->bounds.to)) {
			found_unsound(walk, step, "its keys are not in order");
			continue;
		}
		walk_leaf_node(walk, step, &node);
		previous = node.key;
		is_next = true;
	}
}

/* ---- trees ---------------------------------------------------------------*/

static void walk_page(Walk *walk, uint64_t number, unsigned level,
                      const Bounds *bounds);

/* Has the pages below read while the first of them is looked at. */
static void
foresee(const Walk *walk, const LmdbPage *page)
{
	unsigned count = lmdb_page_count(page);
	LmdbNode node;
	unsigned i;

	for (i = 0; i < count; i++)
		if (lmdb_page_node(page, i, &node))
			(void)posix_fadvise(
				walk->fd, (off_t)(node.child * walk->page_size),
				(off_t)walk->page_size, POSIX_FADV_WILLNEED);
}

/* What lies between two keys of the page is below the node of the first; the
 * key of the very first is not used. */
static void
walk_branch(Walk *walk, Step *step)
{
	unsigned count = lmdb_page_count(&step->page);
	Bounds below = step->bounds;
	LmdbNode node;
	LmdbNode next = { .child = 0 };
	unsigned i;

	walk->counted.branches++;
	foresee(walk, &step->page);
	if (!lmdb_page_node(&step->page, 0, &node)) {
		found_unsound(walk, step, "its first node is damaged");
		return;
	}
	for (i = 1; i < count; i++) {
		if (!lmdb_page_node(&step->page, i, &next) ||
		    !is_in_order(walk, below.from, i > 1, next.key,
		                 step->bounds.to)) {
			found_unsound(walk, step, "its keys are not in order");
			continue;
		}
		below.to = next.key;
		walk_page(walk, node.child, step->level + 1, &below);
		below.from = next.key;
		node = next;
	}
	below.to = step->bounds.to;
	walk_page(walk, node.child, step->level + 1, &below);
}

/* Whether the page is what its parent knows of it. */
static bool
is_expected(Walk *walk, const Step *step)
{
	const LmdbPage *page = &step->page;
	bool is_leaf = step->level == walk->tree->depth;

	if (page->header.number != page->number ||
	    page->header.flags != (is_leaf ? LMDB_PAGE_LEAF : LMDB_PAGE_BRANCH))
		found_page(walk, page->number, "is another one");
	else if (!lmdb_page_is_sane(page, is_leaf ? 1 : 2))
		found_page(walk, page->number, "its header is damaged");
	else
		return claim(walk, page->number, 1);
	return false;
}

static void
walk_page(Walk *walk, uint64_t number, unsigned level, const Bounds *bounds)
{
	g_autofree uint8_t *bytes = g_malloc(walk->page_size);
	Step step = { .page = { .bytes = bytes,
		                .size = walk->page_size,
		                .number = number },
		      .level = level,
		      .bounds = *bounds,
		      .is_sound = true };

	if (!lmdb_page_read(walk->fd, bytes, walk->page_size,
	                    number * walk->page_size)) {
		found_page(walk, number, "cannot be read");
		lose(walk, bounds);
		return;
	}
	memcpy(&step.page.header, bytes, sizeof(step.page.header));
	if (!is_expected(walk, &step)) {
		lose(walk, bounds);
		return;
	}
	if (!lmdb_page_is_filled(&step.page))
		found_unsound(walk, &step, "its records are damaged");
	if (step.page.header.flags == LMDB_PAGE_LEAF)
		walk_leaf(walk, &step);
	else
		walk_branch(walk, &step);
	if (!step.is_sound)
		lose(walk, bounds);
}

static void
walk_tree(Walk *walk, const LmdbTree *tree, const char *what)
{
	const Bounds all = { .from = { "", 0 }, .to = { NULL, 0 } };
	const LmdbTree *counted = &walk->counted;

	walk->tree = tree;
	walk->counted = (LmdbTree){ .root = tree->root };
	if (tree->depth > DEPTH_MAX) {
		found(walk, "%s: is too deep", what);
		lose(walk, &all);
		return;
	}
	if (tree->root != LMDB_PAGE_NONE)
		walk_page(walk, tree->root, 1, &all);
	walk_bigs(walk);
	if (counted->branches != tree->branches ||
	    counted->leaves != tree->leaves ||
	    counted->overflows != tree->overflows ||
	    counted->entries != tree->entries)
		found(walk, "%s: is not what the meta page counts", what);
}

/* ---- states --------------------------------------------------------------*/

int
lmdb_pages_newest(int fd, uint64_t *ret_txn)
{
	LmdbMeta metas[2];
	unsigned sound = lmdb_page_read_metas(fd, metas);

	if (sound == 0)
		return -EPROTO;
	*ret_txn = sound == 3 ? MAX(metas[0].txn, metas[1].txn)
	                      : metas[sound - 1].txn;
	return 0;
}

static void
walk_state(Walk *walk, const LmdbMeta *meta)
{
	struct stat st;

	walk->meta = meta;
	walk->page_size = meta->free.pad;
	walk->file_size = fstat(walk->fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
	walk->seen = g_try_malloc0(meta->last_page / 8 + 1);
	if (walk->seen == NULL) {
		found(walk, "the last page is too far away");
		return;
	}
	walk->bigs = g_array_new(FALSE, FALSE, sizeof(Big));
	walk_tree(walk, &meta->records, "the tree of the records");
	walk_tree(walk, &meta->free, "the free list");
	if (meta->txn > 1 && walk->last_key != meta->txn)
		found(walk,
		      "the meta page of transaction %" PRIu64
		      ": has another one's free list",
		      meta->txn);
	g_array_unref(walk->bigs);
	g_free(walk->seen);
}

/* A new file has two of transaction 0. */
static bool
do_follow(uint64_t a, uint64_t b)
{
	return a == b + 1 || b == a + 1 || (a == 0 && b == 0);
}

uint64_t
lmdb_pages_check_metas(int fd, const LmdbPagesVisitor *visitor)
{
	Walk walk = { .fd = fd, .visitor = visitor };
	LmdbMeta metas[2];
	unsigned sound = lmdb_page_read_metas(fd, metas);
	unsigned i;

	for (i = 0; i < 2; i++)
		if ((sound >> i & 1) == 0)
			found_page(&walk, i, "is no sound meta page");
	if (sound == 3 && !do_follow(metas[0].txn, metas[1].txn))
		found(&walk, "the meta pages do not follow each other");
	return walk.findings;
}

uint64_t
lmdb_pages_walk(int fd, uint64_t txn, const LmdbPagesVisitor *visitor)
{
	Walk walk = { .fd = fd, .visitor = visitor };
	LmdbMeta metas[2];
	unsigned sound = lmdb_page_read_metas(fd, metas);
	unsigned i;

	for (i = 0; i < 2; i++)
		if ((sound >> i & 1) != 0 && metas[i].txn == txn) {
			walk_state(&walk, &metas[i]);
			return walk.findings;
		}
	found(&walk, "the state of transaction %" PRIu64 " is gone", txn);
	return walk.findings;
}
