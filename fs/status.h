/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

#include <glib.h>

#include "store/store.h"

/** What `poctl status` is told of a mount that serves. All borrowed. */
typedef struct FsStatus {
	const char *store_path;
	const char *mount_point;
	Store *store;
	int64_t since_us; /* monotonic */
} FsStatus;

/** Answers the command "status" (control.h) with a{sv}, of an FsStatus. */
GVariant *fs_status_answer(void *user_data, const char *argument,
                           char **ret_error);
