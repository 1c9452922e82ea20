/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/written.h"

typedef struct Piece {
	uint64_t start;
	uint64_t end; /* the first byte after it */
} Piece;

struct FsWritten {
	GArray *pieces;   /* Piece, in order, none touching the next; owned */
	bool is_too_many; /* nothing is known, and no piece kept */
};

FsWritten *
fs_written_new(void)
{
	FsWritten *written = g_new0(FsWritten, 1);

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
		g_array_remove_range(written->pieces, first + 1,
		                     next - first - 1);
		return;
	}

	g_array_insert_val(written->pieces, first, new);
	if (written->pieces->len > FS_WRITTEN_PIECES_MAX) {
		written->is_too_many = true;
		g_array_set_size(written->pieces, 0);
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
	g_array_set_size(written->pieces, first);
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
