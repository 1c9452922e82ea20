/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How a state is made quickly
 *
 * - Each file of the log is a file of the scratch directory with what is
 *   certainly on the disk. What is not yet is a list of records a file.
 * - To show a state, what is left of those records is written over the files,
 *   and they are linked to where their names are. What was there is kept in
 *   memory, and is written back to hide the state.
 * - A sync that failed settles what was to be written at that moment: some of
 *   it is on the disk, the rest never will be, for the kernel takes it for
 *   clean and tells of a failure once.
 */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/torture/disk_internal.h"

static void
node_free(void *data)
{
	DiskNode *node = data;

	if (!node->is_directory)
		close(node->fd);
	g_free(node->path);
	g_array_unref(node->pending);
	g_free(node);
}

int
disk_compare(const void *a, const void *b, void *user_data)
{
	return strcmp(a, b);
}

uint64_t *
disk_new_number(uint64_t number)
{
	return g_memdup2(&number, sizeof(number));
}

/* Keys sort by parent: the NUL-free number comes first, of one length. */
static char *
name_key(uint64_t parent, const char *name)
{
	return g_strdup_printf("%016" G_GINT64_MODIFIER "x/%s", parent, name);
}

/* ---- the log -------------------------------------------------------------*/

static void
index_log(Disk *disk)
{
	uint64_t at = 0;

	while (at + sizeof(PcutRecord) <= disk->size) {
		PcutRecord head;

		memcpy(&head, disk->log + at, sizeof(head));
		g_array_append_val(disk->offsets, at);
		at += sizeof(head) + head.size + pcut_padding(head.size);
	}
	if (at != disk->size || disk->offsets->len == 0)
		errx(2, "the log is cut short");
}

Disk *
disk_open(const char *path, const char *scratch, DiskNames names,
          uint64_t sector_size, GRand *random)
{
	Disk *disk = g_new0(Disk, 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(2, "%s", path);
	disk->size = (size_t)st.st_size;
	map = mmap(NULL, disk->size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(2, "%s", path);
	close(fd);
	disk->log = map;
	disk->offsets = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	disk->scratch = g_strdup(scratch);
	disk->kind = names;
	disk->sector_size = sector_size;
	disk->random = random;
	disk->nodes = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
	                                    node_free);
	disk->names = g_tree_new_full(disk_compare, NULL, g_free, g_free);
	disk->name_changes = g_array_new(FALSE, FALSE, sizeof(DiskNameChange));
	disk->undo = g_array_new(FALSE, FALSE, sizeof(DiskUndo));
	index_log(disk);
	return disk;
}

void
disk_close(Disk *disk)
{
	munmap((void *)(uintptr_t)disk->log, disk->size);
	g_array_unref(disk->offsets);
	g_hash_table_unref(disk->nodes);
	g_tree_unref(disk->names);
	g_array_unref(disk->name_changes);
	/* A state that is still shown stays. */
	for (guint i = 0; i < disk->undo->len; i++)
		g_free(g_array_index(disk->undo, DiskUndo, i).bytes);
	g_array_unref(disk->undo);
	g_free(disk->scratch);
	g_free(disk);
}

uint64_t
disk_count(const Disk *disk)
{
	return disk->offsets->len;
}

DiskRecord
disk_record(const Disk *disk, uint64_t number)
{
	uint64_t at = g_array_index(disk->offsets, uint64_t, number);

	return (DiskRecord){
		.head = (const PcutRecord *)(const void *)(disk->log + at),
		.payload = disk->log + at + sizeof(PcutRecord),
	};
}

/* ---- what is written -----------------------------------------------------*/

static void
must_write(int fd, const void *data, size_t size, uint64_t offset)
{
	if (pwrite(fd, data, size, (off_t)offset) != (ssize_t)size)
		err(2, "the scratch directory");
}

static void
must_cut(int fd, uint64_t size)
{
	if (ftruncate(fd, (off_t)size) < 0)
		err(2, "the scratch directory");
}

static uint64_t
size_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		err(2, "the scratch directory");
	return (uint64_t)st.st_size;
}

/* Keeps what @size bytes at @offset are now, and how long the file is. */
static void
keep(Disk *disk, int fd, uint64_t offset, uint64_t size)
{
	DiskUndo undo = { .fd = fd,
		          .offset = offset,
		          .file_size = size_of(fd),
		          .bytes = g_malloc(size) };
	ssize_t got = pread(fd, undo.bytes, size, (off_t)offset);

	undo.size = got < 0 ? 0 : (uint64_t)got;
	g_array_append_val(disk->undo, undo);
}

