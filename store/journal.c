/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How the journal is written
 *
 * - An entry is made at the moment when its transaction is verified (claim.c):
 *   what everybody sees then is what was there before. Its records lie over
 *   those of the transaction in the batch, so there are both or neither.
 * - For every name, node and extended attribute that the transaction changes,
 *   and for every chunk of content that was there before, it has the value as it
 *   was. Nothing else is copied: content that the transaction lets go of becomes
 *   the entry's, in place of being an orphan.
 * - An entry without a past is a line for those who read it. If it is of
 *   changes that were done, nothing before it can be looked at any more: "since"
 *   says so.
 */

#include <errno.h>
#include <string.h>

#include "store/internal.h"
#include "store/journal_record.h"

/* An entry that is being made. */
typedef struct Draft {
	Store *store;
	const ChangeLayer *layer; /* what the transaction changes */
	StoreTxn before;          /* what there is without it, */
	StoreTxn after;           /* and with it */
	GHashTable *content;      /* data id, of before -> its node; owned */
	ChangeLayer *records;     /* of the entry; owned */
	StoreJournalEntry head;
} Draft;

/* What was there before under a data id. */
typedef struct Content {
	uint64_t size; /* bytes */
	StoreNode node;
} Content;

static void
put(ChangeLayer *records, RecordKey key, GByteArray *value)
{
	change_layer_put(records, record_slice(&key),
	                 (KvSlice){ value->data, value->len });
	g_byte_array_unref(value);
}

static uint64_t *
new_id(uint64_t id)
{
	return g_memdup2(&id, sizeof(id));
}

/* The first change of table @table in @layer. */
static ChangePlace *
first_of(const ChangeLayer *layer, RecordTable table)
{
	uint8_t byte = (uint8_t)table;

	return change_layer_seek(layer, (KvSlice){ &byte, 1 });
}

/* ---- the lines -----------------------------------------------------------*/

static bool
has_name(const RecordNode *node)
{
	return node->attr.parent != 0 || node->attr.node == STORE_ROOT;
}

static StoreUndoneWhat
what_happened(const RecordNode *before, const RecordNode *after)
{
	if (before == NULL)
		return STORE_UNDONE_CREATED;
	if (!has_name(after))
		return STORE_UNDONE_REMOVED;
	return before->attr.parent != after->attr.parent ||
	                       strcmp(before->name, after->name) != 0
	               ? STORE_UNDONE_RENAMED
	               : STORE_UNDONE_CHANGED;
}

/* The path of @node, which has one but for damage. */
static char *
path_of(StoreTxn *view, const RecordNode *node)
{
	char *path = NULL;

	if (node == NULL || !has_name(node))
		return g_strdup("");
	return node_path(view, node->attr.node, &path) == 0
	               ? path
	               : g_strdup(node->name);
}

static void
put_line(Draft *draft, const Change *change, const RecordNode *before,
         const RecordNode *after)
{
	g_autofree char *old_path = path_of(&draft->before, before);
	g_autofree char *new_path = path_of(&draft->after, after);
	KvSlice value = { change->value, change->size };
	JournalFile line = {
		.file = { .node = after->attr.node,
		          .mode = after->attr.mode,
		          .what = what_happened(before, after),
		          .old_path = old_path,
		          .new_path = new_path,
		          .old_size = before != NULL ? before->attr.size : 0,
		          .new_size =
		                  new_path[0] == '\0' ? 0 : after->attr.size },
		.before = change->beneath,
		.after = claim_digest(&value),
	};

	put(draft->records, journal_key_file(draft->head.id, line.file.node),
	    journal_file_encode(&line));
	draft->head.files++;
}

static void
add_content(Draft *draft, const RecordNode *before)
{
	if (before->data != 0)
		g_hash_table_insert(draft->content, new_id(before->data),
		                    new_id(before->attr.node));
}

/* Enters the node that was changed by @change, unless it had and has no name:
 * then it came and went, or is only still open. */
static int
add_line(Draft *draft, const Change *change)
{
	KvSlice value = { change->value, change->size };
	RecordNode before;
	RecordNode after;
	StoreNode id = record_key_own_id(change->key);
	bool is_new;
	int r;

	/* A transaction encodes a node, and never deletes its record. */
	r = record_node_decode(id, value, &after);
	g_assert(r == 0);
	r = node_load_any(&draft->before, id, &before);
	is_new = r == -ESTALE;
	if (r < 0 && !is_new)
		return r;
	if (!is_new)
		add_content(draft, &before);
	if (has_name(&after) || (!is_new && has_name(&before)))
		put_line(draft, change, is_new ? NULL : &before, &after);
	return 0;
}

