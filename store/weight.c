/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/internal.h"

uint64_t
txn_weigh(StoreTxn *txn, const RecordKey *prefix)
{
	uint64_t bytes = 0;
	TxnIter iter;
	KvSlice key;
	KvSlice value;
	int r;

	r = txn_iter_begin(txn, prefix, prefix, &iter);
	iter.is_of_keys = true;
	while (r == 0) {
		r = txn_iter_next(&iter, &key, &value);
		if (r == 0)
			bytes += key.size + value.size;
	}
	txn_iter_end(&iter);
	return bytes;
}
