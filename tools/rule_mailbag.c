/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "store/dos_attr.h"
#include "store/format/size.h"
#include "tools/office_address.h"
#include "tools/rule.h"

#define NS_PER_S INT64_C(1000000000)

/* How long after its MBG a KEY may be written: programs write it last, and a
 * moment later (Q85058); one that writes it first is as quick (Q143413). */
#define KEY_LATE_S 600

/* So near to the limit there is too little room for a busy day (Q176011). */
#define RECORDS_NEARLY_FULL (FORMAT_KEY_RECORDS_MAX - 256)

/* ---- P06: sizes ---------------------------------------------------------- */

/* Returns whether the size of a file of @mailbag is right. */
static bool
check_size(const ToolInquiry *inquiry, const ToolMailbag *mailbag,
           FormatNameKind kind, const StoreAttr *attr, const char *command)
{
	g_autofree char *path = format_name_path(kind, mailbag->name);
	const FormatSizeRule *rule = format_size_check(path, attr->size);
	g_autofree char *wanted = NULL;

	if (attr->node == 0 || rule == NULL)
		return true;
	wanted = format_size_text(rule);
	tool_finding_add(inquiry, TOOL_FAULT, mailbag->name,
	                 tool_mend_mailbag(inquiry, command, mailbag->name),
	                 "%s has %" G_GUINT64_FORMAT " bytes, not %s", path,
	                 attr->size, wanted);
	return false;
}

int
tool_rule_mailbag_size(const ToolInquiry *inquiry)
{
	const GPtrArray *mailbags = inquiry->census->mailbags;
	guint i;

	for (i = 0; i < mailbags->len; i++) {
		const ToolMailbag *mailbag = mailbags->pdata[i];

		/* What mends a KEY mends its MBG, too. */
		if (check_size(inquiry, mailbag, FORMAT_NAME_KEY, &mailbag->key,
		               "reset --force"))
			(void)check_size(inquiry, mailbag, FORMAT_NAME_MBG,
			                 &mailbag->mbg, "rebuild");
	}
	return 0;
}

/* ---- P07: pairs ---------------------------------------------------------- */

static void
check_pair(const ToolInquiry *inquiry, const ToolMailbag *mailbag)
{
	bool has_key = mailbag->key.node != 0;

	if (has_key && mailbag->mbg.node != 0)
		return;
	tool_finding_add(
		inquiry, TOOL_FAULT, mailbag->name,
		tool_mend_mailbag(inquiry, "reset --force", mailbag->name),
		"%s is there, but not %s", has_key ? "the KEY" : "the MBG",
		has_key ? "the MBG" : "the KEY");
}

/* A mailbag that must be there, because @whose it is. */
static void
check_presence(const ToolInquiry *inquiry, const char *name, const char *whose)
{
	if (tool_census_mailbag(inquiry->census, name) == NULL)
		tool_finding_add(inquiry, TOOL_FAULT, name, NULL,
		                 "the mailbag of %s is not there: bring it "
		                 "back (restore --at, or a backup)",
		                 whose);
}

int
tool_rule_mailbag_pair(const ToolInquiry *inquiry)
{
	const ToolCensus *census = inquiry->census;
	g_autoptr(GHashTable) addresses = NULL;
	GHashTableIter iter;
	gpointer address;
	gpointer stem;
	guint i;
	int r;

	for (i = 0; i < census->mailbags->len; i++)
		check_pair(inquiry, census->mailbags->pdata[i]);
	check_presence(inquiry, "INQUEUE", "all mail that comes in");

	r = tool_address_read(census->office, &addresses);
	if (r < 0)
		return r;
	g_hash_table_iter_init(&iter, addresses);
	while (g_hash_table_iter_next(&iter, &stem, &address)) {
		const ToolAddress *a = address;

		/* What addresses of users are among those in ADMIN.NME is not
		 * public. */
		if (a->kind != TOOL_MAILBAG_USER)
			check_presence(inquiry, stem, a->name);
	}
	return 0;
}

