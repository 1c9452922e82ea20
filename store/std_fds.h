/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/**
 * Has those of the first three descriptors that were closed when the program
 * started stay of no use. Else they would be those of the files that it opens
 * next: what it prints would be written to the database, or to what LMDB maps
 * beside it, and who lets his terminal go would close them. Unlocked; for the
 * start of main().
 */
void std_fds_fill(void);
