/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/message_facts.h"

#include <errno.h>
#include <string.h>

#include "store/format/name.h"
#include "tools/fact.h"
#include "tools/office_message.h"
#include "tools/office_reference.h"
#include "tools/queue.h"

/* What is being found out. */
typedef struct Search {
	const ToolOffice *office;
	const ToolMessageStyle *style;
	uint32_t number;
	char stem[FORMAT_STEM_SIZE + 1];
	ToolMessage message;
	ToolReferenceCount count;
} Search;

/* ---- elements ------------------------------------------------------------ */

/* "Field From", "Vendor-Defined 0x32", "Integer". */
static char *
element_name(const FormatMaiElement *element)
{
	const char *name = format_mai_id_name(element->id);
	g_autofree char *id = name != NULL
	                              ? g_strdup(name)
	                              : g_strdup_printf("0x%02X", element->id);
	const char *field = NULL;

	if (element->has_qualifier == FORMAT_MAI_UNQUALIFIED)
		return g_steal_pointer(&id);
	if (element->id == FORMAT_MAI_FIELD &&
	    element->has_qualifier == FORMAT_MAI_QUALIFIED)
		field = format_mai_field_name(element->qualifier);
	if (field != NULL)
		return g_strdup_printf("%s %s", id, field);
	return g_strdup_printf("%s 0x%02X", id, element->qualifier);
}

static GVariant *
element_row(const FormatMaiElement *element, const ToolMessageStyle *style)
{
	g_auto(GVariantBuilder) row =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	g_autofree char *name = element_name(element);
	g_autofree char *tree = g_strdup_printf(
		"%*s%s", style->tree ? 2 * (int)element->depth : 0, "", name);

	tool_fact_number(&row, "offset", element->offset);
	tool_fact_number(&row, "length", element->length);
	tool_fact_number(&row, "depth", element->depth);
	tool_fact_text(&row, "element", tree);
	return g_variant_builder_end(&row);
}

static GVariant *
element_rows(GBytes *content, const ToolMessageStyle *style)
{
	GVariantBuilder rows = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	FormatMaiElement element;
	FormatMaiWalk walk;
	const uint8_t *bytes;
	unsigned count = 0;
	size_t size;

	if (content != NULL) {
		bytes = g_bytes_get_data(content, &size);
		format_mai_walk_begin(&walk, bytes, size);
		while (count++ < TOOL_MESSAGE_ELEMENTS_MAX &&
		       format_mai_walk_next(&walk, &element) > 0)
			g_variant_builder_add_value(
				&rows, element_row(&element, style));
	}
	return g_variant_ref_sink(g_variant_builder_end(&rows));
}

static int
read_content(const Search *search, GBytes **ret_content)
{
	g_autofree char *path = format_name_path(FORMAT_NAME_MAI, search->stem);
	int r;

	r = tool_office_read(search->office, path, TOOL_MESSAGE_SIZE_MAX,
	                     ret_content);
	return r == -ENOENT ? 0 : r;
}

/* ---- references ---------------------------------------------------------- */

static int
reference_row(const ToolMailbag *mailbag, const ToolReference *reference,
              bool iso, GVariant **ret_row)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	ToolRecord record;
	int r;

	r = tool_record_read(mailbag, reference->record, &record);
	if (r < 0)
		return r;
	tool_fact_text(&row, "mailbag", mailbag->name);
	tool_fact_text(&row, "kind", tool_mailbag_kind_text(mailbag->kind));
	tool_fact_text(&row, "owner", mailbag->owner);
	tool_queue_add_header(&row, &record, iso);
	*ret_row = g_variant_builder_end(&row);
	return 0;
}

static int
reference_rows(Search *search, GVariant **ret_rows)
{
	g_auto(GVariantBuilder) rows =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	g_autoptr(GPtrArray) mailbags = NULL;
	g_autoptr(GArray) references = NULL;
	const ToolReference *first;
	guint count;
	guint i;
	int r;

	r = tool_mailbag_list(search->office, &mailbags);
	if (r == 0)
		r = tool_reference_list(mailbags, &references);
	if (r < 0)
		return r;
	first = tool_reference_find(references, search->number, &count);
	search->count = tool_reference_count(mailbags, first, count);
	for (i = 0; i < count && r == 0; i++) {
		GVariant *row = NULL;

		r = reference_row(mailbags->pdata[first[i].mailbag], &first[i],
		                  search->style->iso, &row);
		if (r == 0)
			g_variant_builder_add_value(&rows, row);
	}
	if (r == 0)
		*ret_rows = g_variant_ref_sink(g_variant_builder_end(&rows));
	return r;
}

/* ---- attachments --------------------------------------------------------- */

static GVariant *
attachment_row(const Search *search, const char *stem, const StoreAttr *attr)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

	tool_fact_text(&row, "attachment", stem);
	tool_fact_number(&row, "size", attr->size);
	tool_fact_time(&row, "changed", attr->mtime_ns, search->style->iso);
	return g_variant_builder_end(&row);
}

