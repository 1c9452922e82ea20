/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/layout.h"

#include <stddef.h>
#include <string.h>

#include <glib.h>

/* The directories of a postoffice (Q132744, Q77926, Q135868). What the
 * gateways add beside them keeps its own names and is left alone. */
static const struct {
	const char *name;
	LayoutDir role;
} directories[] = {
	{ "ATT", LAYOUT_DIR_ATT },     { "CAL", LAYOUT_DIR_OWN },
	{ "FOLDERS", LAYOUT_DIR_OWN }, { "GLB", LAYOUT_DIR_GLB },
	{ "GRP", LAYOUT_DIR_OWN },     { "HLP", LAYOUT_DIR_OWN },
	{ "INF", LAYOUT_DIR_OWN },     { "INI", LAYOUT_DIR_OWN },
	{ "KEY", LAYOUT_DIR_KEY },     { "LOG", LAYOUT_DIR_OWN },
	{ "MAI", LAYOUT_DIR_MAI },     { "MBG", LAYOUT_DIR_MBG },
	{ "MEM", LAYOUT_DIR_OWN },     { "MMF", LAYOUT_DIR_OWN },
	{ "NME", LAYOUT_DIR_OWN },     { "P1", LAYOUT_DIR_P1 },
	{ "TPL", LAYOUT_DIR_OWN },     { "USR", LAYOUT_DIR_OWN },
	{ "XTN", LAYOUT_DIR_OWN },
};

static bool
is_bucket(const char *name, const char *prefix)
{
	return strlen(name) == 3 && g_ascii_strncasecmp(name, prefix, 2) == 0 &&
	       g_ascii_isxdigit(name[2]);
}

static LayoutDir
postoffice_child(const char *name)
{
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(directories); i++)
		if (g_ascii_strcasecmp(name, directories[i].name) == 0)
			return directories[i].role;
	return LAYOUT_DIR_FOREIGN;
}

LayoutDir
layout_child(LayoutDir parent, const char *name)
{
	switch (parent) {
	case LAYOUT_DIR_POSTOFFICE:
		return postoffice_child(name);
	case LAYOUT_DIR_MAI:
		return is_bucket(name, "MA") ? LAYOUT_DIR_MAI_BUCKET
		                             : LAYOUT_DIR_OWN;
	case LAYOUT_DIR_ATT:
		return is_bucket(name, "AT") ? LAYOUT_DIR_ATT_BUCKET
		                             : LAYOUT_DIR_OWN;
	case LAYOUT_DIR_FOREIGN:
		return LAYOUT_DIR_FOREIGN;
	case LAYOUT_DIR_KEY:
	case LAYOUT_DIR_MBG:
	case LAYOUT_DIR_P1:
	case LAYOUT_DIR_MAI_BUCKET:
	case LAYOUT_DIR_ATT_BUCKET:
	case LAYOUT_DIR_GLB:
	case LAYOUT_DIR_OWN:
	default:
		return LAYOUT_DIR_OWN;
	}
}

/* The extension of @name without its dot, or "". */
static const char *
extension(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL ? dot + 1 : "";
}

static bool
has_extension(const char *name, const char *wanted)
{
	return g_ascii_strcasecmp(extension(name), wanted) == 0;
}

/* x.0LK and its misprint x.OLK (Q119642, Q103960), x.0nn of External 2.1
 * (Q119642). */
static bool
is_queue_lock(const char *name)
{
	const char *e = extension(name);

	if (has_extension(name, "0LK") || has_extension(name, "OLK"))
		return true;
	return strlen(e) == 3 && e[0] == '0' && g_ascii_isdigit(e[1]) &&
	       g_ascii_isdigit(e[2]);
}

/* LOCKP1ID.Pxx reserves a suffix (Q128913). */
static bool
is_suffix_lock(const char *name)
{
	const char *e = extension(name);

	return g_ascii_strncasecmp(name, "LOCKP1ID.", 9) == 0 &&
	       strlen(e) == 3 && g_ascii_toupper(e[0]) == 'P';
}