/* ---- P08: the index does not move ---------------------------------------- */

/* Whether a program that honours the DOS attributes can write the file. */
static bool
is_read_only(const ToolMailbag *mailbag, const StoreAttr *attr)
{
	uint8_t value[256];
	uint32_t dos = 0;
	size_t size;

	if (attr->node == 0)
		return false;
	if (store_xattr_get(mailbag->office->txn, attr->node, DOS_ATTR_XATTR,
	                    value, sizeof value, &size) == 0 &&
	    dos_attr_decode(value, size, &dos))
		return (dos & DOS_ATTR_READ_ONLY) != 0;
	return (attr->mode & 0222) == 0;
}

/* Whether the KEY was not written after the MBG. */
static bool
is_key_late(const ToolMailbag *mailbag)
{
	return mailbag->key.node != 0 && mailbag->mbg.size > 0 &&
	       mailbag->mbg.mtime_ns / NS_PER_S -
	                       mailbag->key.mtime_ns / NS_PER_S >
	               KEY_LATE_S;
}

static void
check_moving(const ToolInquiry *inquiry, const ToolMailbag *mailbag)
{
	if (is_read_only(mailbag, &mailbag->key) ||
	    is_read_only(mailbag, &mailbag->mbg))
		tool_finding_add(inquiry, TOOL_WARNING, mailbag->name, NULL,
		                 "the mailbag is read-only: what is deleted "
		                 "from it comes back; clear the DOS attribute");
	else if (is_key_late(mailbag))
		tool_finding_add(
			inquiry, TOOL_SUSPICIOUS, mailbag->name, NULL,
			"the MBG was written, but the KEY was not after it: "
			"its new headers may be missing or come again; see "
			"poctl queue");
}

int
tool_rule_mailbag_stuck(const ToolInquiry *inquiry)
{
	const GPtrArray *mailbags = inquiry->census->mailbags;
	guint i;

	for (i = 0; i < mailbags->len; i++)
		check_moving(inquiry, mailbags->pdata[i]);
	return 0;
}

/* ---- P16: full ----------------------------------------------------------- */

int
tool_rule_mailbag_full(const ToolInquiry *inquiry)
{
	const GPtrArray *mailbags = inquiry->census->mailbags;
	guint i;

	for (i = 0; i < mailbags->len; i++) {
		const ToolMailbag *mailbag = mailbags->pdata[i];

		if (!mailbag->has_bits || mailbag->live < RECORDS_NEARLY_FULL)
			continue;
		tool_finding_add(
			inquiry,
			tool_finding_if_live(
				inquiry, mailbag->live < FORMAT_KEY_RECORDS_MAX
						 ? TOOL_WARNING
						 : TOOL_FAULT),
			mailbag->name, NULL,
			"%u of %u records are live: the mailbag is %s; delete "
			"some of its mail",
			mailbag->live, FORMAT_KEY_RECORDS_MAX,
			mailbag->live < FORMAT_KEY_RECORDS_MAX ? "nearly full"
							       : "full");
	}
	return 0;
}

/* ---- P26: one id, several users ------------------------------------------ */

int
tool_rule_mailbag_owner(const ToolInquiry *inquiry)
{
	const ToolCensus *census = inquiry->census;
	g_autoptr(GHashTable) addresses = NULL;
	guint i;
	int r;

	r = tool_address_read(census->office, &addresses);
	if (r < 0)
		return r;
	for (i = 0; i < census->mailbags->len; i++) {
		const ToolMailbag *mailbag = census->mailbags->pdata[i];
		const ToolAddress *address =
			g_hash_table_lookup(addresses, mailbag->name);

		if (address != NULL && address->is_ambiguous)
			tool_finding_add(inquiry, TOOL_SUSPICIOUS,
			                 mailbag->name, NULL,
			                 "the mailbag is that of several, %s "
			                 "being the first: their mail is mixed",
			                 address->name);
	}
	return 0;
}
