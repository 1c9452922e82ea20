/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

/**
 * What the service manager is told (sd_notify(3)).
 *
 * Its queue is short, and full while it is stopped or busy: a thread waits
 * there, and nobody else for longer than for the log (log_writer.h). Without
 * NOTIFY_SOCKET nothing is told.
 *
 * Threads: one. The process must not fork once it is started.
 */

/** From now on the thread tells it. If @is_needed, the process gets SIGTERM
 * where it cannot be told that we are ready, and has said why. */
void fs_manager_start(bool is_needed);

/** Says @word, "READY=1" for instance. */
void fs_manager_tell(const char *word);

/** Says that we live, but not behind a word that was not taken yet: life is
 * news while it is new. */
void fs_manager_tell_alive(void);

/** Waits until all is told, at most 5 s. */
void fs_manager_stop(void);
