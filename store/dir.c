/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"
#include "store/name.h"

/* ---- directories ---------------------------------------------------------*/

int
dir_load(StoreTxn *txn, StoreNode dir, RecordNode *ret_node)
{
	int r = node_load(txn, dir, ret_node);

	if (r < 0)
		return r;
	if (!S_ISDIR(ret_node->attr.mode))
		return -ENOTDIR;
	if (dir != STORE_ROOT && ret_node->attr.parent == 0)
		return -ESTALE;
	return 0;
}

/* Marks that something in @dir has changed. In a transaction that waits for
 * the commit, lest its copy of the record undo what others change there. */
static void
touch(StoreTxn *txn, RecordNode *dir)
{
	if (txn->layer == NULL) {
		dir->attr.mtime_ns = dir->attr.ctime_ns = store_now_ns();
		node_save(txn, dir);
		return;
	}
	if (txn->touched == NULL)
		txn->touched = g_hash_table_new_full(
			g_int64_hash, g_int64_equal, g_free, NULL);
	g_hash_table_add(txn->touched,
	                 g_memdup2(&dir->attr.node, sizeof(dir->attr.node)));
}

/* ---- single names --------------------------------------------------------*/

static int
name_get(StoreTxn *txn, StoreNode dir, const char *folded, RecordName *ret_name)
{
	RecordKey key = record_key_name(dir, folded);
	KvSlice value;
	int r;

	r = txn_get(txn, record_slice(&key), &value);
	return r < 0 ? r : record_name_decode(value, ret_name);
}

/* Folds a name that is in the store, or was checked for it. */
static void
fold_stored(const char *name, char ret_folded[NAME_FOLDED_MAX + 1])
{
	size_t size = name_fold(name, ret_folded);

	g_assert(size > 0);
}

static void
name_put(StoreTxn *txn, StoreNode dir, const RecordNode *node)
{
	char folded[NAME_FOLDED_MAX + 1];
	uint8_t buf[RECORD_NAME_MAX];
	RecordName name = { .node = node->attr.node,
		            .mode = node->attr.mode & S_IFMT };
	RecordKey key;
	size_t size;

	g_strlcpy(name.name, node->name, sizeof(name.name));
	fold_stored(name.name, folded);
	key = record_key_name(dir, folded);
	size = record_name_encode(&name, buf);
	txn_put(txn, record_slice(&key), (KvSlice){ buf, size });
}

static void
name_delete(StoreTxn *txn, StoreNode dir, const char *name)
{
	char folded[NAME_FOLDED_MAX + 1];
	RecordKey key;

	fold_stored(name, folded);
	key = record_key_name(dir, folded);
	txn_delete(txn, record_slice(&key));
}

/* Folds a name that somebody looks for. */
static int
fold(const char *name, char ret_folded[NAME_FOLDED_MAX + 1])
{
	if (strlen(name) > STORE_NAME_MAX)
		return -ENAMETOOLONG;
	return name_fold(name, ret_folded) == 0 ? -ENOENT : 0;
}

static int
name_find(StoreTxn *txn, StoreNode dir, const char *name, RecordName *ret_name)
{
	char folded[NAME_FOLDED_MAX + 1];
	int r;

	r = fold(name, folded);
	return r < 0 ? r : name_get(txn, dir, folded, ret_name);
}

/* The name under which @name would be created in @dir. */
static int
name_for(StoreTxn *txn, StoreNode dir, const char *name,
         char ret_name[STORE_NAME_MAX + 1])
{
	LayoutDir role;
	int r;

	r = name_check(name);
	if (r == 0)
		r = dir_role(txn, dir, &role);
	if (r < 0)
		return r;
	if (layout_is_dos(role))
		return name_to_dos(name, ret_name);
	g_strlcpy(ret_name, name, STORE_NAME_MAX + 1);
	return 0;
}