static void
apply_part(Disk *disk, int fd, const DiskRecord *record, uint64_t from,
           uint64_t size, bool is_kept)
{
	uint64_t offset = record->head->offset + from;

	if (is_kept)
		keep(disk, fd, offset, size);
	must_write(fd, record->payload + from, size, offset);
}

void
disk_apply(Disk *disk, int fd, const DiskRecord *record, bool is_kept)
{
	uint64_t size = record->head->offset;

	if (record->head->type == PCUT_WRITE) {
		apply_part(disk, fd, record, 0, record->head->size, is_kept);
		return;
	}
	if (is_kept) {
		uint64_t now = size_of(fd);

		keep(disk, fd, size, now > size ? now - size : 0);
	}
	must_cut(fd, size);
}

/* Applies each @unit bytes of a write, or not: @chance of 8. */
void
disk_apply_some(Disk *disk, int fd, const DiskRecord *record, uint64_t unit,
                int chance, bool is_kept)
{
	uint64_t size = record->head->size;
	uint64_t from = 0;

	if (record->head->type != PCUT_WRITE) {
		if (g_rand_int_range(disk->random, 0, 8) < chance)
			disk_apply(disk, fd, record, is_kept);
		return;
	}
	while (from < size) {
		uint64_t offset = record->head->offset + from;
		uint64_t part = MIN(unit - offset % unit, size - from);

		if (g_rand_int_range(disk->random, 0, 8) < chance)
			apply_part(disk, fd, record, from, part, is_kept);
		from += part;
	}
}

bool
disk_is_certain(const DiskRecord *record)
{
	return (record->head->flags & PCUT_DURABLE) != 0;
}

/* Everything that waits to be written to @node is on the disk. */
static void
settle(Disk *disk, DiskNode *node)
{
	for (guint i = 0; i < node->pending->len; i++) {
		DiskRecord record = disk_record(
			disk, g_array_index(node->pending, uint64_t, i));

		disk_apply(disk, node->fd, &record, false);
	}
	g_array_set_size(node->pending, 0);
}

/* Some of it is, and the rest never will be. */
static void
settle_some(Disk *disk, DiskNode *node)
{
	for (guint i = 0; i < node->pending->len; i++) {
		DiskRecord record = disk_record(
			disk, g_array_index(node->pending, uint64_t, i));

		if (disk_is_certain(&record))
			disk_apply(disk, node->fd, &record, false);
		else
			disk_apply_some(disk, node->fd, &record, DISK_PAGE_SIZE,
			                4, false);
	}
	g_array_set_size(node->pending, 0);
}

/* What was overwritten is as it was. */
void
disk_undo(Disk *disk)
{
	for (guint i = disk->undo->len; i-- > 0;) {
		const DiskUndo *undo = &g_array_index(disk->undo, DiskUndo, i);

		must_write(undo->fd, undo->bytes, undo->size, undo->offset);
		must_cut(undo->fd, undo->file_size);
		g_free(undo->bytes);
	}
	g_array_set_size(disk->undo, 0);
}

/* ---- names ---------------------------------------------------------------*/

static void
remove_name(GTree *names, uint64_t parent, const char *name)
{
	g_autofree char *key = name_key(parent, name);

	g_tree_remove(names, key);
}

static void
add_name(GTree *names, uint64_t parent, const char *name, uint64_t node)
{
	g_tree_replace(names, name_key(parent, name), disk_new_number(node));
}

/* Which node a rename moves is found where it was made or moved last. */
static uint64_t
find_node(const Disk *disk, uint64_t parent, const char *name, uint64_t before)
{
	for (uint64_t i = before; i-- > 0;) {
		DiskRecord record = disk_record(disk, i);
		const char *text = (const char *)record.payload;

		if ((record.head->type == PCUT_FILE ||
		     record.head->type == PCUT_DIRECTORY) &&
		    record.head->parent == parent && g_str_equal(text, name))
			return record.head->node;
		if (record.head->type == PCUT_RENAME &&
		    record.head->parent == parent &&
		    g_str_equal(text + strlen(text) + 1, name))
			return find_node(disk, record.head->node, text, i);
	}
	errx(2, "the log moves what it has never seen: %s", name);
}

