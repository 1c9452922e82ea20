/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

/**
 * Answers the command "quarantine-discard" (control.h), whose argument is the
 * entry's number, for the Store in @user_data. To look at the quarantine the
 * tools need no daemon.
 */
GVariant *fs_quarantine_discard(void *user_data, const char *argument,
                                char **ret_error);
