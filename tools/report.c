/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/report.h"

#include "tools/tool.h"

/* What st_blocks counts, in bytes. */
#define BLOCK_SIZE 512

/* A small file takes about as long as so many bytes of a big one. */
#define FILE_WORK 16384

ToolReport *
tool_report_new(void)
{
	ToolReport *report = g_new0(ToolReport, 1);

	report->skipped = g_ptr_array_new_with_free_func(g_free);
	report->refused = g_ptr_array_new_with_free_func(g_free);
	report->reasons = g_ptr_array_new_with_free_func(g_free);
	return report;
}

static int
enter(void *user_data, const ToolSourceItem *dir)
{
	ToolReport *report = user_data;

	if (dir->depth == 0)
		return 0;
	report->directories++;
	report->upper_cased += dir->is_upper ? 1 : 0;
	return 0;
}

static int
leave(void *user_data, const ToolSourceItem *dir)
{
	return 0;
}

static int
file(void *user_data, const ToolSourceItem *item)
{
	ToolReport *report = user_data;

	report->files++;
	report->bytes += (guint64)item->st.st_size;
	report->stored += MIN((guint64)item->st.st_size,
	                      (guint64)item->st.st_blocks * BLOCK_SIZE);
	report->upper_cased += item->is_upper ? 1 : 0;
	return 0;
}

static void
refuse(void *user_data, const char *path, const char *reason)
{
	ToolReport *report = user_data;

	g_ptr_array_add(report->refused, g_strdup(path));
	g_ptr_array_add(report->reasons, g_strdup(reason));
}

static void
skip(void *user_data, const char *path)
{
	ToolReport *report = user_data;

	g_ptr_array_add(report->skipped, g_strdup(path));
}

const ToolSourceVisitor tool_report_visitor = {
	.enter = enter,
	.leave = leave,
	.file = file,
	.refuse = refuse,
	.skip = skip,
};

bool
tool_report_is_equal(const ToolReport *a, const ToolReport *b)
{
	return a->files == b->files && a->directories == b->directories &&
	       a->bytes == b->bytes && a->skipped->len == b->skipped->len &&
	       a->refused->len == b->refused->len;
}

guint64
tool_report_work(const ToolReport *report)
{
	return report->bytes +
	       (report->files + report->directories) * FILE_WORK;
}

void
tool_report_warn(const ToolReport *report)
{
	guint i;

	for (i = 0; i < report->skipped->len; i++)
		tool_warn("%s: skipped: a lock file that was left behind",
		          (const char *)report->skipped->pdata[i]);
	for (i = 0; i < report->refused->len; i++)
		tool_warn("%s: refused: %s",
		          (const char *)report->refused->pdata[i],
		          (const char *)report->reasons->pdata[i]);
}

void
tool_report_free(ToolReport *report)
{
	if (report == NULL)
		return;
	g_ptr_array_unref(report->skipped);
	g_ptr_array_unref(report->refused);
	g_ptr_array_unref(report->reasons);
	g_free(report);
}