/* INQUEUE's lock file counts anywhere in the postoffice. */
static bool
is_inqueue_lock(const char *name)
{
	return (has_extension(name, "0LK") || has_extension(name, "OLK")) &&
	       (g_ascii_strncasecmp(name, "INQUEUE.", 8) == 0 ||
	        g_ascii_strncasecmp(name, "INQUEUE3.", 9) == 0);
}

static LayoutKind
p1_kind(const char *name)
{
	if (is_queue_lock(name) || is_suffix_lock(name))
		return LAYOUT_LOCK_FILE;
	return g_ascii_strcasecmp(name, "POPULATE.MSM") == 0 ? LAYOUT_PLAIN
	                                                     : LAYOUT_MESSAGE;
}

LayoutKind
layout_kind(LayoutDir dir, const char *name)
{
	if (dir == LAYOUT_DIR_FOREIGN)
		return LAYOUT_PLAIN;
	if (dir == LAYOUT_DIR_P1)
		return p1_kind(name);
	if (is_inqueue_lock(name))
		return LAYOUT_LOCK_FILE;

	if (dir == LAYOUT_DIR_KEY && has_extension(name, "KEY"))
		return LAYOUT_MAILBAG;
	if (dir == LAYOUT_DIR_MBG && has_extension(name, "MBG"))
		return g_ascii_strcasecmp(name, "COPY.MBG") == 0
		               ? LAYOUT_MESSAGE
		               : LAYOUT_MAILBAG;
	if (dir == LAYOUT_DIR_MAI_BUCKET && has_extension(name, "MAI"))
		return LAYOUT_MESSAGE;
	if (dir == LAYOUT_DIR_ATT_BUCKET && has_extension(name, "ATT"))
		return LAYOUT_MESSAGE;
	return LAYOUT_PLAIN;
}

bool
layout_is_dos(LayoutDir dir)
{
	return dir != LAYOUT_DIR_FOREIGN && dir != LAYOUT_DIR_POSTOFFICE;
}

bool
layout_is_write_once(LayoutDir dir, const char *name)
{
	return layout_kind(dir, name) == LAYOUT_MESSAGE &&
	       dir != LAYOUT_DIR_MBG;
}

bool
layout_is_one_owner(LayoutDir dir, const char *name)
{
	static const char *const NAMES[] = {
		"CONTROL.GLB",
		"FLAG.GLB",
		"MASTER.GLB",
		"TID.GLB",
	};

	if (dir != LAYOUT_DIR_GLB)
		return false;

	for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++)
		if (g_ascii_strcasecmp(name, NAMES[i]) == 0)
			return true;
	return false;
}

bool
layout_is_body(LayoutDir dir, const char *name)
{
	return (dir == LAYOUT_DIR_MAI_BUCKET || dir == LAYOUT_DIR_ATT_BUCKET) &&
	       layout_kind(dir, name) == LAYOUT_MESSAGE;
}

bool
layout_mailbag(LayoutDir dir, const char *name,
               char ret_mailbag[LAYOUT_MAILBAG_MAX + 1])
{
	LayoutKind kind = layout_kind(dir, name);
	size_t size = strcspn(name, ".");

	if ((kind != LAYOUT_MAILBAG && kind != LAYOUT_LOCK_FILE) ||
	    size > LAYOUT_MAILBAG_MAX || is_suffix_lock(name))
		return false;

	for (size_t i = 0; i < size; i++)
		ret_mailbag[i] = g_ascii_toupper(name[i]);
	ret_mailbag[size] = '\0';
	return true;
}

bool
layout_is_inqueue(const char *mailbag)
{
	return g_ascii_strcasecmp(mailbag, "INQUEUE") == 0 ||
	       g_ascii_strcasecmp(mailbag, "INQUEUE3") == 0;
}
