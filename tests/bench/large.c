/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <sys/stat.h>

#include <glib.h>

#include "store/store.h"
#include "tests/bench/clock.h"

/*
 * Writes a file of so many MiB into a new store, in one transaction, and
 * prints how many MiB a second that took up to the end of the commit, and the
 * most anonymous memory, in MiB, that the process had meanwhile.
 */

#define PART ((size_t)1 << 20)

static void
must(int r, const char *what)
{
	if (r < 0)
		errx(1, "%s: %s", what, g_strerror(-r));
}

static double
anonymous_mib(void)
{
	g_autofree char *text = NULL;
	const char *line;

	if (!g_file_get_contents("/proc/self/status", &text, NULL, NULL))
		errx(1, "/proc/self/status");
	line = strstr(text, "RssAnon:");
	if (line == NULL)
		errx(1, "no RssAnon");
	return (double)g_ascii_strtoull(line + 8, NULL, 10) / 1024;
}

static Store *
must_create(const char *dir)
{
	g_autofree char *reason = NULL;
	Store *store = NULL;

	if (store_create(dir, NULL, &reason) < 0 ||
	    store_open(dir, STORE_WRITE, NULL, &store, &reason) < 0)
		errx(1, "%s", reason);
	return store;
}

/* Returns the most memory seen. */
static double
write_large(Store *store, unsigned mib)
{
	g_autofree char *part = g_malloc(PART);
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	StoreTxn *txn = NULL;
	double most = 0;

	memset(part, 'x', PART);
	must(store_txn_begin(store, "bench", &txn), "begin");
	must(store_name_add(txn, STORE_ROOT, "large", &attr, &attr), "create");
	for (unsigned i = 0; i < mib; i++) {
		must(store_file_write(txn, attr.node, i * (uint64_t)PART, part,
		                      PART),
		     "write");
		most = MAX(most, anonymous_mib());
	}
	must(store_txn_commit_wait(&txn), "commit");
	return MAX(most, anonymous_mib());
}

int
main(int argc, char **argv)
{
	double start = now_s();
	unsigned mib;
	double most;
	Store *store;

	if (argc != 3)
		errx(2, "usage: large DIR MIB");
	mib = must_number(argv[2]);
	store = must_create(argv[1]);
	most = write_large(store, mib);
	printf("mib_per_s %.0f\n", mib / (now_s() - start));
	printf("memory_mib %.0f\n", most);
	must(store_close(store), "close");
	return 0;
}
