/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t is_asked;

static void
ask(int number)
{
	is_asked = 1;
}

void
tool_interrupt_begin(void)
{
	/* The second signal ends the process at once. */
	struct sigaction action = { .sa_handler = ask,
		                    .sa_flags = (int)SA_RESETHAND };

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
}

bool
tool_interrupt_is_asked(void)
{
	return is_asked != 0;
}
