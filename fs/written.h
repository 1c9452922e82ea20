/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/**
 * Which bytes of a new file somebody has written. A client that is cut off in
 * the middle of its write-behind leaves a file with a hole, which reads as
 * zeroes: it is torn. Pure.
 *
 * A file with more than FS_WRITTEN_PIECES_MAX pieces counts as written whole
 * until it is emptied, and so does one that would get one more when all files of
 * its batch have FS_WRITTEN_PIECES_ALL: this finds torn files, it does not
 * promise to.
 *
 * Threads: one at a time.
 */
typedef struct FsWritten FsWritten;

#define FS_WRITTEN_PIECES_MAX 4096
#define FS_WRITTEN_PIECES_ALL 65536

/** Counts the pieces of all files of a batch in *@all, which is borrowed until
 * the last change. */
FsWritten *fs_written_new(unsigned *all);

/** NULL is a no-op. */
void fs_written_free(FsWritten *written);

/** Bytes @offset to @offset + @size were written. */
void fs_written_add(FsWritten *written, uint64_t offset, uint64_t size);

/** The file was made @size bytes long: shorter, or longer by a hole. */
void fs_written_cut(FsWritten *written, uint64_t size);

/** Whether each of the first @size bytes was written. */
bool fs_written_covers(const FsWritten *written, uint64_t size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsWritten, fs_written_free)
