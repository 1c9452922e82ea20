/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "store/backup_stream.h"
#include "store/change.h"
#include "store/journal_record.h"
#include "store/record.h"

static RecordNode
sample_node(void)
{
	static const char content[] = "content";
	RecordNode node = {
		.attr = { .node = 7,
		          .parent = 3,
		          .mode = S_IFREG | 0640,
		          .uid = 1,
		          .gid = 2,
		          .size = 4000000000,
		          .atime_ns = -1,
		          .mtime_ns = 2,
		          .ctime_ns = 3,
		          .btime_ns = INT64_MAX },
		.name = "INQUEUE3.KEY",
		.content = { content, 7 },
	};

	return node;
}

static void
a_node_comes_back_as_it_was(void **state)
{
	RecordNode in = sample_node();
	RecordNode out;
	uint8_t buf[RECORD_NODE_MAX];
	KvSlice value = { buf, record_node_encode(&in, buf) };

	assert_int_equal(record_node_decode(7, value, &out), 0);
	assert_int_equal(out.attr.node, 7);
	assert_int_equal(out.attr.parent, in.attr.parent);
	assert_int_equal(out.attr.mode, in.attr.mode);
	assert_int_equal(out.attr.uid, in.attr.uid);
	assert_int_equal(out.attr.gid, in.attr.gid);
	assert_int_equal(out.attr.size, in.attr.size);
	assert_int_equal(out.attr.atime_ns, in.attr.atime_ns);
	assert_int_equal(out.attr.mtime_ns, in.attr.mtime_ns);
	assert_int_equal(out.attr.ctime_ns, in.attr.ctime_ns);
	assert_int_equal(out.attr.btime_ns, in.attr.btime_ns);
	assert_string_equal(out.name, in.name);
	assert_int_equal(out.content.size, 7);
	assert_memory_equal(out.content.data, "content", 7);
}

static void
a_malformed_node_is_refused_at_every_length(void **state)
{
	RecordNode in = sample_node();
	RecordNode out;
	uint8_t buf[RECORD_NODE_MAX];
	size_t size = record_node_encode(&in, buf);
	size_t i;

	/* Cut in the fixed part or the name; a shorter content is legal. */
	for (i = 0; i < size - 7; i++)
		assert_int_equal(
			record_node_decode(7, (KvSlice){ buf, i }, &out), -EIO);
	in.attr.mode = S_IFLNK;
	size = record_node_encode(&in, buf);
	assert_int_equal(record_node_decode(7, (KvSlice){ buf, size }, &out),
	                 -EIO);
	in = sample_node();
	in.attr.size = 6; /* less than the content */
	size = record_node_encode(&in, buf);
	assert_int_equal(record_node_decode(7, (KvSlice){ buf, size }, &out),
	                 -EIO);
	in = sample_node();
	in.data = 9; /* chunks and inline content at once */
	size = record_node_encode(&in, buf);
	assert_int_equal(record_node_decode(7, (KvSlice){ buf, size }, &out),
	                 -EIO);
}

static void
a_name_comes_back_as_it_was(void **state)
{
	RecordName in = { 9, S_IFDIR, "Name" };
	RecordName out;
	uint8_t buf[RECORD_NAME_MAX];
	KvSlice value = { buf, record_name_encode(&in, buf) };

	assert_int_equal(record_name_decode(value, &out), 0);
	assert_int_equal(out.node, 9);
	assert_int_equal(out.mode, S_IFDIR);
	assert_string_equal(out.name, "Name");
	value.size = 12;
	assert_int_equal(record_name_decode(value, &out), -EIO);
}

/* What an older program has moved far down has a path that no backup would
 * take. */
static void
a_path_that_is_too_long_is_cut_behind_a_character(void **state)
{
	g_autoptr(GString) path = g_string_new("/a");
	g_autoptr(GByteArray) line = NULL;
	g_autoptr(GByteArray) undone = NULL;
	g_autofree char *paths = NULL;
	g_autofree char *kept = NULL;
	StoreUndoneFile file;
	JournalFile both;

	(void)state;
	while (path->len < BACKUP_VALUE_MAX)
		g_string_append(path, "\xc3\xa9");
	both = (JournalFile){ .file = { .old_path = path->str,
		                        .new_path = path->str } };
	file = (StoreUndoneFile){ .path = path->str };
	line = journal_file_encode(&both);
	undone = record_file_encode(&file);
	assert_true(line->len < BACKUP_VALUE_MAX / 2);
	assert_true(undone->len < BACKUP_VALUE_MAX / 2);

	assert_int_equal(journal_file_decode(7,
	                                     (KvSlice){ line->data, line->len },
	                                     &both, &paths),
	                 0);
	assert_int_equal(
		record_file_decode(7, (KvSlice){ undone->data, undone->len },
	                           &file, &kept),
		0);
	g_string_truncate(path, RECORD_PATH_MAX - 1);
	assert_string_equal(both.file.old_path, path->str);
	assert_string_equal(both.file.new_path, path->str);
	assert_string_equal(file.path, path->str);
}

