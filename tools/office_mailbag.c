/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/office_mailbag.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/format/name.h"
#include "tools/listing.h"
#include "tools/office_address.h"

/* Records that are read at a time. */
#define BLOCK_RECORDS 256

/* ---- listing ------------------------------------------------------------- */

/* A list being made. */
typedef struct Census {
	const ToolOffice *office;
	GHashTable *mailbags; /* name -> ToolMailbag, borrowed from list */
	GPtrArray *list;      /* owned */
} Census;

static void
mailbag_free(void *data)
{
	ToolMailbag *mailbag = data;

	g_free(mailbag->owner);
	g_free(mailbag);
}

/* The mailbag @name, which may be a new one. */
static ToolMailbag *
census_get(Census *census, const char *name)
{
	ToolMailbag *mailbag = g_hash_table_lookup(census->mailbags, name);

	if (mailbag != NULL)
		return mailbag;
	mailbag = g_new0(ToolMailbag, 1);
	mailbag->office = census->office;
	g_strlcpy(mailbag->name, name, sizeof mailbag->name);
	g_ptr_array_add(census->list, mailbag);
	g_hash_table_insert(census->mailbags, mailbag->name, mailbag);
	return mailbag;
}

/* Enters the mailbags that have a file in the directory @path of that @role. */
static int
count_dir(Census *census, const char *path, LayoutDir role)
{
	const ToolOffice *office = census->office;
	g_autoptr(GPtrArray) entries = NULL;
	char name[LAYOUT_MAILBAG_MAX + 1];
	StoreNode dir;
	guint i;
	int r;

	r = tool_office_find_dir(office, path, &dir);
	if (r == 0)
		r = tool_listing_read(office->txn, dir, &entries);
	for (i = 0; r == 0 && i < entries->len; i++) {
		const StoreEntry *entry = entries->pdata[i];
		ToolMailbag *mailbag;

		if (!S_ISREG(entry->mode) ||
		    !layout_mailbag(role, entry->name, name))
			continue;
		mailbag = census_get(census, name);
		r = store_attr_get(office->txn, entry->node,
		                   role == LAYOUT_DIR_KEY ? &mailbag->key
		                                          : &mailbag->mbg);
	}
	return r;
}

static int
read_bits(ToolMailbag *mailbag)
{
	size_t size;

	if (mailbag->key.node == 0 || mailbag->key.size != FORMAT_KEY_SIZE)
		return 0;
	mailbag->has_bits = true;
	return store_file_read(mailbag->office->txn, mailbag->key.node, 0,
	                       mailbag->bits, sizeof mailbag->bits, &size);
}

static ToolMailbagKind
kind_of(const char *name)
{
	if (layout_is_inqueue(name))
		return TOOL_MAILBAG_INQUEUE;
	if (strcmp(name, "SYSTEM") == 0)
		return TOOL_MAILBAG_SYSTEM;
	return format_stem_is_number(name) ? TOOL_MAILBAG_USER
	                                   : TOOL_MAILBAG_OTHER;
}

/* Finds out what there is to know of @mailbag, but for its records. */
static int
mailbag_complete(ToolMailbag *mailbag, GHashTable *addresses)
{
	const ToolAddress *address =
		g_hash_table_lookup(addresses, mailbag->name);
	int r;

	r = read_bits(mailbag);
	if (r < 0)
		return r;
	mailbag->records = format_mbg_count(mailbag->mbg.size);
	mailbag->live = mailbag->has_bits
	                        ? format_key_count_live(mailbag->bits,
	                                                mailbag->office->layout,
	                                                mailbag->records)
	                        : mailbag->records;
	mailbag->kind = kind_of(mailbag->name);
	if (mailbag->kind == TOOL_MAILBAG_USER && address != NULL)
		mailbag->kind = address->kind;
	mailbag->owner = g_strdup(address != NULL ? address->name : "");
	return 0;
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
	const ToolMailbag *const *x = a;
	const ToolMailbag *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

int
tool_mailbag_list(const ToolOffice *office, GPtrArray **ret_mailbags)
{
	g_autoptr(GHashTable) mailbags =
		g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GPtrArray) list =
		g_ptr_array_new_with_free_func(mailbag_free);
	Census census = { .office = office,
		          .mailbags = mailbags,
		          .list = list };
	g_autoptr(GHashTable) addresses = NULL;
	guint i;
	int r;

	r = tool_address_read(office, &addresses);
	if (r == 0)
		r = count_dir(&census, "KEY", LAYOUT_DIR_KEY);
	if (r == 0)
		r = count_dir(&census, "MBG", LAYOUT_DIR_MBG);
	for (i = 0; r == 0 && i < list->len; i++)
		r = mailbag_complete(list->pdata[i], addresses);
	if (r < 0)
		return r;
	g_ptr_array_sort(list, compare_names);
	*ret_mailbags = g_steal_pointer(&list);
	return 0;
}

bool
tool_mailbag_is_whole(const ToolMailbag *mailbag)
{
	return mailbag->key.node != 0 && mailbag->mbg.node != 0 &&
	       mailbag->mbg.size % FORMAT_MBG_RECORD_SIZE == 0 &&
	       mailbag->mbg.size <= FORMAT_MBG_SIZE_MAX;
}

/* ---- records ------------------------------------------------------------- */

