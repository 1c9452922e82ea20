/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * What the names in a postoffice mean. Pure; paths are relative to the
 * postoffice, with slashes: "MAI/MA2/00000062.MAI".
 *
 * layout.h decides what the file system must know of a name; here is what an
 * administrator wants to know besides. Sources: Q132744 and Q77926 (what is in
 * which directory), Q87388 (stems), Q87409 (last digit), and what a kind
 * names. All of it is documented [D] unless marked.
 */

/** Characters of a stem that is a number (Q87388, Q87416). */
#define FORMAT_STEM_SIZE 8

/** What a file is. */
typedef enum FormatNameKind {
	FORMAT_NAME_FOREIGN,  /* none that a mail program makes */
	FORMAT_NAME_POPULATE, /* POPULATE.MSM (Q135868) */
	FORMAT_NAME_KEY,      /* a mailbag's two files */
	FORMAT_NAME_MBG,
	FORMAT_NAME_COPY,        /* MBG/COPY.MBG of ADMIN Compress (Q103850) */
	FORMAT_NAME_MAI,         /* a message */
	FORMAT_NAME_ATT,         /* an attachment, with a number of its own */
	FORMAT_NAME_P1,          /* the envelope of the MAI of that stem */
	FORMAT_NAME_ENVELOPE,    /* P1/<MAI>.Pxx: a program's copy (Q119642) */
	FORMAT_NAME_QUEUE_LOCK,  /* P1/<mailbag>.0LK, .OLK, .0nn (Q119642) */
	FORMAT_NAME_SUFFIX_LOCK, /* P1/LOCKP1ID.Pxx (Q128913) */
	FORMAT_NAME_XTN,         /* a network */
	FORMAT_NAME_USR,      /* the users of the postoffice of that mailbag */
	FORMAT_NAME_INF,      /* its template data */
	FORMAT_NAME_TPL,      /* its template's definition */
	FORMAT_NAME_NME,      /* a list of addresses */
	FORMAT_NAME_GRP,      /* a list of groups */
	FORMAT_NAME_MEM,      /* the local members of a group */
	FORMAT_NAME_MMF,      /* a Windows client's messages */
	FORMAT_NAME_FOLDER,   /* below FOLDERS: IDX, FLD */
	FORMAT_NAME_GLB,      /* a file of GLB by its fixed name */
	FORMAT_NAME_OTHER,    /* belongs where it is: CAL, INI, LOG, HLP,
	                       * modem scripts, gateways */
	FORMAT_NAME_LEFTOVER, /* of a program that stopped; harmless
	                       * (Q121956, Q166153, Q96060, Q134228) */
} FormatNameKind;

/** A name, taken apart. */
typedef struct FormatName {
	FormatNameKind kind;

	/* The name without its extension, upper-case: the mailbag of a KEY, MBG
	 * or queue lock, the MAI of a P1 or envelope. "" if it is no DOS name,
	 * and of LOCKP1ID.Pxx, which is nobody's. */
	char stem[FORMAT_STEM_SIZE + 1];

	bool has_number; /* the stem is eight hexadecimal digits */
	uint32_t number; /* then it is this */

	/* A MAI or ATT in a directory that is not its last digit's. */
	bool is_misplaced;
	bool is_lower; /* has lower-case letters (Q129456, Q152903) */
} FormatName;

/** Takes the path of a file apart; what is not known is FOREIGN. */
void format_name_parse(const char *path, FormatName *ret_name);

/**
 * The path of the KEY, MBG, MAI, ATT, P1 or XTN file, or of the external
 * postoffice's USR, INF or TPL, with that @stem. Ownership: the caller frees it.
 */
char *format_name_path(FormatNameKind kind, const char *stem);

/** What to call a file of @kind: "message", "queue's lock file", ... */
const char *format_name_text(FormatNameKind kind);

/** Whether @stem is eight upper-case hexadecimal digits (Q87388). */
bool format_stem_is_number(const char *stem);

/**
 * Whether @stem may be a mailbag's: a number, INQUEUE, INQUEUE3 or SYSTEM, in
 * upper case.
 */
bool format_stem_is_mailbag(const char *stem);

/** The number that @stem is. Returns 0, or -EINVAL if it is none. */
int format_stem_parse(const char *stem, uint32_t *ret_number);

/** The stem with that number. */
void format_stem_print(uint32_t number, char ret_stem[FORMAT_STEM_SIZE + 1]);
