/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "store/internal.h"

/* Bytes that are compared, and written, at a time: others have the store in
 * between. */
#define BLOCK 65536

/* As difference_write(), of what is no more than a block. */
static int
write_block(StoreTxn *txn, StoreNode node, uint64_t offset, const uint8_t *data,
            size_t size)
{
	g_autofree uint8_t *is = g_malloc(BLOCK);
	size_t is_size = 0;
	int r;

	r = store_file_read(txn, node, offset, is, size, &is_size);
	if (r < 0 || (is_size == size && memcmp(data, is, size) == 0))
		return r;
	return store_file_write(txn, node, offset, data, size);
}

int
difference_write(StoreTxn *txn, StoreNode node, uint64_t offset,
                 const void *data, size_t size)
{
	size_t done;
	int r = 0;

	for (done = 0; r == 0 && done < size; done += BLOCK)
		r = write_block(txn, node, offset + done,
		                (const uint8_t *)data + done,
		                MIN(BLOCK, size - done));
	return r;
}
