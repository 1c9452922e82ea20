/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/**
 * Has root become user @name, or if that is NULL the owner of the store in
 * @path: who serves needs no more than that, and what root leaves in a store
 * its owner could not open. A store of root's own is served by root.
 *
 * Errors: it has been said why. Threads: there is one.
 */
int fs_privileges_drop(const char *name, const char *path);
