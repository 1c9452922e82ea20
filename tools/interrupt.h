/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

/** From now on SIGINT, SIGTERM and SIGHUP, unless they were ignored, ask for a
 * tidy end, once: whoever does long work looks at tool_interrupt_is_asked() and
 * cleans up. */
void tool_interrupt_begin(void);

bool tool_interrupt_is_asked(void);

/**
 * Waits until @fd can be read, or is at its end. Returns false if a tidy end
 * was asked for first; a read() that has begun would not notice.
 */
bool tool_interrupt_await(int fd);
