/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/**
 * A mail program of another operating system, which does one call of that
 * system after the other, as a test tells it; local.py is the test's end.
 *
 * Lines come and lines go. A line is a word and its arguments, numbers in
 * hexadecimal; the answer is "ok", with what the call returned, or "error" and
 * the number that the system gave.
 *
 *	open ACCESS DENY MODE NAME    handle and size; see smb1.py for the three
 *	read HANDLE OFFSET SIZE       bytes
 *	write HANDLE OFFSET BYTES
 *	truncate HANDLE SIZE
 *	lock HANDLE OFFSET SIZE       at once or not at all; so unlock
 *	close HANDLE
 *	delete NAME
 *	rename NAME NAME
 *	find NAME                     its name, as the directory has it
 *	end CODE                      ends the program, closing nothing; no answer
 *
 * Threads: there is one.
 */

/** Room for a line, with its NUL. */
#define OBEY_LINE_SIZE 2304

/** Most bytes of a file that a line carries. */
#define OBEY_BYTES_MAX 1024

/** Modes of opening: what is done if the file exists, and if it does not. */
#define OBEY_OPEN     0x01
#define OBEY_TRUNCATE 0x02
#define OBEY_CREATE   0x10

/** Deny modes, as INT 21h has them. */
#define OBEY_DENY_ALL   1
#define OBEY_DENY_WRITE 2
#define OBEY_DENY_READ  3

/** Obeys until it is told to end, or nobody tells it any more. */
void obey(void);

/* ---- what the system does: os_dos.c, os_win32.c -------------------------- */

/* All but the first two return 0 or the system's error number. A handle is a
 * number that the system gave. */

/** Waits for a line, and puts it with a NUL into @ret_line, which has room for
 * OBEY_LINE_SIZE bytes. Returns 0 at the end of all lines. */
int os_hear(char *ret_line);

/** Sends a line. */
void os_say(const char *line);

unsigned os_open(const char *name, unsigned access, unsigned deny,
                 unsigned mode, unsigned *ret_handle, unsigned *ret_size);
unsigned os_read(unsigned handle, unsigned offset, void *buf, unsigned size,
                 unsigned *ret_size);
unsigned os_write(unsigned handle, unsigned offset, const void *data,
                  unsigned size);
unsigned os_truncate(unsigned handle, unsigned size);
unsigned os_lock(unsigned handle, unsigned offset, unsigned size);
unsigned os_unlock(unsigned handle, unsigned offset, unsigned size);
unsigned os_close(unsigned handle);
unsigned os_delete(const char *name);
unsigned os_rename(const char *name, const char *new_name);

/** Finds @name, which has no wildcards; @ret_name has room for 16 bytes. */
unsigned os_find(const char *name, char *ret_name);

/** Does not return. */
void os_end(unsigned code);
