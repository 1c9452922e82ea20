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

/* What was ignored stays so: by nohup(1), and by a shell for its jobs. */
static void
heed(int number)
{
	/* The second signal ends the process at once. */
	struct sigaction action = { .sa_handler = ask,
		                    .sa_flags = (int)SA_RESETHAND };
	struct sigaction old;

	if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
		(void)sigaction(number, &action, NULL);
}

void
tool_interrupt_begin(void)
{
	heed(SIGINT);
	heed(SIGTERM);
	heed(SIGHUP);
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
