/* SPDX-License-Identifier: BSD-2-Clause */
#include <err.h>
#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/torture/disk_internal.h"

/* How much of the file's pending records is left by @loss. */
static void
show_content(Disk *disk, const DiskNode *node, DiskLoss loss)
{
	guint count = node->pending->len;
	guint cut = (guint)g_rand_int_range(disk->random, 0, (gint32)count + 1);
	int chance = 1 + 3 * g_rand_int_range(disk->random, 0, 3);

	for (guint i = 0; i < count; i++) {
		DiskRecord record = disk_record(
			disk, g_array_index(node->pending, uint64_t, i));
		bool is_whole = disk_is_certain(&record) || loss == DISK_KEEP ||
		                (loss == DISK_PREFIX && i < cut) ||
		                (loss == DISK_SUFFIX && i >= cut);

		if (is_whole)
			disk_apply(disk, node->fd, &record, true);
		else if (loss == DISK_PAGE)
			disk_apply_some(disk, node->fd, &record, DISK_PAGE_SIZE,
			                chance, true);
		else if (loss == DISK_SECTOR)
			disk_apply_some(disk, node->fd, &record,
			                disk->sector_size, chance, true);
	}
}

/* The write before which the power is cut may be under way. */
static void
show_in_flight(Disk *disk, DiskLoss loss)
{
	DiskRecord record;

	if (disk->at == disk_count(disk) || loss == DISK_DROP)
		return;
	record = disk_record(disk, disk->at);
	if (record.head->type == PCUT_WRITE)
		disk_apply_some(disk,
		                disk_get_node(disk, record.head->node)->fd,
		                &record, disk->sector_size,
		                loss == DISK_KEEP ? 8 : 4, true);
}

static gboolean
copy_name(void *key, void *value, void *data)
{
	g_tree_replace(data, g_strdup(key),
	               disk_new_number(*(uint64_t *)value));
	return FALSE;
}

/* The names that a cut leaves. */
static GTree *
choose_names(Disk *disk, DiskLoss loss)
{
	GTree *names = g_tree_new_full(disk_compare, NULL, g_free, g_free);
	guint count = disk->name_changes->len;
	guint cut = (guint)g_rand_int_range(disk->random, 0, (gint32)count + 1);

	if (loss == DISK_DROP)
		cut = 0;
	if (loss == DISK_KEEP)
		cut = count;
	g_tree_foreach(disk->names, copy_name, names);
	for (guint i = 0; i < count; i++) {
		bool is_left = i < cut;

		if (disk->kind == DISK_STRICT && loss != DISK_DROP &&
		    loss != DISK_KEEP)
			is_left = g_rand_boolean(disk->random);
		if (is_left)
			disk_apply_name(disk, names,
			                &g_array_index(disk->name_changes,
			                               DiskNameChange, i));
	}
	return names;
}

/* Where directories are shown as they are found: number -> path. */
typedef struct Show {
	const Disk *disk;
	GTree *names;
	uint64_t parent;
	const char *path;
} Show;

static void show_directory(const Disk *disk, GTree *names, uint64_t number,
                           const char *path);

static gboolean
show_name(void *key, void *value, void *data)
{
	const Show *show = data;
	const DiskNode *node = disk_get_node(show->disk, *(uint64_t *)value);
	g_autofree char *path = NULL;

	if (g_ascii_strtoull(key, NULL, 16) != show->parent)
		return FALSE;
	path = g_build_filename(show->path, (char *)key + 17, NULL);
	if (node->is_directory)
		show_directory(show->disk, show->names, *(uint64_t *)value,
		               path);
	else if (link(node->path, path) < 0)
		err(2, "%s", path);
	return FALSE;
}

static void
show_directory(const Disk *disk, GTree *names, uint64_t number,
               const char *path)
{
	Show show = { disk, names, number, path };

	if (mkdir(path, 0700) < 0)
		err(2, "%s", path);
	g_tree_foreach(names, show_name, &show);
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return flag == FTW_DP ? rmdir(path) : unlink(path);
}

void
disk_show(Disk *disk, DiskLoss loss, const char *dir)
{
	g_autoptr(GTree) names = choose_names(disk, loss);
	GHashTableIter iter;
	void *node;

	g_hash_table_iter_init(&iter, disk->nodes);
	while (g_hash_table_iter_next(&iter, NULL, &node))
		show_content(disk, node, loss);
	show_in_flight(disk, loss);
	if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0 &&
	    errno != ENOENT)
		err(2, "%s", dir);
	show_directory(disk, names, disk->root, dir);
}

void
disk_hide(Disk *disk)
{
	disk_undo(disk);
}
