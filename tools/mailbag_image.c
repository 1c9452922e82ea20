/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/mailbag_image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "store/format/mbg.h"
#include "tools/tool.h"

/* A byte more than there may be, to see that there are no more. */
#define BUFFER_SIZE (FORMAT_MBG_SIZE_MAX + 1)

void
tool_mailbag_image_free(ToolMailbagImage *image)
{
	if (image == NULL)
		return;
	g_byte_array_unref(image->mbg);
	g_free(image);
}

int
tool_mailbag_image_new(const char *mailbag, const GByteArray *key,
                       const GByteArray *mbg, ToolMailbagImage **ret_image,
                       GError **error)
{
	ToolMailbagImage *image;

	if (key->len != FORMAT_KEY_SIZE)
		return tool_fail(error, -EINVAL, "%s.KEY has not %d bytes",
		                 mailbag, FORMAT_KEY_SIZE);
	if (mbg->len > FORMAT_MBG_SIZE_MAX ||
	    mbg->len % FORMAT_MBG_RECORD_SIZE != 0)
		return tool_fail(error, -EINVAL,
		                 "%s.MBG has not at most %d records of %d "
		                 "bytes",
		                 mailbag, FORMAT_KEY_RECORDS_MAX,
		                 FORMAT_MBG_RECORD_SIZE);
	image = g_new0(ToolMailbagImage, 1);
	memcpy(image->key, key->data, FORMAT_KEY_SIZE);
	image->mbg = g_byte_array_sized_new(mbg->len);
	g_byte_array_append(image->mbg, mbg->data, mbg->len);
	*ret_image = image;
	return 0;
}

/* ---- the host's files ---------------------------------------------------- */

static int
read_file(const char *dir, const char *mailbag, const char *kind,
          GByteArray *bytes, GError **error)
{
	g_autofree char *name = g_strdup_printf("%s.%s", mailbag, kind);
	g_autofree char *path = g_build_filename(dir, kind, name, NULL);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = -1;

	g_byte_array_set_size(bytes, BUFFER_SIZE);
	if (fd >= 0)
		got = read(fd, bytes->data, BUFFER_SIZE);
	if (got < 0)
		(void)tool_fail(error, -errno, "cannot read %s: %s", path,
		                g_strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	g_byte_array_set_size(bytes, (guint)MAX(got, 0));
	return got < 0 ? -EIO : 0;
}

int
tool_mailbag_image_read(const char *dir, const char *mailbag,
                        ToolMailbagImage **ret_image, GError **error)
{
	g_autoptr(GByteArray) key = g_byte_array_new();
	g_autoptr(GByteArray) mbg = g_byte_array_new();
	int r;

	r = read_file(dir, mailbag, "KEY", key, error);
	if (r == 0)
		r = read_file(dir, mailbag, "MBG", mbg, error);
	return r == 0 ? tool_mailbag_image_new(mailbag, key, mbg, ret_image,
	                                       error)
	              : r;
}