static void
keys_are_in_the_order_of_their_numbers(void **state)
{
	RecordKey a = record_key_chunk(1, 255);
	RecordKey b = record_key_chunk(1, 256);
	RecordKey c = record_key_chunk(2, 0);
	uint64_t n;

	assert_true(change_compare_keys(record_slice(&a), record_slice(&b)) <
	            0);
	assert_true(change_compare_keys(record_slice(&b), record_slice(&c)) <
	            0);
	assert_true(record_key_id(record_slice(&b), &n));
	assert_int_equal(n, 1);
	assert_true(record_key_chunk_number(record_slice(&b), &n));
	assert_int_equal(n, 256);
	a.size = 8;
	assert_false(record_key_id(record_slice(&a), &n));
}

static void
every_flipped_bit_is_found(void **state)
{
	RecordKey key = record_key_node(5);
	RecordKey other = record_key_node(6);
	uint8_t buf[20 + RECORD_SEAL_SIZE] = "twenty bytes of text";
	KvSlice value = { buf, sizeof(buf) };
	size_t bit;

	record_seal(record_slice(&key), buf, 20);
	assert_int_equal(record_unseal(record_slice(&key), &value), 0);
	assert_int_equal(value.size, 20);
	for (bit = 0; bit < sizeof(buf) * 8; bit++) {
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		value.size = sizeof(buf);
		assert_int_equal(record_unseal(record_slice(&key), &value),
		                 -EIO);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	value.size = sizeof(buf);
	assert_int_equal(record_unseal(record_slice(&other), &value), -EIO);
	value.size = 3;
	assert_int_equal(record_unseal(record_slice(&key), &value), -EIO);
}

/* ---- layers of changes ---------------------------------------------------*/

static KvSlice
text(const char *t)
{
	return (KvSlice){ t, strlen(t) };
}

static void
assert_change(const ChangeLayer *layer, const char *key, const char *want)
{
	const Change *change = change_layer_find(layer, text(key));

	assert_non_null(change);
	assert_int_equal(change->size, strlen(want));
	assert_memory_equal(change->value, want, change->size);
}

static void
a_layer_remembers_the_last_change_of_a_key(void **state)
{
	g_autoptr(ChangeLayer) layer = change_layer_new();

	change_layer_put(layer, text("a"), text("1"));
	change_layer_put(layer, text("a"), text("22"));
	assert_change(layer, "a", "22");
	change_layer_delete(layer, text("a"));
	assert_null(change_layer_find(layer, text("a"))->value);
	memcpy(change_layer_resize(layer, text("a"), 2), "xy", 2);
	assert_change(layer, "a", "xy");
	assert_memory_equal(change_layer_resize(layer, text("a"), 4), "xy\0\0",
	                    4);
	change_layer_forget(layer, text("a"));
	assert_null(change_layer_find(layer, text("a")));
	assert_int_equal(change_layer_count(layer), 0);
	assert_int_equal(change_layer_bytes(layer), 0);
}

static void
a_layer_moves_under_another(void **state)
{
	g_autoptr(ChangeLayer) a = change_layer_new();
	g_autoptr(ChangeLayer) b = change_layer_new();

	change_layer_put(a, text("both"), text("a"));
	change_layer_put(a, text("mine"), text("a"));
	change_layer_put(b, text("both"), text("b"));
	change_layer_move_under(a, b);
	assert_int_equal(change_layer_count(a), 0);
	assert_int_equal(change_layer_bytes(a), 0);
	assert_change(b, "both", "b");
	assert_change(b, "mine", "a");
}

static void
a_layer_is_walked_in_order(void **state)
{
	g_autoptr(ChangeLayer) layer = change_layer_new();
	ChangePlace *place;

	change_layer_put(layer, text("b"), text("2"));
	change_layer_put(layer, text("aa"), text("1"));
	change_layer_delete(layer, text("c"));
	place = change_layer_seek(layer, text("ab"));
	assert_memory_equal(change_place_get(place)->key.data, "b", 1);
	place = change_place_next(place);
	assert_null(change_place_get(place)->value);
	assert_null(change_place_next(place));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_comes_back_as_it_was),
		cmocka_unit_test(a_malformed_node_is_refused_at_every_length),
		cmocka_unit_test(a_name_comes_back_as_it_was),
		cmocka_unit_test(
			a_path_that_is_too_long_is_cut_behind_a_character),
		cmocka_unit_test(keys_are_in_the_order_of_their_numbers),
		cmocka_unit_test(every_flipped_bit_is_found),
		cmocka_unit_test(a_layer_remembers_the_last_change_of_a_key),
		cmocka_unit_test(a_layer_moves_under_another),
		cmocka_unit_test(a_layer_is_walked_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
