/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * A postoffice's directories, and what kind of file a name is.
 *
 * Pure functions over names. Sources: Microsoft Knowledge Base articles
 * Q132744 (the 51 directories), Q77926 (their contents), Q85058 and Q119642
 * (lock files and envelopes in P1), Q103850 (COPY.MBG).
 */

/** The part a directory plays. */
typedef enum LayoutDir {
	LAYOUT_DIR_FOREIGN,    /* no part of a postoffice */
	LAYOUT_DIR_POSTOFFICE, /* has the children KEY and MBG */
	LAYOUT_DIR_KEY,
	LAYOUT_DIR_MBG,
	LAYOUT_DIR_P1,
	LAYOUT_DIR_MAI,        /* holds MA0 to MAF */
	LAYOUT_DIR_MAI_BUCKET, /* one of them */
	LAYOUT_DIR_ATT,        /* holds AT0 to ATF */
	LAYOUT_DIR_ATT_BUCKET, /* one of them */
	LAYOUT_DIR_GLB,
	LAYOUT_DIR_OWN, /* any other directory that the postoffice owns */
} LayoutDir;

/** What a file is to the mail programs. */
typedef enum LayoutKind {
	LAYOUT_PLAIN,
	LAYOUT_MAILBAG,   /* KEY/x.KEY or MBG/x.MBG */
	LAYOUT_MESSAGE,   /* MAI, ATT, an envelope in P1, MBG/COPY.MBG */
	LAYOUT_LOCK_FILE, /* its existence is the lock (postoffice: -V20) */
} LayoutKind;

/** The role of directory @name below a directory of role @parent. */
LayoutDir layout_child(LayoutDir parent, const char *name);

/** The kind of the file @name in a directory of role @dir, in any case. */
LayoutKind layout_kind(LayoutDir dir, const char *name);

/** Whether names in a directory of role @dir are upper-case 8.3. */
bool layout_is_dos(LayoutDir dir);

/** Whether the programs write a file of this name once and then only read. */
bool layout_is_write_once(LayoutDir dir, const char *name);

/**
 * Whether the file @name in a directory of role @dir is for one program at a
 * time (Q134952): CONTROL, TID, FLAG and MASTER.GLB.
 */
bool layout_is_one_owner(LayoutDir dir, const char *name);

/** Whether it is a MAI or ATT, which a mailbag's records refer to. */
bool layout_is_body(LayoutDir dir, const char *name);

/** Longest name of a mailbag, without its NUL: 8.3 without the extension. */
#define LAYOUT_MAILBAG_MAX 8

/**
 * The mailbag ("0000000A", "INQUEUE3") that the mailbag file or lock file
 * @name in a directory of role @dir is of. Returns false if it is of none:
 * LOCKP1ID.Pxx, and whatever is another kind of file.
 */
bool layout_mailbag(LayoutDir dir, const char *name,
                    char ret_mailbag[LAYOUT_MAILBAG_MAX + 1]);

/** Whether @mailbag is one that mailers take new mail from (Q103960). */
bool layout_is_inqueue(const char *mailbag);

/** One thing of an empty postoffice: a directory, or a file and its bytes. */
typedef struct LayoutItem {
	const char *path; /* "MAI/MA0", "GLB/CONTROL.GLB" */
	bool is_dir;
	bool is_read_only; /* carries the DOS attribute R */
	uint32_t size;     /* bytes, all zero */
} LayoutItem;

/** The skeleton of an empty postoffice, parents first; ends with path NULL. */
const LayoutItem *layout_skeleton(void);