static int
add_lines(Draft *draft)
{
	ChangePlace *place = first_of(draft->layer, RECORD_NODE);
	int r = 0;

	for (; r == 0 && place != NULL; place = change_place_next(place)) {
		const Change *change = change_place_get(place);

		if (change->key_bytes[0] != RECORD_NODE)
			break;
		r = add_line(draft, change);
	}
	return r;
}

/* ---- the past ------------------------------------------------------------*/

static void
put_past(Draft *draft, ChangeLayer *past, JournalPast kind, KvSlice key,
         KvSlice value)
{
	RecordKey to = journal_key_past(draft->head.id, kind, key);

	change_layer_put(past, record_slice(&to), value);
	draft->head.bytes += to.size + value.size;
}

static int
add_value(Draft *draft, ChangeLayer *past, KvSlice key)
{
	KvSlice value = { "", 0 };
	int r;

	r = txn_get(&draft->before, key, &value);
	if (r < 0 && r != -ENOENT)
		return r;
	put_past(draft, past, r == 0 ? JOURNAL_VALUE : JOURNAL_ABSENT, key,
	         value);
	return 0;
}

/* A chunk that cannot be read may be replaced: then nobody needs it, and the
 * past does without it. */
static int
add_chunk(Draft *draft, ChangeLayer *past, KvSlice key)
{
	uint64_t data = record_key_own_id(key);
	const StoreNode *node;
	uint8_t number[8];
	int r;

	node = g_hash_table_lookup(draft->content, &data);
	if (node == NULL)
		return 0;
	r = add_value(draft, past, key);
	if (r != -EIO)
		return r;
	record_u64_encode(*node, number);
	put_past(draft, past, JOURNAL_LOST, key,
	         (KvSlice){ number, sizeof(number) });
	return 0;
}

/* Bytes of content @data. A hole has none. */
static uint64_t
weigh_content(StoreTxn *view, uint64_t data)
{
	RecordKey prefix = record_key_content(data);

	return txn_weigh(view, &prefix);
}

/* Bytes that are kept with node @id: content and extended attributes. Errors:
 * -ESTALE. */
static int
weigh_node(StoreTxn *view, StoreNode id, uint64_t *ret_bytes)
{
	RecordKey xattrs = record_key_xattr(id, "");
	uint64_t bytes = txn_weigh(view, &xattrs);
	RecordNode node;
	int r = node_load_any(view, id, &node);

	if (r < 0)
		return r;
	bytes += node.data != 0 ? weigh_content(view, node.data)
	                        : node.content.size;
	*ret_bytes = bytes;
	return 0;
}

/* What @change makes an orphan stays, if it was there before. */
static int
add_kept(Draft *draft, ChangeLayer *past, const Change *change)
{
	bool is_data = change->value[0] == RECORD_ORPHAN_DATA;
	uint64_t id = record_key_own_id(change->key);
	uint64_t size = 0;
	uint8_t bytes[8];
	RecordKey key;
	int r = 0;

	if (is_data && !g_hash_table_contains(draft->content, &id))
		return 0;
	if (is_data)
		size = weigh_content(&draft->before, id);
	else
		r = weigh_node(&draft->before, id, &size);
	if (r < 0)
		return r == -ESTALE ? 0 : r;
	key = journal_key_past_id(draft->head.id,
	                          is_data ? JOURNAL_DATA : JOURNAL_NODE, id);
	record_u64_encode(size, bytes);
	change_layer_put(past, record_slice(&key),
	                 (KvSlice){ bytes, sizeof(bytes) });
	change_layer_delete(past, change->key);
	draft->head.bytes += key.size + size;
	return 0;
}

static int
add_past(Draft *draft, ChangeLayer *past, const Change *change)
{
	switch (change->key_bytes[0]) {
	case RECORD_NODE:
	case RECORD_NAME:
	case RECORD_XATTR:
		return add_value(draft, past, change->key);
	case RECORD_CHUNK:
		return add_chunk(draft, past, change->key);
	case RECORD_ORPHAN:
		return change->value != NULL ? add_kept(draft, past, change)
		                             : 0;
	default:
		return 0;
	}
}

