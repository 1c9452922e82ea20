# SPDX-License-Identifier: BSD-2-Clause
"""What somebody tries who has a login, but no business with the mail.

Each raises the OSError that it met, and returns if it met none.
"""

import ctypes
import os
import socket

_libc = ctypes.CDLL(None, use_errno=True)
_PTRACE_SEIZE = 0x4206
_PTRACE_DETACH = 17
_PIDFD_GETFD = 438


def _checked(result):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def trace(pid):
    """Begins to trace a process, and ends it."""
    _checked(_libc.ptrace(_PTRACE_SEIZE, pid, None, None))
    _libc.ptrace(_PTRACE_DETACH, pid, None, None)


def take_descriptor(pid, number):
    """Takes a descriptor out of a process."""
    pidfd = os.pidfd_open(pid)
    try:
        os.close(_checked(_libc.syscall(_PIDFD_GETFD, pidfd, number, 0)))
    finally:
        os.close(pidfd)


def read(path):
    """Reads the first byte of a file."""
    with open(path, "rb") as file:
        file.read(1)


# fs/control.h: the length, then (uss): version, "status", "", and where the
# first string ends.
_REQUEST = b"\x0d\0\0\0" b"\x01\0\0\0" b"status\0" b"\0" b"\x0b"


def ask(path):
    """Asks at a control socket; b"" where no answer is given."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(os.fspath(path))
        try:
            asking.sendall(_REQUEST)
            return asking.recv(100)
        except ConnectionError:
            return b""


def unmount(path):
    """Takes a mount away."""
    _checked(_libc.umount2(os.fsencode(path), 0))
