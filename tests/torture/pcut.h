/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

/**
 * The log of what a disk was asked to do, and of what clients were told.
 *
 * pcut.c, preloaded into a program, appends a record for each call that
 * changes something below a directory, in the order in which the calls
 * returned; whoever plays a client appends what was promised to it. replay.c
 * makes of it what a power cut could have left. Nodes are named by their inode
 * numbers. Numbers are as the machine has them: a log is read where it was
 * written.
 */

typedef enum PcutType {
	PCUT_ROOT = 1, /* node is the directory itself */
	PCUT_FILE,     /* a file, as name in parent */
	PCUT_DIRECTORY,
	PCUT_WRITE,    /* the payload, at offset of node */
	PCUT_TRUNCATE, /* node, to offset bytes */
	PCUT_SYNC,     /* node, file or directory */
	PCUT_FAILED,   /* the same, but it failed */
	PCUT_UNLINK,   /* name in parent */
	PCUT_RENAME,   /* payload "from NUL to NUL", in node and in parent */
	PCUT_BEGIN, /* payload "subject number state": may be so from now on */
	PCUT_ACK,   /* payload "subject number": must be so from now on */
} PcutType;

typedef enum PcutFlag {
	PCUT_DURABLE = 1, /* is on the disk by the time it returns */
	PCUT_BROKEN = 2,  /* should have been, but it failed */
	PCUT_OLD = 4,     /* was there when the log began */
} PcutFlag;

typedef struct PcutRecord {
	uint32_t type;  /* PcutType */
	uint32_t flags; /* PcutFlag */
	uint64_t node;
	uint64_t parent;
	uint64_t offset;
	uint64_t size; /* bytes of payload, which follow */
} PcutRecord;

/** Records begin at multiples of this: zeros follow the payload. */
#define PCUT_ALIGN 8

static inline uint64_t
pcut_padding(uint64_t size)
{
	return -size % PCUT_ALIGN;
}

/**
 * What a test asks of the preloaded program while it runs: a file that both
 * have mapped. Counts are of calls by processes that write below the
 * directory; 0 in the others means never.
 */
typedef struct PcutControl {
	uint64_t calls;       /* that change something below the directory */
	uint64_t is_wide;     /* whether those that write anywhere count, too */
	uint64_t kill_at;     /* the call before which the process dies */
	uint64_t syncs;       /* of the directory's files */
	uint64_t fail_at;     /* the one that fails with EIO */
	uint64_t is_sticky;   /* whether all after it fail, too */
	uint64_t writes;      /* to the directory's files */
	uint64_t short_every; /* each so manieth is cut short */
	uint64_t is_lying;    /* syncs do nothing, and say they did */
	uint64_t
		fault_kinds; /* calls of these kinds, a bit each, of any process */
	uint64_t faults;     /* are counted */
	uint64_t fault_at; /* and that one fails; if is_sticky, all after it */
	uint64_t fault_code; /* with this errno */
} PcutControl;

/** Kinds of calls that may be made to fail, whatever they are for. */
typedef enum PcutKind {
	PCUT_OPEN = 1,   /* what makes a descriptor */
	PCUT_MAP = 2,    /* what maps memory */
	PCUT_THREAD = 4, /* what makes a thread */
	PCUT_READ = 8,   /* what reads the directory's files */
	PCUT_PUT = 16,   /* what writes to them, or syncs */
	PCUT_NAME = 32,  /* what changes their names, or cuts them off */
} PcutKind;