/* Goes @step by @step from the message's number to that of the next message,
 * past which nothing is its own. */
static int
add_attachments(const Search *search, int step, GVariantBuilder *rows)
{
	uint32_t number = search->number;
	unsigned i;

	for (i = 0; i < TOOL_MESSAGE_NEIGHBOURS; i++) {
		char stem[FORMAT_STEM_SIZE + 1];
		g_autofree char *att = NULL;
		g_autofree char *mai = NULL;
		StoreAttr attr;
		int r;

		number += (uint32_t)step;
		format_stem_print(number, stem);
		mai = format_name_path(FORMAT_NAME_MAI, stem);
		att = format_name_path(FORMAT_NAME_ATT, stem);
		r = tool_office_find(search->office, mai, &attr);
		if (r != -ENOENT)
			return r;
		r = tool_office_find(search->office, att, &attr);
		if (r == 0)
			g_variant_builder_add_value(
				rows, attachment_row(search, stem, &attr));
		else if (r != -ENOENT)
			return r;
	}
	return 0;
}

static int
attachment_rows(const Search *search, GVariant **ret_rows)
{
	g_auto(GVariantBuilder) rows =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	int r = 0;

	/* What is not there has none. */
	if (search->message.mai.node != 0)
		r = add_attachments(search, -1, &rows);
	if (r == 0 && search->message.mai.node != 0)
		r = add_attachments(search, 1, &rows);
	if (r == 0)
		*ret_rows = g_variant_ref_sink(g_variant_builder_end(&rows));
	return r;
}

/* ---- all ----------------------------------------------------------------- */

static void
add_owners(GVariantBuilder *row, const Search *search)
{
	const ToolMessage *message = &search->message;

	if (message->mai.node == 0 || !message->has_owners)
		return;
	tool_fact_number(row, "owners", message->owners);
	tool_fact_text(row, "ownership",
	               tool_ownership_text(tool_reference_compare(
			       &search->count, message->owners)));
}

static GVariant *
summary_row(const Search *search)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	const ToolMessage *message = &search->message;
	bool iso = search->style->iso;

	tool_fact_text(&row, "postoffice", search->office->path);
	tool_fact_text(&row, "message", search->stem);
	if (message->mai.node == 0) {
		tool_fact_text(&row, "state", "MAI missing");
	} else {
		tool_fact_number(&row, "size", message->mai.size);
		tool_fact_time(&row, "changed", message->mai.mtime_ns, iso);
		if (message->is_checked)
			tool_fact_text(&row, "state",
			               format_mai_verdict_text(
					       message->report.verdict));
		if (message->report.declared != 0)
			tool_fact_number(&row, "declared",
			                 message->report.declared);
	}
	tool_fact_number(&row, "references", search->count.all);
	tool_fact_number(&row, "live",
	                 search->count.owners + search->count.queued);
	add_owners(&row, search);
	tool_fact_bool(&row, "envelope", message->p1.node != 0);
	if (message->p1.node != 0) {
		tool_fact_number(&row, "envelope-size", message->p1.size);
		tool_fact_time(&row, "envelope-changed", message->p1.mtime_ns,
		               iso);
	}
	return g_variant_ref_sink(g_variant_builder_end(&row));
}

/* Finds all that is to be told of, or as much as there is until it fails. */
static int
find_all(Search *search, ToolMessageFacts *facts)
{
	int r;

	r = tool_message_find(search->office, search->stem, &search->message);
	if (r == 0)
		r = read_content(search, &facts->content);
	if (r == 0)
		r = reference_rows(search, &facts->references);
	if (r == 0)
		r = attachment_rows(search, &facts->attachments);
	if (r < 0)
		return r;
	if (search->message.mai.node == 0 && search->message.p1.node == 0 &&
	    search->count.all == 0)
		return -ENOENT;
	facts->elements = element_rows(facts->content, search->style);
	facts->summary = summary_row(search);
	return 0;
}

int
tool_message_facts_find(const ToolOffice *office, uint32_t number,
                        const ToolMessageStyle *style,
                        ToolMessageFacts *ret_facts)
{
	ToolMessageFacts facts = { 0 };
	Search search = { .office = office, .style = style, .number = number };
	int r;

	format_stem_print(number, search.stem);
	r = find_all(&search, &facts);
	if (r < 0)
		tool_message_facts_clear(&facts);
	else
		*ret_facts = facts;
	return r;
}

void
tool_message_facts_clear(ToolMessageFacts *facts)
{
	g_clear_pointer(&facts->summary, g_variant_unref);
	g_clear_pointer(&facts->references, g_variant_unref);
	g_clear_pointer(&facts->elements, g_variant_unref);
	g_clear_pointer(&facts->attachments, g_variant_unref);
	g_clear_pointer(&facts->content, g_bytes_unref);
}
