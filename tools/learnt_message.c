/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <string.h>

#include "store/format/mai.h"
#include "store/format/mbg.h"
#include "tools/learnt.h"
#include "tools/post.h"

/* Where records have what is opaque, after the stem (Q108027). */
#define OPAQUE_BEGIN 0x4C

/* The first bytes of a message that was published from 0x0B on (Q104423), and
 * a guess what is before it; 3 bytes are its size less 5. */
#define HEAD_SIZE  FORMAT_MAI_OWNERS_OFFSET
#define SIZE_BEGIN 2
#define SIZE_END   5
static const uint8_t HEAD_GUESS[HEAD_SIZE] = { 0x4D, 0x83, 0,    0,
	                                       0,    0x01, 0x7F, 0x05,
	                                       0x31, 0x20, 0x02 };

/* Messages that a rule must hold for before it is told. */
#define TIMES_MIN 3

/* A message, and the note of it. */
typedef struct Sent {
	const ToolNote *note;
	ToolPost post;
	const uint8_t *mai;
	gsize size;
} Sent;

/* How often something was so. */
typedef struct Tally {
	GString *yes; /* numbers of notes; owned */
	GString *no;
	unsigned count;
} Tally;

static void
tally_init(Tally *tally)
{
	*tally = (Tally){ g_string_new(NULL), g_string_new(NULL), 0 };
}

