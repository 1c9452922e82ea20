/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "tests/torture/pcut.h"

/**
 * A disk that can lose its power: plays a log of pcut.c and shows what could
 * be there after a cut. What was synced is there; of the rest, what the chosen
 * way of losing leaves.
 */

/** What becomes of writes that nobody has synced. */
typedef enum DiskLoss {
	DISK_DROP,   /* none is there */
	DISK_KEEP,   /* all are, in order */
	DISK_PREFIX, /* the first ones are */
	DISK_SUFFIX, /* the last ones are */
	DISK_PAGE,   /* each page is there or not */
	DISK_SECTOR, /* each sector is */
	DISK_LOSSES,
} DiskLoss;

/** What becomes of names: in the order in which they were made, as with a
 * journal that each sync writes; or each by itself until its directory is
 * synced, which is all that POSIX promises. */
typedef enum DiskNames {
	DISK_ORDERED,
	DISK_STRICT,
} DiskNames;

typedef struct Disk Disk;

/** One record, and where its payload is. */
typedef struct DiskRecord {
	const PcutRecord *head;
	const uint8_t *payload;
} DiskRecord;

/** What a disk writes at once: the least that any does, and what the file
 * systems of our time expect. */
#define DISK_SECTOR_SIZE 512
#define DISK_PAGE_SIZE   4096

/**
 * Reads the log @path. A write is torn between sectors of @sector_size bytes
 * at most. Its files' contents are kept below directory @scratch, which must be
 * on the same file system as where states are shown, and is best one in
 * memory. Exits the program on an error, as all of these do.
 */
Disk *disk_open(const char *path, const char *scratch, DiskNames names,
                uint64_t sector_size, GRand *random);
void disk_close(Disk *disk);

/** How many records there are, and each. */
uint64_t disk_count(const Disk *disk);
DiskRecord disk_record(const Disk *disk, uint64_t number);

/** Plays the log until before record @number, which is not before where it is. */
void disk_advance(Disk *disk, uint64_t number);

/**
 * Shows in directory @dir, which is made anew, what a cut now leaves. Files in
 * it may be read only. To be followed by disk_hide() before anything else.
 */
void disk_show(Disk *disk, DiskLoss loss, const char *dir);
void disk_hide(Disk *disk);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Disk, disk_close)
