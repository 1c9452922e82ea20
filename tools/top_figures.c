/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_figures.h"

#define US_PER_S  1e6
#define US_PER_MS 1e3

/* A time from the beginning up to the end of which @count things took. */
typedef struct Bucket {
	guint64 begin_us;
	guint64 end_us; /* G_MAXUINT64: without an end */
	guint64 count;
} Bucket;

static guint64
fact(GVariant *facts, const char *key)
{
	guint64 value = 0;

	(void)g_variant_lookup(facts, key, "t", &value);
	return value;
}

static char *
fact_bytes(GVariant *facts, const char *key)
{
	return g_format_size_full(fact(facts, key), G_FORMAT_SIZE_IEC_UNITS);
}

/* ---- how long commits took ----------------------------------------------- */

/* The buckets of the histogram of commits in @facts; NULL if there is none. */
static GVariant *
buckets_of(GVariant *facts)
{
	g_autoptr(GVariant) histogram = g_variant_lookup_value(
		facts, "commit-time", G_VARIANT_TYPE("(ta(tt))"));

	return histogram != NULL ? g_variant_get_child_value(histogram, 1)
	                         : NULL;
}

/* What came into the buckets since; NULL if they are not the same. */
static GArray *
buckets_since(GVariant *before, GVariant *after)
{
	g_autoptr(GVariant) old = buckets_of(before);
	g_autoptr(GVariant) new = buckets_of(after);
	Bucket bucket = { .end_us = 0 };
	GArray *buckets;
	gsize i;

	if (old == NULL || new == NULL ||
	    g_variant_n_children(old) != g_variant_n_children(new))
		return NULL;

	buckets = g_array_new(FALSE, FALSE, sizeof(Bucket));
	for (i = 0; i < g_variant_n_children(new); i++) {
		guint64 was;

		bucket.begin_us = bucket.end_us;
		g_variant_get_child(old, i, "(tt)", NULL, &was);
		g_variant_get_child(new, i, "(tt)", &bucket.end_us,
		                    &bucket.count);
		bucket.count -= MIN(was, bucket.count);
		g_array_append_val(buckets, bucket);
	}
	return buckets;
}

/* The time that the share @part of them took at most, taken as spread evenly
 * over their bucket. */
static char *
quantile_text(const GArray *buckets, double part)
{
	guint64 all = 0;
	double rank;
	guint i;

	for (i = 0; i < buckets->len; i++)
		all += g_array_index(buckets, Bucket, i).count;
	rank = (double)all * part;
	for (i = 0; all > 0 && i < buckets->len; i++) {
		const Bucket *bucket = &g_array_index(buckets, Bucket, i);
		double count = (double)bucket->count;
		double width = (double)(bucket->end_us - bucket->begin_us);

		if (bucket->end_us == G_MAXUINT64)
			return g_strdup_printf("over %.1f s",
			                       (double)bucket->begin_us /
			                               US_PER_S);
		if (rank <= count)
			return g_strdup_printf("%.1f ms",
			                       ((double)bucket->begin_us +
			                        width * rank / count) /
			                               US_PER_MS);
		rank -= count;
	}
	return g_strdup("-");
}

/* ---- the line ------------------------------------------------------------ */

static char *
rates_text(GVariant *before, GVariant *after, gint64 us)
{
	const char *key = "transactions-committed";
	g_autoptr(GArray) buckets = NULL;
	g_autofree char *half = NULL;
	g_autofree char *most = NULL;

	if (before != NULL)
		buckets = buckets_since(before, after);
	if (buckets == NULL)
		return g_strdup("commits -, p50 -, p99 -");

	half = quantile_text(buckets, 0.5);
	most = quantile_text(buckets, 0.99);
	return g_strdup_printf("commits %.1f/s, p50 %s, p99 %s",
	                       (double)(fact(after, key) - fact(before, key)) *
	                               US_PER_S / (double)MAX(us, 1),
	                       half, most);
}

char *
tool_top_figures(GVariant *before, GVariant *after, gint64 us)
{
	g_autofree char *rates = rates_text(before, after, us);
	g_autofree char *staged = fact_bytes(after, "staged-bytes");
	g_autofree char *room = fact_bytes(after, "store-free-bytes");

	return g_strdup_printf("%s, waiting %" G_GUINT64_FORMAT
	                       ", staged %s, undone %" G_GUINT64_FORMAT
	                       ", room %s",
	                       rates, fact(after, "waiters"), staged,
	                       fact(after, "quarantine-entries"), room);
}
