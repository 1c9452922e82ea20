/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/progress.h"

#include <stdio.h>
#include <unistd.h>

#define INTERVAL_US (G_USEC_PER_SEC / 10)
#define WIDTH       40

struct ToolProgress {
	const char *label; /* borrowed */
	bool is_drawn;
	gint64 next_us; /* monotonic: not drawn before */
};

ToolProgress *
tool_progress_new(const char *label, bool is_quiet)
{
	ToolProgress *progress = g_new0(ToolProgress, 1);

	progress->label = label;
	progress->next_us = is_quiet || !isatty(STDERR_FILENO) ? G_MAXINT64 : 0;
	return progress;
}

void
tool_progress_show(ToolProgress *progress, guint64 done, guint64 total)
{
	gint64 now_us = g_get_monotonic_time();
	double part = total > 0 ? (double)done / (double)total : 0;
	int filled = (int)(CLAMP(part, 0, 1) * WIDTH);

	if (now_us < progress->next_us)
		return;
	progress->next_us = now_us + INTERVAL_US;
	progress->is_drawn = true;
	(void)fprintf(stderr, "\r%s [%-*.*s] %3.0f %%", progress->label, WIDTH,
	              filled, "########################################",
	              CLAMP(part, 0, 1) * 100);
	(void)fflush(stderr);
}

void
tool_progress_free(ToolProgress *progress)
{
	if (progress == NULL)
		return;
	if (progress->is_drawn)
		(void)fputs("\r\033[K", stderr);
	g_free(progress);
}
