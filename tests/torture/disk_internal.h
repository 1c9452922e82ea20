/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "tests/torture/disk.h"

/** Private to disk*.c. */

/* A file or directory. */
typedef struct DiskNode {
	bool is_directory;
	int fd;          /* of the file; owned */
	char *path;      /* of the file below the scratch directory; owned */
	GArray *pending; /* uint64_t: records that are not on the disk yet */
} DiskNode;

/* A change of names that is not on the disk yet. */
typedef struct DiskNameChange {
	uint64_t record;
	bool removes; /* the part of it that takes a name away */
	bool adds;    /* the part that makes one */
} DiskNameChange;

/* What was there before a state was shown. */
typedef struct DiskUndo {
	int fd; /* borrowed */
	uint64_t offset;
	uint64_t file_size;
	uint64_t size;
	uint8_t *bytes; /* owned */
} DiskUndo;

struct Disk {
	const uint8_t *log;
	size_t size;
	GArray *offsets; /* uint64_t, a record each */
	char *scratch;
	DiskNames kind;
	uint64_t sector_size;
	GRand *random; /* borrowed */
	uint64_t at;   /* the record that is next */
	uint64_t root;
	GHashTable *nodes;    /* inode number -> Node, owned */
	GTree *names;         /* "parent/name" -> node number, both owned */
	GArray *name_changes; /* NameChange */
	GArray *undo;         /* Undo */
};

/** For g_tree_new_full(): the order of strings. */
int disk_compare(const void *a, const void *b, void *user_data);

/** A copy of @number, as a key or value of a table. */
uint64_t *disk_new_number(uint64_t number);

/** The node that the log calls @number. */
DiskNode *disk_get_node(const Disk *disk, uint64_t number);

/** Whether @record is on the disk whatever becomes of others. */
bool disk_is_certain(const DiskRecord *record);

/** Does to the file @fd what @record did; @is_kept says that it is undone. */
void disk_apply(Disk *disk, int fd, const DiskRecord *record, bool is_kept);

/** The same for each @unit bytes of a write, or not: @chance of 8. */
void disk_apply_some(Disk *disk, int fd, const DiskRecord *record,
                     uint64_t unit, int chance, bool is_kept);

/** Does @change to @names. */
void disk_apply_name(const Disk *disk, GTree *names,
                     const DiskNameChange *change);

/** Takes back everything that was kept. */
void disk_undo(Disk *disk);
