/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/metrics.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PURPOSES (FS_LOCK_FILE + 1)

/* The kinds of request, sorted. */
static const char *const OPS[] = {
	"access",      "create",      "fallocate", "flock",   "flush",
	"forget",      "fsync",       "getattr",   "getlk",   "getxattr",
	"ioctl",       "link",        "listxattr", "lookup",  "lseek",
	"mkdir",       "mknod",       "open",      "opendir", "read",
	"readdir",     "readdirplus", "readlink",  "release", "releasedir",
	"removexattr", "rename",      "rmdir",     "setattr", "setlk",
	"setxattr",    "statfs",      "symlink",   "unlink",  "write",
};

static const char *const UNDONE[] = {
	[FS_UNDONE_DEATH] = "death", [FS_UNDONE_DISCONNECT] = "disconnect",
	[FS_UNDONE_BREAK] = "break", [FS_UNDONE_AGE] = "age",
	[FS_UNDONE_TORN] = "torn",   [FS_UNDONE_ERROR] = "error",
	[FS_UNDONE_STOP] = "stop",
};

/* The upper ends of the buckets, in microseconds: from a sync of a good disk
 * to a telephone call. The last bucket has none. */
static const uint64_t ENDS_US[] = {
	100,     250,      500,      1000,     2500,      5000,        10000,
	25000,   50000,    100000,   250000,   500000,    1000000,     2500000,
	5000000, 10000000, 30000000, 60000000, 300000000, G_MAXUINT64,
};

typedef _Atomic uint64_t Counter;

typedef struct Histogram {
	Counter sum_us;
	Counter buckets[G_N_ELEMENTS(ENDS_US)];
} Histogram;

struct FsMetrics {
	Counter counts[FS_COUNT_END];
	Counter undone[FS_UNDONE_END];
	Counter requests[G_N_ELEMENTS(OPS)];
	Histogram commits;
	Histogram waits[PURPOSES];
	Histogram holds[PURPOSES];
};

FsMetrics *
fs_metrics_new(void)
{
	return g_new0(FsMetrics, 1);
}

void
fs_metrics_free(FsMetrics *metrics)
{
	g_free(metrics);
}

/* ---- counting ------------------------------------------------------------ */

static void
counter_add(Counter *counter, uint64_t number)
{
	atomic_fetch_add_explicit(counter, number, memory_order_relaxed);
}