static void
tally_clear(Tally *tally)
{
	(void)g_string_free(tally->yes, TRUE);
	(void)g_string_free(tally->no, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tally, tally_clear)

static void
tally_add(Tally *tally, const Sent *sent, bool is_so)
{
	tool_learnt_cite(is_so ? tally->yes : tally->no, sent->note);
	tally->count += is_so;
}

/* Adds what @what says, as often as it was so; where it was not, that. */
static void
tally_tell(const Tally *tally, GPtrArray *learnt, const char *about,
           const char *what)
{
	if (tally->count >= TIMES_MIN && tally->no->len == 0)
		tool_learnt_add(learnt, TOOL_FITS, about,
		                g_strdup(tally->yes->str), "%s: %u times", what,
		                tally->count);
	else if (tally->no->len > 0)
		tool_learnt_add(learnt, TOOL_CONTRADICTS, about,
		                g_strdup(tally->no->str),
		                "not so: %s (but %u times so)", what,
		                tally->count);
}

/* ---- the first bytes ----------------------------------------------------- */

static bool
is_guess(const Sent *sent)
{
	uint32_t size = (uint32_t)sent->mai[SIZE_BEGIN] << 16 |
	                (uint32_t)sent->mai[SIZE_BEGIN + 1] << 8 |
	                sent->mai[SIZE_BEGIN + 2];
	size_t i;

	for (i = 0; i < HEAD_SIZE; i++)
		if ((i < SIZE_BEGIN || i >= SIZE_END) &&
		    sent->mai[i] != HEAD_GUESS[i])
			return false;
	return (gsize)size + SIZE_END == sent->size;
}

static void
add_heads(GPtrArray *learnt, const GArray *all)
{
	g_auto(Tally) guess;
	g_autoptr(GHashTable) told =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	guint i;

	tally_init(&guess);
	for (i = 0; i < all->len; i++) {
		const Sent *sent = &g_array_index(all, Sent, i);
		GString *text = g_string_new(NULL);
		size_t at;

		tally_add(&guess, sent, is_guess(sent));
		for (at = 0; at < HEAD_SIZE; at++)
			g_string_append_printf(text, " %02x", sent->mai[at]);
		if (g_hash_table_contains(told, text->str)) {
			(void)g_string_free(text, TRUE);
			continue;
		}
		tool_learnt_add(learnt, TOOL_SEEN, "MAI 0x00",
		                g_strdup_printf("%u", sent->note->number),
		                "begins with%s, of %zu bytes", text->str,
		                sent->size);
		g_hash_table_add(told, g_string_free(text, FALSE));
	}
	tally_tell(&guess, learnt, "MAI 0x00",
	           "begins as a message of FIPS 98 with its size and one "
	           "integer (a guess)");
}

/* ---- owners -------------------------------------------------------------- */

static void
add_owners(GPtrArray *learnt, const GArray *all)
{
	g_auto(Tally) tally;
	guint i;

	tally_init(&tally);
	for (i = 0; i < all->len; i++) {
		const Sent *sent = &g_array_index(all, Sent, i);
		uint16_t owners;

		if (format_mai_owners(sent->mai, sent->size, &owners) < 0)
			continue;
		if (sent->note->said != NULL)
			tool_learnt_add(
				learnt, TOOL_SEEN, "MAI 0x0b",
				g_strdup_printf("%u", sent->note->number),
				"%s: %u owners, %u headers that name "
				"it; to %s",
				sent->note->task, owners, sent->post.references,
				sent->note->said);
		/* An envelope counts for those who get it of the Mailer; a note
		 * of one mailbag has the headers of no other. */
		if (sent->post.envelope == NULL && sent->note->mailbag == NULL)
			tally_add(&tally, sent,
			          owners == sent->post.references);
	}
	tally_tell(&tally, learnt, "MAI 0x0b",
	           "the owner count is the number of headers that name the "
	           "message");
}

/* ---- sizes --------------------------------------------------------------- */

/* What the 32 bits at @at of a record are less than the size of its MAI. */
static int64_t
size_difference(const Sent *sent, size_t at)
{
	const uint8_t *bytes = sent->post.record + at;
	uint32_t value = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
	                 (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;

	return (int64_t)sent->size - value;
}

/* Whether the 32 bits at @at are the size of the MAI less the same number, for
 * messages of different sizes. */
static void
add_size(GPtrArray *learnt, const GArray *all, size_t at)
{
	g_autoptr(GHashTable) sizes =
		g_hash_table_new(g_direct_hash, g_direct_equal);
	g_autoptr(GString) cited = g_string_new(NULL);
	g_autofree char *about = g_strdup_printf("MBG 0x%02zx", at);
	int64_t difference = 0;
	guint i;

	for (i = 0; i < all->len; i++) {
		const Sent *sent = &g_array_index(all, Sent, i);

		if (sent->post.record == NULL)
			continue;
		if (cited->len == 0)
			difference = size_difference(sent, at);
		if (size_difference(sent, at) != difference)
			return;
		tool_learnt_cite(cited, sent->note);
		g_hash_table_add(sizes, GSIZE_TO_POINTER(sent->size));
	}
	if (g_hash_table_size(sizes) >= TIMES_MIN)
		tool_learnt_add(learnt, TOOL_FITS, about, g_strdup(cited->str),
		                "4 bytes, lowest first: the size of the MAI "
		                "less %" G_GINT64_FORMAT
		                ", for messages of %u sizes",
		                difference, g_hash_table_size(sizes));
}

/* ---- envelopes ----------------------------------------------------------- */

/* Where the name that ends @address is in @bytes as it is typed; -1: nowhere. */
static gssize
find_name(const uint8_t *bytes, gsize size, const char *address)
{
	const char *slash = strrchr(address, '/');
	const char *name = slash != NULL ? slash + 1 : address;
	size_t length = strlen(name);
	gsize at;

	for (at = 0; length > 0 && at + length <= size; at++)
		if (g_ascii_strncasecmp((const char *)bytes + at, name,
		                        length) == 0)
			return (gssize)at;
	return -1;
}

/* "GUEST at 0x12", of those that are in the envelope in clear. */
static char *
names_text(const Sent *sent, unsigned *ret_count)
{
	g_auto(GStrv) words = g_strsplit_set(
		sent->note->said != NULL ? sent->note->said : "", " ,;", -1);
	GString *text = g_string_new(NULL);
	gsize size;
	const uint8_t *bytes = g_bytes_get_data(sent->post.envelope, &size);
	size_t i;

	*ret_count = 0;
	for (i = 0; words[i] != NULL; i++) {
		gssize at;

		if (words[i][0] == '\0' ||
		    g_ascii_strcasecmp(words[i], "cc") == 0)
			continue;
		++*ret_count;
		at = find_name(bytes, size, words[i]);
		if (at >= 0)
			g_string_append_printf(text, "%s%s at 0x%02zx",
			                       text->len > 0 ? ", " : "",
			                       words[i], (gsize)at);
	}
	if (text->len == 0)
		g_string_append(text, "none");
	return g_string_free(text, FALSE);
}

static bool
is_good(const uint8_t *bytes, gsize size)
{
	FormatMaiReport report;

	format_mai_check(bytes, size, &report);
	return report.verdict == FORMAT_MAI_NO_TEXT ||
	       report.verdict == FORMAT_MAI_GOOD;
}

/* Whether the envelope is elements of FIPS 98 to its end, as a message or as a
 * list from its first byte on. */
static bool
is_elements(GBytes *envelope)
{
	static const uint8_t head[FORMAT_MAI_LIST_OFFSET] = { 0 };
	g_autoptr(GByteArray) list = g_byte_array_new();
	gsize size;
	const uint8_t *bytes = g_bytes_get_data(envelope, &size);

	g_byte_array_append(list, head, sizeof(head));
	g_byte_array_append(list, bytes, (guint)size);
	return is_good(bytes, size) || is_good(list->data, list->len);
}

static void
add_envelope(GPtrArray *learnt, const Sent *sent)
{
	unsigned count = 0;
	g_autofree char *names = names_text(sent, &count);

	tool_learnt_add(learnt, TOOL_SEEN, "P1",
	                g_strdup_printf("%u", sent->note->number),
	                "%s: %zu bytes for %u recipients; names in clear: %s; "
	                "%s elements of FIPS 98",
	                sent->note->task, g_bytes_get_size(sent->post.envelope),
	                count, names,
	                is_elements(sent->post.envelope) ? "all of it is"
	                                                 : "it is not");
}

/* ---- all ----------------------------------------------------------------- */

static void
find_all(const ToolNotes *notes, GArray *all)
{
	unsigned i;

	for (i = 0; i < tool_notes_count(notes); i++) {
		const ToolNote *note = tool_notes_get(notes, i);
		Sent sent = { .note = note };

		if (!tool_post_find(note, &sent.post) || sent.post.mai == NULL)
			continue;
		sent.mai = g_bytes_get_data(sent.post.mai, &sent.size);
		if (sent.size > FORMAT_MAI_LIST_OFFSET)
			g_array_append_val(all, sent);
	}
}

void
tool_learnt_messages(GPtrArray *learnt, const ToolNotes *notes)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(Sent));
	size_t at;
	guint i;

	find_all(notes, all);
	if (all->len == 0)
		return;
	add_heads(learnt, all);
	add_owners(learnt, all);
	for (at = OPAQUE_BEGIN; at + 4 <= FORMAT_MBG_RECORD_SIZE; at++)
		add_size(learnt, all, at);
	for (i = 0; i < all->len; i++)
		if (g_array_index(all, Sent, i).post.envelope != NULL)
			add_envelope(learnt, &g_array_index(all, Sent, i));
}
