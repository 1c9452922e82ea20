/* SPDX-License-Identifier: BSD-2-Clause */
#include <stddef.h>

#include "store/layout.h"

/*
 * An empty postoffice: the 51 directories that MAILINT looks for (Q132744) and
 * the two below FOLDERS, each with the one read-only byte that keeps copy
 * tools from leaving it out (Q135868, Q256014); the mailbags of a fresh
 * installation, a KEY of zeros and an empty MBG (Q104279); and the counters
 * (Q87388). The value of POPULATE.MSM's byte is not public; zero is assumed.
 */

#define DIRECTORY(path)                              \
	{ path, true, false, 0 },                    \
	{                                            \
		path "/POPULATE.MSM", false, true, 1 \
	}
#define MAILBAG(stem)                               \
	{ "KEY/" stem ".KEY", false, false, 560 },  \
	{                                           \
		"MBG/" stem ".MBG", false, false, 0 \
	}
#define BUCKETS(prefix)                                                      \
	DIRECTORY(prefix "0"), DIRECTORY(prefix "1"), DIRECTORY(prefix "2"), \
		DIRECTORY(prefix "3"), DIRECTORY(prefix "4"),                \
		DIRECTORY(prefix "5"), DIRECTORY(prefix "6"),                \
		DIRECTORY(prefix "7"), DIRECTORY(prefix "8"),                \
		DIRECTORY(prefix "9"), DIRECTORY(prefix "A"),                \
		DIRECTORY(prefix "B"), DIRECTORY(prefix "C"),                \
		DIRECTORY(prefix "D"), DIRECTORY(prefix "E"),                \
		DIRECTORY(prefix "F")

static const LayoutItem skeleton[] = {
	DIRECTORY("KEY"),         DIRECTORY("MBG"),
	DIRECTORY("ATT"),         BUCKETS("ATT/AT"),
	DIRECTORY("CAL"),         DIRECTORY("FOLDERS"),
	DIRECTORY("FOLDERS/LOC"), DIRECTORY("FOLDERS/PUB"),
	DIRECTORY("GLB"),         DIRECTORY("GRP"),
	DIRECTORY("HLP"),         DIRECTORY("INF"),
	DIRECTORY("INI"),         DIRECTORY("LOG"),
	DIRECTORY("MAI"),         BUCKETS("MAI/MA"),
	DIRECTORY("MEM"),         DIRECTORY("MMF"),
	DIRECTORY("NME"),         DIRECTORY("P1"),
	DIRECTORY("TPL"),         DIRECTORY("USR"),
	DIRECTORY("XTN"),         MAILBAG("00000000"),
	MAILBAG("INQUEUE"),       MAILBAG("INQUEUE3"),
	MAILBAG("SYSTEM"),        { "GLB/CONTROL.GLB", false, false, 8 },
	{ .path = NULL },
};

const LayoutItem *
layout_skeleton(void)
{
	return skeleton;
}