static uint64_t
counter_get(Counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void
histogram_add(Histogram *histogram, int64_t us)
{
	uint64_t value = us > 0 ? (uint64_t)us : 0;
	size_t i = 0;

	while (value > ENDS_US[i])
		i++;
	counter_add(&histogram->buckets[i], 1);
	counter_add(&histogram->sum_us, value);
}

void
fs_metrics_count(FsMetrics *metrics, FsCount count)
{
	if (metrics != NULL)
		counter_add(&metrics->counts[count], 1);
}

const char *
fs_metrics_undone_name(FsUndone why)
{
	return UNDONE[why];
}

void
fs_metrics_undone(FsMetrics *metrics, FsUndone why)
{
	if (metrics != NULL)
		counter_add(&metrics->undone[why], 1);
}

static int
op_compare(const void *op, const void *name)
{
	return strcmp(op, *(const char *const *)name);
}

void
fs_metrics_request(FsMetrics *metrics, const char *op)
{
	const char *const *found =
		bsearch(op, OPS, G_N_ELEMENTS(OPS), sizeof OPS[0], op_compare);

	g_assert(found != NULL);
	if (metrics != NULL)
		counter_add(&metrics->requests[found - OPS], 1);
}

/* Only a request for a byte range is told EDEADLK, and of the others only an
 * open EAGAIN. */
void
fs_metrics_answer(FsMetrics *metrics, const char *op, int r)
{
	switch (-r) {
	case ETXTBSY:
		fs_metrics_count(metrics, FS_COUNT_REFUSED_SHARING);
		break;
	case EAGAIN:
		fs_metrics_count(metrics, strcmp(op, "open") == 0
		                                  ? FS_COUNT_ROUND
		                                  : FS_COUNT_REFUSED_RANGE);
		break;
	case EDEADLK:
		fs_metrics_count(metrics, FS_COUNT_REFUSED_RANGE);
		break;
	case EIO:
		fs_metrics_count(metrics, FS_COUNT_EIO);
		break;
	case ENOSPC:
		fs_metrics_count(metrics, FS_COUNT_ENOSPC);
		break;
	default:
		break;
	}
}

void
fs_metrics_commit(FsMetrics *metrics, int64_t us)
{
	if (metrics != NULL)
		histogram_add(&metrics->commits, us);
}

static void
purposes_add(Histogram *histograms, const char *key, int64_t us)
{
	FsLockSubject subject;

	if (fs_lock_key_parse(key, &subject))
		histogram_add(&histograms[subject.purpose], us);
}

void
fs_metrics_wait(FsMetrics *metrics, const char *key, int64_t us)
{
	if (metrics != NULL)
		purposes_add(metrics->waits, key, us);
}

void
fs_metrics_hold(FsMetrics *metrics, const char *key, int64_t us)
{
	if (metrics != NULL)
		purposes_add(metrics->holds, key, us);
}

/* ---- listing ------------------------------------------------------------- */

/* A name for each of @count @counters; NULL: it is left out. */
static GVariant *
labels_answer(Counter *counters, const char *const *names, size_t count)
{
	GVariantBuilder labels =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{st}"));

	for (size_t i = 0; i < count; i++)
		if (names[i] != NULL)
			g_variant_builder_add(&labels, "{st}", names[i],
			                      counter_get(&counters[i]));
	return g_variant_builder_end(&labels);
}

static GVariant *
histogram_answer(Histogram *histogram)
{
	GVariantBuilder buckets =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a(tt)"));

	for (size_t i = 0; i < G_N_ELEMENTS(ENDS_US); i++)
		g_variant_builder_add(&buckets, "(tt)", ENDS_US[i],
		                      counter_get(&histogram->buckets[i]));
	return g_variant_new("(ta(tt))", counter_get(&histogram->sum_us),
	                     &buckets);
}

static GVariant *
purposes_answer(Histogram *histograms)
{
	GVariantBuilder labels =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{s(ta(tt))}"));

	for (FsLockPurpose i = FS_LOCK_UPDATE; i < PURPOSES; i++)
		g_variant_builder_add(&labels, "{s@(ta(tt))}",
		                      fs_lock_purpose_name(i),
		                      histogram_answer(&histograms[i]));
	return g_variant_builder_end(&labels);
}

/* A @count of its own is a number, of its kind with the others an entry of a
 * list by label. */
void
fs_metrics_list(FsMetrics *metrics, GVariantBuilder *answer)
{
	static const char *const singles[] = {
		[FS_COUNT_COMMITTED] = "transactions-committed",
		[FS_COUNT_PUBLISHED] = "transactions-published",
		[FS_COUNT_TIMEOUT] = "lock-timeouts",
		[FS_COUNT_DEADLOCK] = "lock-deadlocks",
		[FS_COUNT_ROUND] = "lock-rounds",
	};
	static const char *const refusals[] = { "sharing", "range",
		                                "lock_file" };
	static const char *const errors[] = { "EIO", "ENOSPC" };
	Counter *counts = metrics->counts;

	for (size_t i = 0; i < G_N_ELEMENTS(singles); i++)
		g_variant_builder_add(
			answer, "{sv}", singles[i],
			g_variant_new_uint64(counter_get(&counts[i])));
	g_variant_builder_add(answer, "{sv}", "refusals",
	                      labels_answer(&counts[FS_COUNT_REFUSED_SHARING],
	                                    refusals, G_N_ELEMENTS(refusals)));
	g_variant_builder_add(answer, "{sv}", "errors",
	                      labels_answer(&counts[FS_COUNT_EIO], errors,
	                                    G_N_ELEMENTS(errors)));
	g_variant_builder_add(
		answer, "{sv}", "transactions-undone",
		labels_answer(metrics->undone, UNDONE, G_N_ELEMENTS(UNDONE)));
	g_variant_builder_add(
		answer, "{sv}", "requests",
		labels_answer(metrics->requests, OPS, G_N_ELEMENTS(OPS)));
	g_variant_builder_add(answer, "{sv}", "commit-time",
	                      histogram_answer(&metrics->commits));
	g_variant_builder_add(answer, "{sv}", "lock-wait-time",
	                      purposes_answer(metrics->waits));
	g_variant_builder_add(answer, "{sv}", "lock-hold-time",
	                      purposes_answer(metrics->holds));
}
