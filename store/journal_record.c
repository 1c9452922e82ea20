/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/journal_record.h"

#include <errno.h>
#include <string.h>

#include "store/bytes.h"

/*
 * An entry:                        A file of it:
 *   0 u8 StoreOutcome                0 u8 StoreUndoneWhat
 *   1 u8 1 if it has a past,         1 u32 mode
 *        2 if served is there
 *   2 i64 begun, ended               5 u64 size, old and new
 *  18 u64 session                   21 u64 digest, before and after
 *  26 i64 held, waited              37 u16 bytes of the old path
 *  42 u64 undone, files, bytes      39 the old path, then the new one
 *  66 u8 bytes of who, reason
 *  68 i64 served, if it is there   Since: u64 id, i64 ns.
 *  .. who, reason, mailbags
 */
#define HEAD_FIXED 68
#define HEAD_FULL  76

#define HEAD_HAS_PAST   1
#define HEAD_HAS_SERVED 2

#define FILE_FIXED 39

/* ---- keys ----------------------------------------------------------------*/

/* The places of the parts. */
static const uint8_t places[] = { [JOURNAL_SINCE] = 0,
	                          [JOURNAL_HEAD] = 1,
	                          [JOURNAL_FILE] = 1,
	                          [JOURNAL_PAST] = 2 };

/* Bytes of a head's key; those of a file have more. */
#define HEAD_KEY 10

RecordKey
journal_key_part(JournalPart part)
{
	return (RecordKey){ .size = 2,
		            .bytes = { RECORD_JOURNAL, places[part] } };
}

RecordKey
journal_key_since(void)
{
	return journal_key_part(JOURNAL_SINCE);
}

RecordKey
journal_key(JournalPart part, uint64_t id)
{
	RecordKey key = journal_key_part(part);

	record_key_add_u64(&key, id);
	return key;
}

RecordKey
journal_key_file(uint64_t id, StoreNode node)
{
	RecordKey key = journal_key(JOURNAL_FILE, id);

	record_key_add_u64(&key, node);
	return key;
}

RecordKey
journal_key_pasts(uint64_t id, JournalPast past)
{
	RecordKey key = journal_key(JOURNAL_PAST, id);
	uint8_t byte = (uint8_t)past;

	record_key_add(&key, &byte, 1);
	return key;
}

RecordKey
journal_key_past(uint64_t id, JournalPast past, KvSlice of)
{
	RecordKey key = journal_key_pasts(id, past);

	record_key_add(&key, of.data, of.size);
	return key;
}

RecordKey
journal_key_past_id(uint64_t id, JournalPast past, uint64_t of)
{
	RecordKey key = journal_key_pasts(id, past);

	record_key_add_u64(&key, of);
	return key;
}

/* The big-endian number at @offset of @key, which has it. */
static uint64_t
number_at(KvSlice key, size_t offset)
{
	uint64_t n;

	memcpy(&n, (const uint8_t *)key.data + offset, sizeof(n));
	return GUINT64_FROM_BE(n);
}

static bool
part_at(KvSlice key, JournalPart *ret_part)
{
	const uint8_t *bytes = key.data;

	if (key.size < 2)
		return false;
	switch (bytes[1]) {
	case 0:
		*ret_part = JOURNAL_SINCE;
		return key.size == 2;
	case 1:
		*ret_part = key.size == HEAD_KEY ? JOURNAL_HEAD : JOURNAL_FILE;
		return key.size >= HEAD_KEY;
	case 2:
		*ret_part = JOURNAL_PAST;
		return key.size > HEAD_KEY;
	default:
		return false;
	}
}

bool
journal_key_read(KvSlice key, JournalPart *ret_part, uint64_t *ret_id)
{
	if (!part_at(key, ret_part))
		return false;
	*ret_id = *ret_part == JOURNAL_SINCE ? 0 : number_at(key, 2);
	return true;
}

bool
journal_key_read_file(KvSlice key, StoreNode *ret_node)
{
	if (key.size != 18)
		return false;
	*ret_node = number_at(key, 10);
	return true;
}

bool
journal_key_read_past(KvSlice key, JournalPast *ret_past, KvSlice *ret_of)
{
	const uint8_t *bytes = key.data;

	if (key.size < 12 || bytes[10] > JOURNAL_LOST)
		return false;
	*ret_past = (JournalPast)bytes[10];
	*ret_of = (KvSlice){ bytes + 11, key.size - 11 };
	return true;
}

/* ---- values --------------------------------------------------------------*/

GByteArray *
journal_since_encode(const JournalSince *since)
{
	GByteArray *bytes = g_byte_array_sized_new(16);
	uint8_t fixed[16];

	bytes_put_u64(fixed, since->id);
	bytes_put_u64(fixed + 8, (uint64_t)since->ns);
	return g_byte_array_append(bytes, fixed, sizeof(fixed));
}

int
journal_since_decode(KvSlice value, JournalSince *ret_since)
{
	const uint8_t *p = value.data;

	if (value.size != 16)
		return -EIO;
	ret_since->id = bytes_get_u64(p);
	ret_since->ns = (int64_t)bytes_get_u64(p + 8);
	return 0;
}

static void
append_text(GByteArray *bytes, const char *text, size_t size)
{
	g_byte_array_append(bytes, (const uint8_t *)text, (guint)size);
}

G_STATIC_ASSERT(RECORD_TEXT_MAX == STORE_JOURNAL_LINE_MAX);