static void
record_decode(const ToolMailbag *mailbag, uint32_t number, const uint8_t *bytes,
              ToolRecord *ret_record)
{
	ret_record->number = number;
	ret_record->is_live =
		!mailbag->has_bits ||
		!format_key_is_deleted(mailbag->bits, mailbag->office->layout,
	                               number);
	format_mbg_decode(bytes, &ret_record->header);
}

/* Shows @visit the @count records in @bytes, the first of which is @first. */
static int
visit_block(const ToolMailbag *mailbag, const uint8_t *bytes, uint32_t first,
            uint32_t count, ToolRecordVisit *visit, void *user_data)
{
	ToolRecord record;
	uint32_t i;
	int r = 0;

	for (i = 0; i < count && r == 0; i++) {
		record_decode(mailbag, first + i,
		              bytes + (size_t)i * FORMAT_MBG_RECORD_SIZE,
		              &record);
		r = visit(user_data, mailbag, &record);
	}
	return r;
}

int
tool_mailbag_read(const ToolMailbag *mailbag, ToolRecordVisit *visit,
                  void *user_data)
{
	uint8_t block[BLOCK_RECORDS * FORMAT_MBG_RECORD_SIZE];
	uint32_t first;
	size_t size;
	int r = 0;

	for (first = 0; first < mailbag->records && r == 0;
	     first += BLOCK_RECORDS) {
		uint64_t offset = (uint64_t)first * FORMAT_MBG_RECORD_SIZE;
		uint32_t count = MIN(mailbag->records - first, BLOCK_RECORDS);

		r = store_file_read(
			mailbag->office->txn, mailbag->mbg.node, offset, block,
			(size_t)count * FORMAT_MBG_RECORD_SIZE, &size);
		if (r == 0)
			r = visit_block(mailbag, block, first, count, visit,
			                user_data);
	}
	return r;
}

/* Ends the reading at a live record that names no message: zeros, or garbage. */
static int
expect_name(void *user_data, const ToolMailbag *mailbag,
            const ToolRecord *record)
{
	g_autofree char *stem = format_mbg_stem(&record->header);

	(void)user_data;
	(void)mailbag;
	return record->is_live && stem == NULL ? -EBADMSG : 0;
}

/* Whether the directory @path of that @role has a mailbag's file that is of none
 * that is listed, or cannot be read. */
static bool
has_unlisted(const ToolOffice *office, const char *path, LayoutDir role)
{
	g_autoptr(GPtrArray) entries = NULL;
	char name[LAYOUT_MAILBAG_MAX + 1];
	StoreNode dir;
	int r;

	r = tool_office_find_dir(office, path, &dir);
	if (r == 0)
		r = tool_listing_read(office->txn, dir, &entries);
	for (guint i = 0; r == 0 && i < entries->len; i++) {
		const StoreEntry *entry = entries->pdata[i];

		if (S_ISREG(entry->mode) &&
		    layout_kind(role, entry->name) == LAYOUT_MAILBAG &&
		    !layout_mailbag(role, entry->name, name))
			return true;
	}
	return r < 0;
}

bool
tool_mailbags_are_whole(const ToolOffice *office, const GPtrArray *mailbags)
{
	bool has_inqueue = false;
	guint i;

	for (i = 0; i < mailbags->len; i++) {
		const ToolMailbag *mailbag = mailbags->pdata[i];

		if (!tool_mailbag_is_whole(mailbag) ||
		    tool_mailbag_read(mailbag, expect_name, NULL) < 0)
			return false;
		has_inqueue |= strcmp(mailbag->name, "INQUEUE") == 0;
	}
	return has_inqueue && !has_unlisted(office, "KEY", LAYOUT_DIR_KEY) &&
	       !has_unlisted(office, "MBG", LAYOUT_DIR_MBG);
}

int
tool_record_read(const ToolMailbag *mailbag, uint32_t number,
                 ToolRecord *ret_record)
{
	uint8_t bytes[FORMAT_MBG_RECORD_SIZE];
	size_t size;
	int r;

	g_assert(number < mailbag->records);
	r = store_file_read(mailbag->office->txn, mailbag->mbg.node,
	                    (uint64_t)number * FORMAT_MBG_RECORD_SIZE, bytes,
	                    sizeof bytes, &size);
	if (r == 0)
		record_decode(mailbag, number, bytes, ret_record);
	return r;
}

/* ---- words --------------------------------------------------------------- */

const char *
tool_mailbag_kind_text(ToolMailbagKind kind)
{
	static const char *const texts[] = {
		[TOOL_MAILBAG_INQUEUE] = "inqueue",
		[TOOL_MAILBAG_SYSTEM] = "system",
		[TOOL_MAILBAG_EXTERNAL] = "external",
		[TOOL_MAILBAG_GATEWAY] = "gateway",
		[TOOL_MAILBAG_USER] = "user",
		[TOOL_MAILBAG_OTHER] = "other",
	};

	return texts[kind];
}

char *
tool_record_time(const ToolRecord *record, bool iso)
{
	const FormatMbgRecord *h = &record->header;

	if (format_mbg_faults(h) & FORMAT_MBG_BAD_TIME)
		return NULL;
	return g_strdup_printf("%04u-%02u-%02u%c%02u:%02u", h->year, h->month,
	                       h->day, iso ? 'T' : ' ', h->hour, h->minute);
}