int
store_name_find(StoreTxn *txn, StoreNode dir, const char *name,
                StoreEntry *ret_entry)
{
	RecordNode parent;
	RecordName found;
	int r;

	STORE_LOCK(txn->store);
	r = name_find(txn, dir, name, &found);
	if (r == -ENOENT) {
		r = dir_load(txn, dir, &parent);
		return r < 0 ? r : -ENOENT;
	}
	if (r < 0)
		return r;
	ret_entry->node = found.node;
	ret_entry->mode = found.mode;
	g_strlcpy(ret_entry->name, found.name, sizeof(ret_entry->name));
	return 0;
}

/* Waits while a commit under way changes @name in @dir, the directory itself, or
 * what the name stands for. Returns whether it has waited. */
static bool
wait_for_name(StoreTxn *txn, StoreNode dir, const char *name)
{
	char folded[NAME_FOLDED_MAX + 1];
	RecordKey key = record_key_node(dir);
	RecordName found;

	if (!claim_concerns(txn))
		return false;
	if (claim_wait(txn, record_slice(&key)))
		return true;
	if (fold(name, folded) < 0)
		return false;
	key = record_key_name(dir, folded);
	if (claim_wait(txn, record_slice(&key)))
		return true;
	if (name_get(txn, dir, folded, &found) < 0)
		return false;
	key = record_key_node(found.node);
	return claim_wait(txn, record_slice(&key));
}

/* As txn_admit(), for a change of @name in @dir. */
static int
admit_name(StoreTxn *txn, StoreNode dir, const char *name, uint64_t size)
{
	int r;

	do
		r = txn_admit(txn, size);
	while (wait_for_name(txn, dir, name));
	return r;
}

/* ---- adding and removing -------------------------------------------------*/

static void
node_init(StoreTxn *txn, StoreNode dir, const char *name, const StoreAttr *attr,
          RecordNode *ret_node)
{
	int64_t now = store_now_ns();

	memset(ret_node, 0, sizeof(*ret_node));
	ret_node->attr = (StoreAttr){
		.node = node_new_id(txn->store),
		.parent = dir,
		.mode = attr->mode,
		.uid = attr->uid,
		.gid = attr->gid,
		.atime_ns = now,
		.mtime_ns = now,
		.ctime_ns = now,
		.btime_ns = now,
	};
	g_strlcpy(ret_node->name, name, sizeof(ret_node->name));
}

static int
name_add(StoreTxn *txn, StoreNode dir, const char *name, const StoreAttr *attr,
         StoreAttr *ret_attr)
{
	char stored[STORE_NAME_MAX + 1];
	RecordNode parent;
	RecordNode node;
	RecordName old;
	int r;

	r = dir_load(txn, dir, &parent);
	if (r == 0 && S_ISDIR(attr->mode))
		r = depth_check(txn, dir);
	if (r == 0)
		r = name_for(txn, dir, name, stored);
	if (r < 0)
		return r;
	r = name_find(txn, dir, stored, &old);
	if (r != -ENOENT)
		return r < 0 ? r : -EEXIST;

	node_init(txn, dir, stored, attr, &node);
	node_save(txn, &node);
	name_put(txn, dir, &node);
	touch(txn, &parent);
	if (S_ISDIR(attr->mode))
		g_hash_table_remove_all(txn->store->roles);
	*ret_attr = node.attr;
	return 0;
}

int
store_name_add(StoreTxn *txn, StoreNode dir, const char *name,
               const StoreAttr *attr, StoreAttr *ret_attr)
{
	int r;

	g_assert(S_ISREG(attr->mode) || S_ISDIR(attr->mode));

	STORE_LOCK(txn->store);
	r = admit_name(txn, dir, name, RECORD_NODE_MAX);
	if (r == 0)
		r = name_add(txn, dir, name, attr, ret_attr);
	return txn_result(txn, r);
}

static bool
is_empty(StoreTxn *txn, StoreNode dir)
{
	RecordKey prefix = record_key_name(dir, "");
	g_autoptr(GPtrArray) keys = NULL;

	if (txn->layer == NULL && claim_has_dir(txn->store, dir))
		return false; /* not in a moment, at the latest */
	return txn_keys(txn, &prefix, &prefix, 1, &keys) == 0 && keys->len == 0;
}

