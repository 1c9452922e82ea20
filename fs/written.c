/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/written.h"

typedef struct Piece {
	uint64_t start;
	uint64_t end; /* the first byte after it */
} Piece;

struct FsWritten {
	GArray *pieces;   /* Piece, in order, none touching the next; owned */
	bool is_too_many; /* nothing is known, and no piece kept */
	unsigned *all;    /* pieces of this file and others; borrowed */
};

FsWritten *
fs_written_new(unsigned *all)
{
	FsWritten *written = g_new0(FsWritten, 1);

	written->all = all;
	written->pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
	return written;
}

void
fs_written_free(FsWritten *written)
{
	if (written == NULL)
		return;

	g_array_unref(written->pieces);
	g_free(written);
}

static Piece *
piece_at(const FsWritten *written, guint i)
{
	return &g_array_index(written->pieces, Piece, i);
}

/* The first piece that ends at @offset or later. */
static guint
written_find(const FsWritten *written, uint64_t offset)
{
	guint low = 0;
	guint high = written->pieces->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (piece_at(written, middle)->end < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
written_drop(FsWritten *written, guint first, guint count)
{
	g_array_remove_range(written->pieces, first, count);
	*written->all -= count;
}

void
fs_written_add(FsWritten *written, uint64_t offset, uint64_t size)
{
	Piece new = {
		.start = offset,
		.end = offset + MIN(size, UINT64_MAX - offset),
	};
	guint first = written_find(written, new.start);
	guint next = first;

	if (size == 0 || written->is_too_many)
		return;

	while (next < written->pieces->len &&
	       piece_at(written, next)->start <= new.end)
		next++;
	if (next > first) {
		new.start = MIN(new.start, piece_at(written, first)->start);
		new.end = MAX(new.end, piece_at(written, next - 1)->end);
		*piece_at(written, first) = new;
		written_drop(written, first + 1, next - first - 1);
		return;
	}

	g_array_insert_val(written->pieces, first, new);
	++*written->all;
	if (written->pieces->len > FS_WRITTEN_PIECES_MAX ||
	    *written->all > FS_WRITTEN_PIECES_ALL) {
		written->is_too_many = true;
		written_drop(written, 0, written->pieces->len);
	}
}

void
fs_written_cut(FsWritten *written, uint64_t size)
{
	guint first = written_find(written, size);

	if (size == 0)
		written->is_too_many = false;

	if (first < written->pieces->len &&
	    piece_at(written, first)->start < size) {
		piece_at(written, first)->end = size;
		first++;
	}
	written_drop(written, first, written->pieces->len - first);
}

bool
fs_written_covers(const FsWritten *written, uint64_t size)
{
	const Piece *first;

	if (size == 0 || written->is_too_many)
		return true;
	if (written->pieces->len == 0)
		return false;

	first = piece_at(written, 0);
	return first->start == 0 && first->end >= size;
}