GByteArray *
journal_head_encode(const StoreJournalEntry *entry)
{
	GByteArray *bytes = g_byte_array_new();
	size_t who = MIN(strlen(entry->who), RECORD_TEXT_MAX);
	size_t reason = MIN(strlen(entry->reason), RECORD_TEXT_MAX);
	size_t mailbags = MIN(strlen(entry->mailbags), RECORD_TEXT_MAX);
	uint8_t fixed[HEAD_FULL];

	fixed[0] = (uint8_t)entry->outcome;
	fixed[1] = HEAD_HAS_SERVED | (entry->has_past ? HEAD_HAS_PAST : 0);
	bytes_put_u64(fixed + 2, (uint64_t)entry->begun_ns);
	bytes_put_u64(fixed + 10, (uint64_t)entry->ended_ns);
	bytes_put_u64(fixed + 18, entry->session);
	bytes_put_u64(fixed + 26, (uint64_t)entry->held_ns);
	bytes_put_u64(fixed + 34, (uint64_t)entry->waited_ns);
	bytes_put_u64(fixed + 42, entry->undone);
	bytes_put_u64(fixed + 50, entry->files);
	bytes_put_u64(fixed + 58, entry->bytes);
	fixed[66] = (uint8_t)who;
	fixed[67] = (uint8_t)reason;
	bytes_put_u64(fixed + 68, (uint64_t)entry->served_ns);
	g_byte_array_append(bytes, fixed, sizeof(fixed));
	append_text(bytes, entry->who, who);
	append_text(bytes, entry->reason, reason);
	append_text(bytes, entry->mailbags, mailbags);
	return bytes;
}

/* Copies @size bytes of @from to place @i of @text. */
static const char *
copy_text(char text[JOURNAL_TEXT_MAX], size_t i, const uint8_t *from,
          size_t size)
{
	char *to = text + i * (RECORD_TEXT_MAX + 1);

	memcpy(to, from, size);
	to[size] = '\0';
	return to;
}

int
journal_head_decode(uint64_t id, KvSlice value, StoreJournalEntry *ret_entry,
                    char text[JOURNAL_TEXT_MAX])
{
	const uint8_t *p = value.data;
	size_t fixed;
	size_t texts;
	size_t rest;

	if (value.size < HEAD_FIXED || p[0] > STORE_UNDONE ||
	    p[1] > (HEAD_HAS_PAST | HEAD_HAS_SERVED))
		return -EIO;
	fixed = (p[1] & HEAD_HAS_SERVED) != 0 ? HEAD_FULL : HEAD_FIXED;
	if (value.size < fixed)
		return -EIO;
	texts = (size_t)p[66] + p[67];
	rest = value.size - fixed;
	if (rest < texts || rest - texts > RECORD_TEXT_MAX)
		return -EIO;
	*ret_entry = (StoreJournalEntry){
		.id = id,
		.outcome = (StoreOutcome)p[0],
		.has_past = (p[1] & HEAD_HAS_PAST) != 0,
		.begun_ns = (int64_t)bytes_get_u64(p + 2),
		.ended_ns = (int64_t)bytes_get_u64(p + 10),
		.session = bytes_get_u64(p + 18),
		.held_ns = (int64_t)bytes_get_u64(p + 26),
		.waited_ns = (int64_t)bytes_get_u64(p + 34),
		.undone = bytes_get_u64(p + 42),
		.files = bytes_get_u64(p + 50),
		.bytes = bytes_get_u64(p + 58),
		.served_ns =
			fixed == HEAD_FULL ? (int64_t)bytes_get_u64(p + 68) : 0,
		.who = copy_text(text, 0, p + fixed, p[66]),
		.reason = copy_text(text, 1, p + fixed + p[66], p[67]),
		.mailbags = copy_text(text, 2, p + fixed + texts, rest - texts),
	};
	return 0;
}

GByteArray *
journal_file_encode(const JournalFile *file)
{
	GByteArray *bytes = g_byte_array_new();
	size_t old = record_path_size(file->file.old_path);
	uint8_t fixed[FILE_FIXED];

	fixed[0] = (uint8_t)file->file.what;
	bytes_put_u32(fixed + 1, file->file.mode);
	bytes_put_u64(fixed + 5, file->file.old_size);
	bytes_put_u64(fixed + 13, file->file.new_size);
	bytes_put_u64(fixed + 21, file->before);
	bytes_put_u64(fixed + 29, file->after);
	bytes_put_u16(fixed + 37, (uint16_t)old);
	g_byte_array_append(bytes, fixed, sizeof(fixed));
	append_text(bytes, file->file.old_path, old);
	append_text(bytes, file->file.new_path,
	            record_path_size(file->file.new_path));
	return bytes;
}

int
journal_file_decode(StoreNode node, KvSlice value, JournalFile *ret_file,
                    char **ret_paths)
{
	const uint8_t *p = value.data;
	size_t size = value.size - FILE_FIXED;
	size_t old;
	char *paths;

	if (value.size < FILE_FIXED || p[0] > STORE_UNDONE_REMOVED)
		return -EIO;
	old = bytes_get_u16(p + 37);
	if (old > size)
		return -EIO;
	paths = g_malloc(size + 2);
	memcpy(paths, p + FILE_FIXED, old);
	paths[old] = '\0';
	memcpy(paths + old + 1, p + FILE_FIXED + old, size - old);
	paths[size + 1] = '\0';
	*ret_paths = paths;
	*ret_file = (JournalFile){
		.file = { .node = node,
		          .mode = bytes_get_u32(p + 1),
		          .what = (StoreUndoneWhat)p[0],
		          .old_path = paths,
		          .new_path = paths + old + 1,
		          .old_size = bytes_get_u64(p + 5),
		          .new_size = bytes_get_u64(p + 13) },
		.before = bytes_get_u64(p + 21),
		.after = bytes_get_u64(p + 29),
	};
	return 0;
}