/* Whether something of type @type may take away @node. */
static int
check_removal(StoreTxn *txn, const RecordNode *node, uint32_t type)
{
	if (S_ISDIR(node->attr.mode) && !S_ISDIR(type))
		return -EISDIR;
	if (!S_ISDIR(node->attr.mode) && S_ISDIR(type))
		return -ENOTDIR;
	if (S_ISDIR(type) && !is_empty(txn, node->attr.node))
		return -ENOTEMPTY;
	return 0;
}

/* Takes the name from @node, which was checked. */
static void
unlink_node(StoreTxn *txn, RecordNode *node)
{
	name_delete(txn, node->attr.parent, node->name);
	if (S_ISDIR(node->attr.mode))
		g_hash_table_remove_all(txn->store->roles);
	node->attr.parent = 0;
	node->attr.ctime_ns = store_now_ns();
	node->name[0] = '\0';
	node_save(txn, node);
	orphan_add(txn, node->attr.node, RECORD_ORPHAN_NODE);
}

/* What has a name in @dir may be elsewhere for @txn, which has moved or removed
 * it, while somebody else has given it that name. */
static int
named_load(StoreTxn *txn, StoreNode dir, StoreNode id, RecordNode *ret_node)
{
	int r = node_load(txn, id, ret_node);

	return r == 0 && ret_node->attr.parent != dir ? -ESTALE : r;
}

static int
name_remove(StoreTxn *txn, StoreNode dir, const char *name, uint32_t type)
{
	RecordNode parent;
	RecordNode node;
	RecordName found;
	int r;

	r = dir_load(txn, dir, &parent);
	if (r == 0)
		r = name_find(txn, dir, name, &found);
	if (r == 0)
		r = named_load(txn, dir, found.node, &node);
	if (r == 0)
		r = check_removal(txn, &node, type);
	if (r < 0)
		return r;

	unlink_node(txn, &node);
	touch(txn, &parent);
	return 0;
}

int
store_name_remove(StoreTxn *txn, StoreNode dir, const char *name, uint32_t type)
{
	int r;

	STORE_LOCK(txn->store);
	r = admit_name(txn, dir, name, 0);
	if (r == 0)
		r = name_remove(txn, dir, name, type);
	return txn_result(txn, r);
}

/* ---- moving --------------------------------------------------------------*/

/* A rename on its way. */
typedef struct Move {
	StoreTxn *txn;
	RecordNode from_dir;
	RecordNode to_dir;
	RecordNode node;
	RecordNode target; /* if has_target */
	bool has_target;
	char name[STORE_NAME_MAX + 1]; /* the new name, as it is stored */
} Move;

static int
move_load(Move *m, StoreNode dir, const char *name, StoreNode new_dir,
          const char *new_name)
{
	RecordName found;
	int r;

	r = dir_load(m->txn, dir, &m->from_dir);
	if (r == 0)
		r = dir_load(m->txn, new_dir, &m->to_dir);
	if (r == 0)
		r = name_find(m->txn, dir, name, &found);
	if (r == 0)
		r = named_load(m->txn, dir, found.node, &m->node);
	if (r == 0)
		r = name_for(m->txn, new_dir, new_name, m->name);
	if (r < 0)
		return r;

	r = name_find(m->txn, new_dir, m->name, &found);
	m->has_target = r == 0;
	if (r == 0)
		r = named_load(m->txn, new_dir, found.node, &m->target);
	return r == -ENOENT ? 0 : r;
}

/* Whether @node may go from @from to @to, as far as it is a directory. */
static int
check_way(const Move *m, const RecordNode *node, const RecordNode *from,
          const RecordNode *to)
{
	return S_ISDIR(node->attr.mode)
	               ? depth_check_move(m->txn, node->attr.node,
	                                  from->attr.node, to->attr.node)
	               : 0;
}

