/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/account.h"

#include <string.h>

#include "fs/lock_key.h"

#define NS_PER_US 1000

/* "10.0.0.7:1234 (smbd 4711)": whose session it is, if that is known by now. */
static char *
who_text(FsSession *session)
{
	int pid = (int)fs_session_pid(session);
	g_autofree char *command = NULL;
	FsPeer peer;

	if (!fs_session_peer(session, &peer))
		return NULL;
	if (peer.is_smbd && peer.address[0] != '\0')
		return g_strdup_printf("%s (smbd %d)", peer.address, pid);

	/* It is a program's own, and to be one line. */
	command = g_strescape(peer.command, NULL);
	return g_strdup_printf("%s (%d)", command, pid);
}

/* Adds the path of what @subject is of, as it is called among its users:
 * without KEY, MBG or P1. */
static void
add_mailbag(GPtrArray *mailbags, Store *store, const FsLockSubject *subject)
{
	g_autofree char *dir = NULL;
	char *path;

	if (store_node_path(store_plain(store), subject->dir, &dir) < 0)
		return;

	path = g_build_filename(dir, subject->name, NULL);
	/* Its two locks are of one mailbag. */
	if (g_ptr_array_find_with_equal_func(mailbags, path, g_str_equal, NULL))
		g_free(path);
	else
		g_ptr_array_add(mailbags, path);
}

static gint
path_compare(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *
fs_account_mailbags(Store *store, const GPtrArray *keys)
{
	g_autoptr(GPtrArray) mailbags = g_ptr_array_new_with_free_func(g_free);
	FsLockSubject subject;

	for (guint i = 0; i < keys->len; i++)
		if (fs_lock_key_parse(keys->pdata[i], &subject) &&
		    subject.purpose != FS_LOCK_FILE)
			add_mailbag(mailbags, store, &subject);
	g_ptr_array_sort(mailbags, path_compare);
	g_ptr_array_add(mailbags, NULL);
	return g_strjoinv(" ", (char **)mailbags->pdata);
}

/* Adds up what is known of the locks of mailbags, whose keys it adds to @keys. */
static void
add_locks(const FsTransaction *transaction, FsMailbagLock *locks,
          GPtrArray *keys, StoreAccount *account)
{
	uint64_t serial = fs_session_serial(transaction->session);
	int64_t now_us = g_get_monotonic_time();
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, transaction->locks);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		FsMailbagTimes times;
		FsLockSubject subject;

		if (!fs_lock_key_parse(key, &subject) ||
		    subject.purpose == FS_LOCK_FILE ||
		    !fs_mailbag_lock_times(locks, serial, key, &times))
			continue;
		g_ptr_array_add(keys, key);
		account->held_ns = MAX(account->held_ns,
		                       (now_us - times.since_us) * NS_PER_US);
		account->waited_ns += times.waited_us * NS_PER_US;
	}
}

void
fs_account_give(const FsTransaction *transaction, FsMailbagLock *locks,
                Store *store)
{
	g_autoptr(GPtrArray) keys = g_ptr_array_new();
	g_autofree char *who = who_text(transaction->session);
	g_autofree char *names = NULL;
	StoreAccount account = {
		.session = fs_session_serial(transaction->session),
		.begun_ns = transaction->begun_ns,
		.who = who,
	};

	add_locks(transaction, locks, keys, &account);
	names = fs_account_mailbags(store, keys);
	account.mailbags = names;
	store_txn_account(transaction->txn, &account);
}
