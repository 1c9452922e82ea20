# SPDX-License-Identifier: BSD-2-Clause
"""System calls that Python does not offer, or not with all their flags."""

import ctypes
import fcntl
import os
import struct

libc = ctypes.CDLL(None, use_errno=True)

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
RENAME_WHITEOUT = 4

FALLOC_KEEP_SIZE = 0x01
FALLOC_PUNCH_HOLE = 0x02
FALLOC_COLLAPSE_RANGE = 0x08
FALLOC_ZERO_RANGE = 0x10

_AT_FDCWD = -100


def _checked(result, *names):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), *names)
    return result


def renameat2(old, new, flags):
    """rename(2) with flags."""
    _checked(libc.renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD,
                            os.fsencode(new), flags), str(old))


def fallocate(fd, mode, offset, size):
    """fallocate(2) with its modes."""
    _checked(libc.fallocate(fd, mode, ctypes.c_int64(offset),
                            ctypes.c_int64(size)))


# struct flock: type, whence, start, len, pid
_FLOCK = "hhqqi4x"


def lock(fd, kind, first=0, size=0, wait=False, ofd=False):
    """Sets a byte-range lock: kind is fcntl.F_RDLCK, F_WRLCK or F_UNLCK."""
    if ofd:
        command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    else:
        command = fcntl.F_SETLKW if wait else fcntl.F_SETLK
    fcntl.fcntl(fd, command, struct.pack(_FLOCK, kind, os.SEEK_SET, first,
                                         size, 0))


def get_lock(fd, kind, first=0, size=0, ofd=False):
    """Asks what is in the way: (kind, first, size, pid), or None."""
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK if ofd else fcntl.F_GETLK,
                         struct.pack(_FLOCK, kind, os.SEEK_SET, first, size,
                                     0))
    kind, _, first, size, pid = struct.unpack(_FLOCK, answer)
    return None if kind == fcntl.F_UNLCK else (kind, first, size, pid)
