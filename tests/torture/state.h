/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

/**
 * A word for all that is in a directory: a digest of its files' paths, sizes
 * and contents, in the order of paths; load.py makes the same. "absent" if
 * there is no such directory.
 */

#define STATE_ABSENT "absent"

/** Before the name of a directory: what a store's quarantine has of it. */
#define STATE_QUARANTINE "quarantine/"

/** Of directory @dir of a file system. */
char *state_of_directory(const char *dir);

/** What was found in a store. */
typedef struct StateReader StateReader;

/**
 * Opens the store in @dir for reading and checks all of it. Returns NULL with
 * *@ret_reason NULL if there is none, and one can be created there; with a
 * sentence if what is there is no sound store.
 */
StateReader *state_reader_open(const char *dir, char **ret_reason);
void state_reader_close(StateReader *reader);

/**
 * Of its directory @name; of "." the whole store; of a directory of its
 * quarantine, whose paths begin with the number of the entry, from 0 on.
 */
char *state_of_subject(StateReader *reader, const char *name);
