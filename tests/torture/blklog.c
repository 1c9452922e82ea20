/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A disk that notes what it is asked to do.
 *
 *	blklog IMAGE LOG
 *
 * Mounts itself over the file IMAGE and serves what was there. LOG, in the
 * words of pcut.h, begins with what IMAGE holds; then it has each write and
 * each sync, in the order in which they were answered. Says "ready" when
 * IMAGE may be opened, and ends when it is unmounted.
 *
 * - With a loop device over IMAGE, a sync is what the file system takes for a
 *   flush of the disk's cache.
 * - One thread: what was answered before a sync came is in the log before it.
 * - A record is written before its answer, so whoever was told of anything
 *   that rests on it comes after it in the log.
 */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#include "tests/torture/pcut.h"

#define ROOT_NODE  1
#define IMAGE_NODE 2
#define IMAGE_NAME "image"
#define BLOCK_SIZE 4096
#define TIMEOUT_S  3600.0

typedef struct Blklog {
	int image_fd;
	int log_fd;
	struct stat attr; /* of the image, which keeps its size */
} Blklog;

/* ---- the log -------------------------------------------------------------*/

static void
append(const Blklog *blklog, PcutRecord record, const void *payload)
{
	static char zeros[PCUT_ALIGN];
	struct iovec all[] = {
		{ &record, sizeof(record) },
		{ (void *)(uintptr_t)payload, record.size },
		{ zeros, pcut_padding(record.size) },
	};
	size_t size = all[0].iov_len + all[1].iov_len + all[2].iov_len;

	if (writev(blklog->log_fd, all, 3) != (ssize_t)size)
		err(1, "the log");
}

static void
append_write(const Blklog *blklog, uint32_t flags, const void *data,
             size_t size, off_t offset)
{
	PcutRecord record = { .type = PCUT_WRITE,
		              .flags = flags,
		              .node = IMAGE_NODE,
		              .offset = (uint64_t)offset,
		              .size = size };

	append(blklog, record, data);
}

/* What is there is on the disk; holes stay holes. */
static void
append_content(const Blklog *blklog)
{
	static const char zeros[BLOCK_SIZE];
	off_t offset = 0;

	while ((offset = lseek(blklog->image_fd, offset, SEEK_DATA)) >= 0) {
		char block[BLOCK_SIZE];
		ssize_t size =
			pread(blklog->image_fd, block, BLOCK_SIZE, offset);

		if (size <= 0)
			err(1, "the image");
		if (memcmp(block, zeros, (size_t)size) != 0)
			append_write(blklog, PCUT_DURABLE, block, (size_t)size,
			             offset);
		offset += size;
	}
}

static void
begin_log(const Blklog *blklog)
{
	PcutRecord root = { .type = PCUT_ROOT, .node = ROOT_NODE, .size = 1 };
	PcutRecord file = { .type = PCUT_FILE,
		            .flags = PCUT_OLD,
		            .node = IMAGE_NODE,
		            .parent = ROOT_NODE,
		            .size = sizeof(IMAGE_NAME) };
	PcutRecord size = { .type = PCUT_TRUNCATE,
		            .flags = PCUT_DURABLE,
		            .node = IMAGE_NODE,
		            .offset = (uint64_t)blklog->attr.st_size };

	append(blklog, root, "");
	append(blklog, file, IMAGE_NAME);
	append(blklog, size, NULL);
	append_content(blklog);
}

/* ---- the disk ------------------------------------------------------------*/

static void
do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const Blklog *blklog = fuse_req_userdata(req);

	(void)fuse_reply_attr(req, &blklog->attr, TIMEOUT_S);
}

static void
do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = 1; /* nothing is kept back from us */
	(void)fuse_reply_open(req, fi);
}

static void
do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
        struct fuse_file_info *fi)
{
	const Blklog *blklog = fuse_req_userdata(req);
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(size);

	data.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	data.buf[0].fd = blklog->image_fd;
	data.buf[0].pos = offset;
	(void)fuse_reply_data(req, &data, FUSE_BUF_NO_SPLICE);
}

static void
do_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
         off_t offset, struct fuse_file_info *fi)
{
	const Blklog *blklog = fuse_req_userdata(req);

	if (pwrite(blklog->image_fd, data, size, offset) != (ssize_t)size)
		err(1, "the image");
	append_write(blklog, 0, data, size, offset);
	(void)fuse_reply_write(req, size);
}

static void
do_fsync(fuse_req_t req, fuse_ino_t ino, int is_data_only,
         struct fuse_file_info *fi)
{
	const Blklog *blklog = fuse_req_userdata(req);
	PcutRecord record = { .type = PCUT_SYNC, .node = IMAGE_NODE };

	append(blklog, record, NULL);
	(void)fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops ops = {
	.getattr = do_getattr,
	.open = do_open,
	.read = do_read,
	.write = do_write,
	.fsync = do_fsync,
};

static int
serve(const Blklog *blklog, char *name, const char *path)
{
	char *words[] = { name, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, words);
	struct fuse_session *session = fuse_session_new(
		&args, &ops, sizeof(ops), (void *)(uintptr_t)blklog);
	int r;

	if (session == NULL || fuse_session_mount(session, path) < 0)
		return 1;
	printf("ready\n");
	(void)fflush(stdout);
	r = fuse_session_loop(session);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return r == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	Blklog blklog;

	if (argc != 3)
		errx(2, "usage: blklog IMAGE LOG");
	blklog.image_fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (blklog.image_fd < 0 || fstat(blklog.image_fd, &blklog.attr) < 0)
		err(1, "%s", argv[1]);
	blklog.log_fd =
		open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (blklog.log_fd < 0)
		err(1, "%s", argv[2]);
	begin_log(&blklog);
	return serve(&blklog, argv[0], argv[1]);
}