static int
move_check(const Move *m, StoreMove how)
{
	int r;

	if (how == STORE_MOVE_EXCHANGE && !m->has_target)
		return -ENOENT;
	r = check_way(m, &m->node, &m->from_dir, &m->to_dir);
	if (r == 0 && how == STORE_MOVE_EXCHANGE)
		r = check_way(m, &m->target, &m->to_dir, &m->from_dir);
	if (r < 0 || !m->has_target || m->target.attr.node == m->node.attr.node)
		return r;
	if (how == STORE_MOVE_NOREPLACE)
		return -EEXIST;
	return how == STORE_MOVE_EXCHANGE
	               ? 0
	               : check_removal(m->txn, &m->target, m->node.attr.mode);
}

static void
place(Move *m, RecordNode *node, StoreNode dir, const char *name)
{
	char stored[STORE_NAME_MAX + 1];

	/* @name may be that of @node itself. */
	g_strlcpy(stored, name, sizeof(stored));
	g_strlcpy(node->name, stored, sizeof(node->name));
	node->attr.parent = dir;
	node->attr.ctime_ns = store_now_ns();
	node_save(m->txn, node);
	name_put(m->txn, dir, node);
}

static void
move_apply(Move *m, StoreMove how)
{
	StoreNode from = m->from_dir.attr.node;
	StoreNode to = m->to_dir.attr.node;
	char old_name[STORE_NAME_MAX + 1];

	g_strlcpy(old_name, m->node.name, sizeof(old_name));
	name_delete(m->txn, from, m->node.name);
	if (m->has_target && m->target.attr.node != m->node.attr.node) {
		if (how == STORE_MOVE_EXCHANGE)
			place(m, &m->target, from, old_name);
		else
			unlink_node(m->txn, &m->target);
	}
	place(m, &m->node, to, m->name);

	touch(m->txn, &m->from_dir);
	if (to != from)
		touch(m->txn, &m->to_dir);
	if (S_ISDIR(m->node.attr.mode) ||
	    (m->has_target && S_ISDIR(m->target.attr.mode)))
		g_hash_table_remove_all(m->txn->store->roles);
}

int
store_name_move(StoreTxn *txn, StoreNode dir, const char *name,
                StoreNode new_dir, const char *new_name, StoreMove how)
{
	Move m = { .txn = txn };
	int r;

	STORE_LOCK(txn->store);
	do
		r = admit_name(txn, dir, name, 0);
	while (wait_for_name(txn, new_dir, new_name));
	if (r == 0)
		r = move_load(&m, dir, name, new_dir, new_name);
	if (r == 0)
		r = move_check(&m, how);
	if (r < 0)
		return txn_result(txn, r);
	move_apply(&m, how);
	return 0;
}

/* ---- listing -------------------------------------------------------------*/

int
store_name_list(StoreTxn *txn, StoreNode dir, StoreVisit *visit,
                void *user_data)
{
	return store_name_list_after(txn, dir, "", visit, user_data);
}

int
store_name_list_after(StoreTxn *txn, StoreNode dir, const char *after,
                      StoreVisit *visit, void *user_data)
{
	RecordKey prefix = record_key_name(dir, "");
	char folded[NAME_FOLDED_MAX + 1];
	RecordNode record;
	RecordName name;
	RecordKey from;
	TxnIter iter;
	KvSlice key;
	KvSlice value;
	bool go_on = true;
	int r;

	STORE_LOCK(txn->store);
	r = dir_load(txn, dir, &record);
	if (r < 0)
		return r;

	(void)name_fold(after, folded);
	from = record_key_name(dir, folded);
	r = txn_iter_begin(txn, &prefix, &from, &iter);
	while (r == 0 && go_on) {
		r = txn_iter_next(&iter, &key, &value);
		if (r == 0)
			r = record_name_decode(value, &name);
		if (r == 0 &&
		    change_compare_keys(key, record_slice(&from)) > 0) {
			StoreEntry entry = { name.node, name.mode, "" };

			g_strlcpy(entry.name, name.name, sizeof(entry.name));
			go_on = visit(user_data, &entry);
		}
	}
	txn_iter_end(&iter);
	return r == -ENOENT ? 0 : r;
}