/* Adds what there was before, unless it is too much to be held in memory. */
static int
add_all_past(Draft *draft)
{
	g_autoptr(ChangeLayer) past = change_layer_new();
	ChangePlace *place =
		change_layer_seek(draft->layer, (KvSlice){ "", 0 });
	int r = 0;

	draft->head.has_past = true;
	for (; r == 0 && place != NULL; place = change_place_next(place)) {
		r = add_past(draft, past, change_place_get(place));
		if (change_layer_bytes(past) >
		    draft->store->options.staged_max) {
			draft->head.has_past = false;
			break;
		}
	}
	if (draft->head.has_past)
		change_layer_move_over(past, draft->records);
	else
		draft->head.bytes = 0;
	return r;
}

/* ---- since ---------------------------------------------------------------*/

void
journal_raise_since(Store *store, uint64_t id, int64_t ns, ChangeLayer *records)
{
	JournalSince *since = &store->journal.since;

	if (id > since->id)
		*since = (JournalSince){ id, ns };
	put(records, journal_key_since(), journal_since_encode(since));
}

/* ---- entries -------------------------------------------------------------*/

static void
draft_clear(Draft *draft)
{
	g_hash_table_unref(draft->content);
	change_layer_free(draft->records);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Draft, draft_clear)

static StoreJournalEntry
head_of(Store *store, const JournalAsk *ask)
{
	static const StoreAccount nothing = { .session = 0 };
	const StoreAccount *account =
		ask->account != NULL ? ask->account : &nothing;
	StoreJournalEntry head = {
		.id = node_new_id(store),
		.outcome = ask->outcome,
		.who = account->who != NULL ? account->who : ask->txn->who,
		.reason = ask->reason != NULL ? ask->reason : "",
		.mailbags = account->mailbags != NULL ? account->mailbags : "",
		.session = account->session,
		.begun_ns = account->begun_ns != 0 ? account->begun_ns
		                                   : ask->txn->begun_ns,
		.ended_ns = store_now_ns(),
		.served_ns = journal_served_ns(store),
		.held_ns = account->held_ns,
		.waited_ns = account->waited_ns,
		.undone = ask->undone,
	};

	return head;
}

static void
finish(Draft *draft, JournalEntry **ret_entry)
{
	const StoreJournalEntry *head = &draft->head;
	JournalEntry *entry = g_new(JournalEntry, 1);

	if (head->outcome != STORE_UNDONE && !head->has_past)
		journal_raise_since(draft->store, head->id, head->ended_ns,
		                    draft->records);
	put(draft->records, journal_key(JOURNAL_HEAD, head->id),
	    journal_head_encode(head));
	*entry = (JournalEntry){ g_steal_pointer(&draft->records), head->bytes,
		                 head->files + 1 };
	*ret_entry = entry;
}

int
journal_write(Store *store, const JournalAsk *ask, JournalEntry **ret_entry)
{
	bool wants_past =
		ask->outcome != STORE_UNDONE && store->options.journal_max > 0;
	g_auto(Draft) draft = {
		.store = store,
		.layer = ask->layer,
		.before = { .store = store, .flight = ask->flight },
		.after = { .store = store,
		           .layer = ask->layer,
		           .flight = ask->flight },
		.content = g_hash_table_new_full(g_int64_hash, g_int64_equal,
		                                 g_free, g_free),
		.records = change_layer_new(),
		.head = head_of(store, ask),
	};
	int r;

	*ret_entry = NULL;
	r = add_lines(&draft);
	if (r < 0 || draft.head.files == 0)
		return r;
	if (wants_past)
		r = add_all_past(&draft);
	if (r == 0)
		finish(&draft, ret_entry);
	return r;
}

void
journal_entry_free(JournalEntry *entry)
{
	if (entry == NULL)
		return;
	change_layer_free(entry->records);
	g_free(entry);
}

void
journal_apply(Store *store, const JournalEntry *entry)
{
	if (entry == NULL)
		return;
	journal_note(store, entry);
	change_layer_move_over(entry->records, store->active);
	commit_note_change(store);
}

void
journal_note(Store *store, const JournalEntry *entry)
{
	store->journal.bytes += entry->bytes;
	store->journal.lines += entry->lines;
}

/* ---- accounts ------------------------------------------------------------*/

void
journal_account_free(StoreAccount *account)
{
	if (account == NULL)
		return;
	g_free((char *)(uintptr_t)account->who);
	g_free((char *)(uintptr_t)account->mailbags);
	g_free(account);
}

void
store_txn_account(StoreTxn *txn, const StoreAccount *account)
{
	StoreAccount *copy = g_memdup2(account, sizeof(*account));

	copy->who = g_strdup(account->who);
	copy->mailbags = g_strdup(account->mailbags);

	STORE_LOCK(txn->store);
	journal_account_free(txn->account);
	txn->account = copy;
}
