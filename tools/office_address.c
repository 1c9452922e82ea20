/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/office_address.h"

#include <errno.h>
#include <string.h>

#include "store/format/glb.h"
#include "store/format/name.h"
#include "store/format/text.h"

/* Most bytes of a list that are looked at: many times the largest published
 * one (Q123376, Q114942). */
#define LIST_SIZE_MAX ((size_t)16 << 20)

static void
address_free(void *data)
{
	ToolAddress *address = data;

	g_free(address->name);
	g_free(address);
}

/* Who comes first stays: postoffices before users. */
static void
add_address(GHashTable *addresses, const char *stem, ToolMailbagKind kind,
            const char *name)
{
	ToolAddress *address = g_hash_table_lookup(addresses, stem);

	if (address != NULL) {
		if (address->kind == kind && strcmp(address->name, name) != 0)
			address->is_ambiguous = true;
		return;
	}
	address = g_new0(ToolAddress, 1);
	address->kind = kind;
	address->name = g_strdup(name);
	g_hash_table_insert(addresses, g_strdup(stem), address);
}

/* Reads the list @path; an empty one if it is not there. */
static int
read_list(const ToolOffice *office, const char *path, GBytes **ret_bytes)
{
	int r;

	r = tool_office_read(office, path, LIST_SIZE_MAX, ret_bytes);
	if (r != -ENOENT)
		return r;
	*ret_bytes = g_bytes_new_static("", 0);
	return 0;
}

/* The stem in a field of 9 bytes, or false if there is none. */
static bool
read_stem(const uint8_t field[9], char ret_stem[FORMAT_STEM_SIZE + 1])
{
	g_strlcpy(ret_stem, (const char *)field, FORMAT_STEM_SIZE + 1);
	return format_stem_is_number(ret_stem);
}

/* The postoffices of network @network, whose XTN file has the stem @stem. */
static int
add_postoffices(const ToolOffice *office, const char *network, const char *stem,
                GHashTable *addresses)
{
	g_autofree char *path = format_name_path(FORMAT_NAME_XTN, stem);
	g_autoptr(GBytes) bytes = NULL;
	const uint8_t *data;
	size_t size;
	size_t at;
	int r;

	r = read_list(office, path, &bytes);
	if (r < 0)
		return r;
	data = g_bytes_get_data(bytes, &size);
	for (at = 0; at + FORMAT_XTN_RECORD_SIZE <= size;
	     at += FORMAT_XTN_RECORD_SIZE) {
		g_autofree char *postoffice = NULL;
		g_autofree char *name = NULL;
		char mailbag[FORMAT_STEM_SIZE + 1];
		FormatXtn xtn;

		format_xtn_decode(data + at, &xtn);
		if (xtn.state != FORMAT_STATE_ACTIVE ||
		    !read_stem(xtn.mbg, mailbag))
			continue;
		postoffice = format_text_decode(xtn.name, sizeof xtn.name);
		name = g_strconcat(network, "/", postoffice, NULL);
		add_address(addresses, mailbag, TOOL_MAILBAG_EXTERNAL, name);
	}
	return 0;
}

/* Whether the XTN file @stem need not be read (again) for @network: nothing new
 * is learnt from it after those of two networks, of which @networks has the
 * first, or NULL for both. However many records name it, it is read twice. */
static bool
is_known(GHashTable *networks, const char *stem, const char *network)
{
	void *first = NULL;
	bool is_read =
		g_hash_table_lookup_extended(networks, stem, NULL, &first);

	if (is_read && (first == NULL || strcmp(first, network) == 0))
		return true;
	g_hash_table_insert(networks, g_strdup(stem),
	                    is_read ? NULL : g_strdup(network));
	return false;
}

/* @networks is as is_known() keeps it. */
static int
add_network(const ToolOffice *office, const FormatNetwork *network,
            GHashTable *networks, GHashTable *addresses)
{
	g_autofree char *name =
		format_text_decode(network->name, sizeof network->name);
	char stem[FORMAT_STEM_SIZE + 1];

	if (read_stem(network->mbg, stem))
		add_address(addresses, stem, TOOL_MAILBAG_GATEWAY, name);
	if (!read_stem(network->xtn, stem) || is_known(networks, stem, name))
		return 0;
	return add_postoffices(office, name, stem, addresses);
}

static int
add_networks(const ToolOffice *office, GHashTable *addresses)
{
	g_autoptr(GHashTable) networks =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(GBytes) bytes = NULL;
	FormatNetwork network;
	const uint8_t *data;
	size_t size;
	size_t at;
	int r;

	r = read_list(office, "GLB/NETWORK.GLB", &bytes);
	if (r < 0)
		return r;
	data = g_bytes_get_data(bytes, &size);
	for (at = 0; at + FORMAT_NETWORK_RECORD_SIZE <= size && r == 0;
	     at += FORMAT_NETWORK_RECORD_SIZE) {
		format_network_decode(data + at, &network);
		if (network.state == FORMAT_STATE_ACTIVE)
			r = add_network(office, &network, networks, addresses);
	}
	return r;
}

/* What type an address in ADMIN.NME has is not published, so those of others
 * are among them; a number that is a user's is no other's. */
static int
add_users(const ToolOffice *office, GHashTable *addresses)
{
	g_autoptr(GBytes) bytes = NULL;
	const uint8_t *data;
	size_t size;
	size_t at;
	int r;

	r = read_list(office, "NME/ADMIN.NME", &bytes);
	if (r < 0)
		return r;
	data = g_bytes_get_data(bytes, &size);
	for (at = 0; at + FORMAT_NME_RECORD_SIZE <= size;
	     at += FORMAT_NME_RECORD_SIZE) {
		g_autofree char *name = NULL;
		char stem[FORMAT_STEM_SIZE + 1];
		FormatNme nme;

		format_nme_decode(data + at, &nme);
		format_stem_print(nme.id, stem);
		name = format_text_decode(nme.name, sizeof nme.name);
		if (name[0] != '\0')
			add_address(addresses, stem, TOOL_MAILBAG_USER, name);
	}
	return 0;
}

int
tool_address_read(const ToolOffice *office, GHashTable **ret_addresses)
{
	g_autoptr(GHashTable) addresses = g_hash_table_new_full(
		g_str_hash, g_str_equal, g_free, address_free);
	int r;

	r = add_networks(office, addresses);
	if (r == 0)
		r = add_users(office, addresses);
	if (r < 0)
		return r;
	*ret_addresses = g_steal_pointer(&addresses);
	return 0;
}
