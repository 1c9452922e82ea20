/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/backup_in.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/interrupt.h"
#include "tools/tool.h"

/* Bytes read at a time. */
#define BLOCK_SIZE ((size_t)1 << 20)

struct ToolBackupIn {
	const char *name;        /* for messages; borrowed */
	ToolProgress *progress;  /* borrowed */
	struct archive *archive; /* owned */
	char *block;             /* owned: BLOCK_SIZE bytes */
	int fd;
	guint64 done;  /* bytes of the file that were read */
	guint64 total; /* bytes of the file; 0 if not known */
	bool is_begun;
	bool is_empty;
	char *problem; /* owned: why it could not be read */
};

/* As read(2), but a signal that asks for the end ends it. */
static ssize_t
read_some(const ToolBackupIn *in)
{
	ssize_t size;

	while (tool_interrupt_await(in->fd)) {
		size = read(in->fd, in->block, BLOCK_SIZE);
		if (size >= 0 || errno != EINTR)
			return size;
	}
	errno = EINTR;
	return -1;
}

/* As libarchive calls it. */
static la_ssize_t
read_block(struct archive *archive, void *user_data, const void **ret_data)
{
	ToolBackupIn *in = user_data;
	ssize_t size = read_some(in);

	if (size < 0) {
		archive_set_error(archive, errno, "%s", g_strerror(errno));
		return -1;
	}
	in->done += (guint64)size;
	if (in->total > 0)
		tool_progress_show(in->progress, in->done, in->total);
	*ret_data = in->block;
	return size;
}

/* Keeps why libarchive could not go on. Its own numbers are negative. */
static int
fail_read(ToolBackupIn *in)
{
	int number = archive_errno(in->archive);

	g_free(in->problem);
	if (number == EINTR)
		in->problem = g_strdup("interrupted");
	else if (number > 0)
		in->problem = g_strdup_printf("cannot be read: %s",
		                              g_strerror(number));
	else
		in->problem = g_strdup_printf(
			"damaged before byte %" G_GUINT64_FORMAT ": %s",
			in->done, archive_error_string(in->archive));
	return number > 0 ? -number : -EUCLEAN;
}

/* Finds out how it is compressed. The other filters of libarchive, some of
 * which run programs, are no business of a backup's. */
static int
begin(ToolBackupIn *in)
{
	struct archive_entry *entry;
	int r;

	in->is_begun = true;
	(void)archive_read_support_filter_zstd(in->archive);
	(void)archive_read_support_format_raw(in->archive);
	(void)archive_read_support_format_empty(in->archive);
	if (archive_read_open(in->archive, in, NULL, read_block, NULL) <
	    ARCHIVE_OK)
		return fail_read(in);
	r = archive_read_next_header(in->archive, &entry);
	in->is_empty = r == ARCHIVE_EOF;
	return r < ARCHIVE_OK ? fail_read(in) : 0;
}

int
tool_backup_in_open(const char *path, ToolProgress *progress,
                    ToolBackupIn **ret_in, GError **error)
{
	bool is_stdin = strcmp(path, "-") == 0;
	g_autoptr(ToolBackupIn) in = g_new0(ToolBackupIn, 1);
	struct stat st;

	in->name = is_stdin ? "the standard input" : path;
	in->progress = progress;
	in->block = g_malloc(BLOCK_SIZE);
	in->archive = archive_read_new();
	g_assert(in->archive != NULL);
	in->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (in->fd < 0 || fstat(in->fd, &st) < 0)
		return tool_fail(error, -errno, "cannot read %s: %s", path,
		                 g_strerror(errno));
	if (S_ISREG(st.st_mode))
		in->total = (guint64)st.st_size;
	*ret_in = g_steal_pointer(&in);
	return 0;
}

int
tool_backup_in_read(void *in, void *buf, size_t size, size_t *ret_size)
{
	ToolBackupIn *i = in;
	la_ssize_t got = 0;
	int r = 0;

	if (tool_interrupt_is_asked())
		return -EINTR;
	if (!i->is_begun)
		r = begin(i);
	if (r < 0)
		return r;
	if (!i->is_empty)
		got = archive_read_data(i->archive, buf, size);
	if (got < 0)
		return fail_read(i);
	*ret_size = (size_t)got;
	return 0;
}

int
tool_backup_in_fail(const ToolBackupIn *in, int r, const char *reason,
                    GError **error)
{
	return tool_fail(error, r, "%s: %s", in->name,
	                 in->problem != NULL ? in->problem : reason);
}

void
tool_backup_in_free(ToolBackupIn *in)
{
	if (in == NULL)
		return;
	(void)archive_read_free(in->archive);
	if (in->fd > STDIN_FILENO)
		(void)close(in->fd);
	g_free(in->block);
	g_free(in->problem);
	g_free(in);
}
