/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/backup_out.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/interrupt.h"
#include "tools/sync.h"
#include "tools/tool.h"

/* Bytes written at a time, and most that wait in memory for the disk: a daemon
 * that syncs on the same disk would have to wait for all of them. */
#define BLOCK_SIZE   (1 << 20)
#define UNSYNCED_MAX ((off_t)2 << 20)

struct ToolBackupOut {
	const ToolBackupTarget *target; /* borrowed */
	struct archive *archive;        /* owned */
	char *draft;                    /* owned: its name; NULL: a pipe */
	int fd;
	off_t size;        /* written */
	off_t unsynced;    /* where what waits begins */
	guint64 given;     /* to be written, before any compression */
	bool is_discarded; /* nothing is to be written any more */
};

typedef struct archive_entry Entry;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Entry, archive_entry_free)

static const char *
name_of(const ToolBackupOut *out)
{
	return out->draft != NULL ? out->target->path : "the standard output";
}

static int
fail(const ToolBackupOut *out, int number, GError **error)
{
	if (number == EINTR)
		return tool_fail(error, -number, "interrupted");
	return tool_fail(error, -number, "cannot write %s: %s", name_of(out),
	                 g_strerror(number));
}

/* The errno of what libarchive could not do. */
static int
number_of(const ToolBackupOut *out)
{
	int number = archive_errno(out->archive);

	return number > 0 ? number : EIO;
}

/* ---- the file ------------------------------------------------------------*/

static int
check_target(const ToolBackupTarget *target, GError **error)
{
	struct stat st;

	if (lstat(target->path, &st) < 0)
		return 0; /* if that is an error, the next step has it, too */
	if (!S_ISREG(st.st_mode))
		return tool_fail(error, -EEXIST, "%s is not a file",
		                 target->path);
	if (!target->may_replace)
		return tool_fail(error, -EEXIST,
		                 "%s is there already (--force replaces it)",
		                 target->path);
	return 0;
}

static int
open_target(ToolBackupOut *out, GError **error)
{
	const ToolBackupTarget *target = out->target;
	g_autofree char *draft = NULL;
	int r;

	if (strcmp(target->path, "-") == 0) {
		if (isatty(STDOUT_FILENO))
			return tool_misuse(error, "a backup is not written to "
			                          "a terminal");
		out->fd = STDOUT_FILENO;
		return 0;
	}
	r = check_target(target, error);
	if (r < 0)
		return r;
	draft = g_strconcat(target->path, ".new-XXXXXX", NULL);
	out->fd = g_mkstemp_full(draft, O_WRONLY | O_CLOEXEC, 0600);
	if (out->fd < 0)
		return tool_fail(error, -errno, "cannot create %s: %s",
		                 target->path, g_strerror(errno));
	out->draft = g_steal_pointer(&draft);
	return 0;
}

/* Keeps little waiting for the disk. That it cannot is no harm. */
static void
drain(ToolBackupOut *out)
{
	if (out->draft == NULL || out->size - out->unsynced < UNSYNCED_MAX)
		return;
	(void)sync_file_range(out->fd, out->unsynced, out->size - out->unsynced,
	                      SYNC_FILE_RANGE_WAIT_BEFORE |
	                              SYNC_FILE_RANGE_WRITE |
	                              SYNC_FILE_RANGE_WAIT_AFTER);
	out->unsynced = out->size;
}

/* As libarchive calls it. */
static la_ssize_t
write_block(struct archive *archive, void *user_data, const void *data,
            size_t size)
{
	ToolBackupOut *out = user_data;
	ssize_t written;

	if (out->is_discarded)
		return (la_ssize_t)size;
	do {
		written = write(out->fd, data, size);
	} while (written < 0 && errno == EINTR && !tool_interrupt_is_asked());
	if (written < 0) {
		archive_set_error(archive, errno, "%s", g_strerror(errno));
		return -1;
	}
	out->size += written;
	drain(out);
	return written;
}

/* ---- the stream ----------------------------------------------------------*/

/* Libarchive serves as a compressor: its "raw" format is one nameless file. */
static int
open_archive(ToolBackupOut *out)
{
	struct archive *archive = out->archive;
	g_autoptr(Entry) entry = archive_entry_new();

	archive_entry_set_filetype(entry, AE_IFREG);
	if (archive_write_set_format_raw(archive) < ARCHIVE_OK ||
	    (out->target->is_compressed &&
	     archive_write_add_filter_zstd(archive) < ARCHIVE_OK) ||
	    archive_write_set_bytes_per_block(archive, BLOCK_SIZE) <
	            ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(archive, 1) < ARCHIVE_OK ||
	    archive_write_open(archive, out, NULL, write_block, NULL) <
	            ARCHIVE_OK ||
	    archive_write_header(archive, entry) < ARCHIVE_OK)
		return -number_of(out);
	return 0;
}

int
tool_backup_out_begin(const ToolBackupTarget *target, ToolBackupOut **ret_out,
                      GError **error)
{
	g_autoptr(ToolBackupOut) out = g_new0(ToolBackupOut, 1);
	int r;

	out->target = target;
	out->fd = -1;
	out->archive = archive_write_new();
	g_assert(out->archive != NULL);
	r = open_target(out, error);
	if (r < 0)
		return r;
	r = open_archive(out);
	if (r < 0)
		return fail(out, -r, error);
	*ret_out = g_steal_pointer(&out);
	return 0;
}

int
tool_backup_out_write(void *out, const void *data, size_t size)
{
	ToolBackupOut *o = out;

	if (tool_interrupt_is_asked())
		return -EINTR;
	if (archive_write_data(o->archive, data, size) < 0)
		return -number_of(o);
	o->given += size;
	return 0;
}

guint64
tool_backup_out_size(const ToolBackupOut *out)
{
	return out->given;
}

/* Gives the whole file its name. Some file systems cannot do so and see to it
 * that there is none of that name; there it was looked at before. */
static int
publish(ToolBackupOut *out)
{
	const ToolBackupTarget *target = out->target;
	unsigned flags = target->may_replace ? 0 : RENAME_NOREPLACE;

	if (fsync(out->fd) < 0)
		return -errno;
	if (renameat2(AT_FDCWD, out->draft, AT_FDCWD, target->path, flags) == 0)
		return 0;
	if (errno == EINVAL && rename(out->draft, target->path) == 0)
		return 0;
	return -errno;
}

int
tool_backup_out_commit(ToolBackupOut **out, GError **error)
{
	g_autoptr(ToolBackupOut) o = g_steal_pointer(out);
	int r;

	if (archive_write_close(o->archive) < ARCHIVE_OK)
		return fail(o, number_of(o), error);
	if (o->draft == NULL)
		return 0;
	r = publish(o);
	if (r < 0)
		return fail(o, -r, error);
	g_clear_pointer(&o->draft, g_free);
	return tool_sync_parent(o->target->path, error);
}

void
tool_backup_out_free(ToolBackupOut *out)
{
	if (out == NULL)
		return;
	/* It closes what is open, and writes what it has kept. */
	out->is_discarded = true;
	(void)archive_write_free(out->archive);
	if (out->draft != NULL)
		(void)unlink(out->draft);
	if (out->fd >= 0 && out->fd != STDOUT_FILENO)
		(void)close(out->fd);
	g_free(out->draft);
	g_free(out);
}
