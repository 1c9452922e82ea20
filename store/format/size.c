/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/size.h"

#include <fnmatch.h>
#include <stddef.h>

#include <glib.h>

/* The first that fits decides; paths are patterns of fnmatch(). */
static const FormatSizeRule rules[] = {
	{ "KEY/*.KEY", 560, 0, 0, false, "Q77926, Q118619" },
	{ "MBG/*.MBG", 0, 116, 475136, false, "Q77926, Q119088" },
	{ "GLB/ACCESS.GLB", 0, 586, 0, false, "Q77926" },
	{ "GLB/ACCESS2.GLB", 0, 69, 0, false, "Q77926" },
	{ "GLB/ACCESS3.GLB", 0, 512, 0, false, "Q77926" },
	{ "GLB/CONTROL.GLB", 8, 0, 0, false, "Q77926, Q124042" },
	{ "GLB/FLAG.GLB", 2, 0, 0, false, "Q77926" },
	{ "GLB/GLOBAL.GLB", 512, 0, 0, false, "Q77926" },
	{ "GLB/REQCONF.GLB", 512, 0, 0, false, "Q77926" },
	{ "GLB/GROUP.GLB", 4, 51, 0, false, "Q77926" },
	{ "GLB/GRPMEM.GLB", 4, 128, 0, false, "Q77926" },
	{ "GLB/MASTER.GLB", 176, 0, 0, false, "Q77926" },
	{ "GLB/MODEM.GLB", 64, 0, 0, false, "Q77926" },
	{ "GLB/NETPO.GLB", 4, 43, 0, false, "Q77926" },
	{ "GLB/NETWORK.GLB", 0, 122, 0, false, "Q77926, Q148666" },
	{ "GLB/PROCESS.GLB", 512, 197, 0, false, "Q77926, Q119111" },
	{ "GLB/SERVER.GLB", 0, 181, 0, false, "Q77926, Q139034" },
	{ "GLB/SRVCONF.GLB", 1024, 1024, 0, false, "Q77926" },
	{ "GLB/TID.GLB", 4, 0, 0, false, "Q77926" },
	{ "GLB/RNETSEM.GLB", 4, 0, 0, false, "Q77926, Q118946" },
	{ "GLB/REQTRANS.GLB", 0, 0, 0, true, "Q77926" },
	{ "GLB/SRVTRANS.GLB", 0, 0, 0, true, "Q77926" },
	{ "GLB/USRTRANS.GLB", 0, 0, 0, true, "Q77926" },
	{ "GLB/GWTRANS.GLB", 0, 0, 0, true, "Q77926" },
	{ "GLB/NMETRANS.GLB", 0, 0, 0, true, "Q77926" },
	{ "GLB/GALINDEX.GLB", 208, 6, 0, false, "Q86375" },
	{ "GRP/ADMIN.GRP", 0, 8, 0, false, "Q77926, Q135932" },
	{ "MEM/*.MEM", 0, 4, 2000, false, "Q77926" },
	{ "NME/*.NME", 0, 45, 0, false, "Q77926" },
	{ "USR/*.USR", 0, 53, 0, false, "Q77926" },
	{ "XTN/*.XTN", 0, 698, 0, false, "Q77926, Q103421" },
	{ "FOLDERS/SERIALNO.IDX", 4, 0, 0, false, "Q77926, Q113149" },
	{ "FOLDERS/*.IDX", 100, 158, 0, false, "Q77926" },
	{ "FOLDERS/*/*.IDX", 100, 158, 0, false, "Q77926" },
	{ "FOLDERS/*/*/*.IDX", 100, 158, 0, false, "Q77926" },
};

const FormatSizeRule *
format_size_rule(const char *path)
{
	g_autofree char *upper = g_ascii_strup(path, -1);

	for (size_t i = 0; i < G_N_ELEMENTS(rules); i++)
		/* The first letter spares most of fnmatch(), which is slow. */
		if (rules[i].path[0] == upper[0] &&
		    fnmatch(rules[i].path, upper, FNM_PATHNAME) == 0)
			return &rules[i];
	return NULL;
}

bool
format_size_fits(const FormatSizeRule *rule, uint64_t size)
{
	if (rule->max > 0 && size > rule->max)
		return false;
	if (rule->unit == 0 || size < rule->base)
		return size == rule->base;
	return (size - rule->base) % rule->unit == 0;
}

const FormatSizeRule *
format_size_check(const char *path, uint64_t size)
{
	const FormatSizeRule *rule = format_size_rule(path);

	return rule != NULL && !format_size_fits(rule, size) ? rule : NULL;
}

char *
format_size_text(const FormatSizeRule *rule)
{
	g_autoptr(GString) text = g_string_new(NULL);

	if (rule->unit == 0 && rule->base == 0)
		g_string_append(text, "empty");
	else if (rule->base > 0)
		g_string_append_printf(text, "%u bytes", rule->base);
	if (rule->unit > 0)
		g_string_append_printf(text, "%s%u bytes a record",
		                       rule->base > 0 ? " and " : "",
		                       rule->unit);
	if (rule->max > 0)
		g_string_append_printf(text, ", at most %u", rule->max);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

bool
format_size_access_agrees(uint64_t access, uint64_t access2, uint64_t access3)
{
	return access / 586 == access2 / 69 && access2 / 69 == access3 / 512;
}
