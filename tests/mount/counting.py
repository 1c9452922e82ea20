# SPDX-License-Identifier: BSD-2-Clause
"""What several processes do to one counter at once."""

import fcntl
import os

import syscalls


def add(path, times):
    """Adds one to the number in a file, `times` times, under a lock."""
    fd = os.open(path, os.O_RDWR)
    for _ in range(times):
        syscalls.lock(fd, fcntl.F_WRLCK, 0, 8, wait=True)
        number = int(os.pread(fd, 8, 0))
        os.pwrite(fd, b"%08d" % (number + 1), 0)
        syscalls.lock(fd, fcntl.F_UNLCK, 0, 8)
    os.close(fd)
