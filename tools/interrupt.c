/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/interrupt.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>

/* Signals that come between a look and the wait are noticed that late. */
#define LOOK_MS 200

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

bool
tool_interrupt_await(int fd)
{
	struct pollfd source = { .fd = fd, .events = POLLIN };

	while (!tool_interrupt_is_asked())
		if (poll(&source, 1, LOOK_MS) > 0)
			return true;
	return false;
}