void
disk_apply_name(const Disk *disk, GTree *names, const DiskNameChange *change)
{
	DiskRecord record = disk_record(disk, change->record);
	const char *text = (const char *)record.payload;
	const char *to = text + strlen(text) + 1;

	switch (record.head->type) {
	case PCUT_UNLINK:
		remove_name(names, record.head->parent, text);
		break;
	case PCUT_RENAME:
		if (change->removes)
			remove_name(names, record.head->node, text);
		if (change->adds)
			add_name(names, record.head->parent, to,
			         find_node(disk, record.head->node, text,
			                   change->record));
		break;
	default:
		add_name(names, record.head->parent, text, record.head->node);
		break;
	}
}

/* Which directory must be synced for @change. */
static uint64_t
directory_of(const Disk *disk, const DiskNameChange *change)
{
	const PcutRecord *head = disk_record(disk, change->record).head;

	return head->type == PCUT_RENAME && !change->adds ? head->node
	                                                  : head->parent;
}

static void
add_name_change(Disk *disk)
{
	const PcutRecord *head = disk_record(disk, disk->at).head;
	DiskNameChange change = { disk->at, true, true };

	if (head->type == PCUT_RENAME && disk->kind == DISK_STRICT &&
	    head->node != head->parent) {
		change.removes = false;
		g_array_append_val(disk->name_changes, change);
		change = (DiskNameChange){ disk->at, true, false };
	}
	g_array_append_val(disk->name_changes, change);
}

/* After a sync of @node: its own names, or with a journal everybody's. */
static void
settle_names(Disk *disk, uint64_t node)
{
	guint i = 0;

	while (i < disk->name_changes->len) {
		DiskNameChange *change =
			&g_array_index(disk->name_changes, DiskNameChange, i);

		if (disk->kind == DISK_STRICT &&
		    directory_of(disk, change) != node) {
			i++;
			continue;
		}
		disk_apply_name(disk, disk->names, change);
		g_array_remove_index(disk->name_changes, i);
	}
}

/* ---- playing -------------------------------------------------------------*/

DiskNode *
disk_get_node(const Disk *disk, uint64_t number)
{
	DiskNode *node = g_hash_table_lookup(disk->nodes, &number);

	if (node == NULL)
		errx(2, "the log writes to what it has never seen");
	return node;
}

static void
add_node(Disk *disk, const PcutRecord *head)
{
	DiskNode *node = g_new0(DiskNode, 1);

	node->is_directory = head->type == PCUT_DIRECTORY;
	node->pending = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	node->path = g_strdup_printf("%s/%" G_GUINT64_FORMAT, disk->scratch,
	                             disk->at);
	node->fd = -1;
	if (!node->is_directory) {
		node->fd = open(node->path,
		                O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (node->fd < 0)
			err(2, "%s", node->path);
	}
	if (!g_hash_table_insert(disk->nodes, disk_new_number(head->node),
	                         node))
		errx(2, "an inode number was used again: use a tmpfs");
	if ((head->flags & PCUT_OLD) != 0) {
		DiskNameChange change = { disk->at, true, true };

		disk_apply_name(disk, disk->names, &change);
	} else {
		add_name_change(disk);
	}
}

static void
play_write(Disk *disk, const DiskRecord *record)
{
	DiskNode *node = disk_get_node(disk, record->head->node);

	if ((record->head->flags & PCUT_BROKEN) != 0)
		disk_apply_some(disk, node->fd, record, disk->sector_size, 4,
		                false);
	else if (disk_is_certain(record) && node->pending->len == 0)
		disk_apply(disk, node->fd, record, false);
	else
		g_array_append_val(node->pending, disk->at);
}

static void
play(Disk *disk)
{
	DiskRecord record = disk_record(disk, disk->at);
	const PcutRecord *head = record.head;
	DiskNode *node;

	switch ((PcutType)head->type) {
	case PCUT_ROOT:
		disk->root = head->node;
		break;
	case PCUT_FILE:
	case PCUT_DIRECTORY:
		add_node(disk, head);
		break;
	case PCUT_UNLINK:
	case PCUT_RENAME:
		add_name_change(disk);
		break;
	case PCUT_WRITE:
	case PCUT_TRUNCATE:
		play_write(disk, &record);
		break;
	case PCUT_SYNC:
		node = g_hash_table_lookup(disk->nodes, &head->node);
		if (node != NULL && !node->is_directory)
			settle(disk, node);
		settle_names(disk, head->node);
		break;
	case PCUT_FAILED:
		node = g_hash_table_lookup(disk->nodes, &head->node);
		if (node != NULL && !node->is_directory)
			settle_some(disk, node);
		break;
	case PCUT_BEGIN:
	case PCUT_ACK:
	default:
		break;
	}
}

void
disk_advance(Disk *disk, uint64_t number)
{
	for (; disk->at < number; disk->at++)
		play(disk);
}
