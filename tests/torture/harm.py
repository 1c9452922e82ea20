# SPDX-License-Identifier: BSD-2-Clause
"""What a hostile client asks for: names, offsets, attributes, requests and more
of everything than anybody needs. The functions are run by an Actor, and return
what they were refused with."""

import ctypes
import errno
import fcntl
import itertools
import os
import random
import resource
import stat
import struct
import time

DEVICES = ["CON", "PRN", "AUX", "NUL", "CLOCK$"] + [
    f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)]

BAD_ANYWHERE = [
    *(f"A{chr(code)}B" for code in (*range(1, 32), 127)),
    *(f"A{char}B" for char in ':*?"<>|\\'),
    *DEVICES, "con", "Aux.KEY", "NUL.TXT", "LPT1.A.B", "COM9 ", "nul .x",
    "A.", "A ", "A..", " ", "...", "A.KEY ", "A.KEY.", "A.KEY::$DATA",
    "A:$I30:$INDEX_ALLOCATION", "..\\A", "\\\\SERVER\\A", "A\nB", "A\x7f",
    b"\xff\xfe", b"A\x80", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf",
    b"\xf4\x90\x80\x80", b"\xe0\x80\xaf", b"A\xe5.KEY"]
"""What no client can use: refused in every directory."""

BAD_IN_OFFICE = [
    ".A", ".KEY", "A.B.C", "A.LONG", "TOOLONGNAME", "123456789", "A B",
    "A+B", "A,B", "A;B", "A=B", "A[B", "A]B", "A.K[Y", "A.,", "\u20ac",
    "\u0436", "A\u0301", "\u202eYEK.A", "\ufeffA", "A\u00a0\u2028",
    "\U0001f4a3", "A" * 255, "\u00fc" * 9]
"""What DOS has no room for: refused in a postoffice's own directories."""

TOO_LONG = ["A" * 256, "\u00fc" * 128, "A" * 4095]

REFUSALS = {errno.EINVAL, errno.ENAMETOOLONG}

OFFSETS = [1 << 32, (1 << 32) - 1, (1 << 33) + 1, 1 << 40, 1 << 47, 1 << 48,
           (1 << 62) - 1, (1 << 63) - 4096, (1 << 63) - 2]

XATTR_NAMES = ["user", "user.", "trusted.a", "security.selinux",
               "security.capability", "system.posix_acl_access",
               "system.posix_acl_default", "system.nfs4_acl", "os2.EA",
               "btrfs.compression", "afs.path", "a", ".", "..", "a.b",
               "USER.a", "User.a", "system.", "security.", "trusted."]
"""None of them can be there."""

_libc = ctypes.CDLL(None, use_errno=True)


def code_of(function, *arguments):
    """Calls it; 0, or the errno that it was refused with."""
    try:
        function(*arguments)
    except OSError as error:
        return error.errno
    return 0


# ---- names ------------------------------------------------------------------


def _create(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))


def create_all(directory, names, other):
    """Tries to make each name, in every way; returns what was not refused as a
    bad name is. `other` is a file there that would get the name."""
    wrong = []
    top = os.fsencode(directory)
    for name in names:
        path = top + b"/" + (name if isinstance(name, bytes)
                             else os.fsencode(name))
        for what, attempt in (
                ("create", _create),
                ("mkdir", os.mkdir),
                ("mknod", lambda p: os.mknod(p, stat.S_IFREG | 0o600)),
                ("rename", lambda p: os.rename(os.fsencode(other), p))):
            code = code_of(attempt, path)
            if code not in REFUSALS:
                wrong.append((what, name, code))
        # Neither looked up is it there.
        if code_of(os.stat, path) not in (errno.ENOENT, errno.ENAMETOOLONG):
            wrong.append(("stat", name, 0))
    return wrong


# ---- offsets and sizes --------------------------------------------------------


def reach_far(path):
    """Writes, cuts, allocates and seeks at places that there are not; returns
    what each was answered with."""
    answers = set()
    fd = os.open(path, os.O_RDWR)
    size = os.fstat(fd).st_size
    for offset in OFFSETS:
        answers.add(code_of(os.pwrite, fd, b"x" * 4096, offset))
        answers.add(code_of(os.posix_fallocate, fd, offset, 1 << 20))
        answers.add(code_of(os.pread, fd, 1 << 20, offset))
        answers.add(code_of(os.lseek, fd, offset, os.SEEK_DATA))
        if offset >= 1 << 32:
            answers.add(code_of(os.ftruncate, fd, offset))
            answers.add(code_of(os.truncate, path, offset))
    for first, length in ((0, 1 << 62), (1, (1 << 63) - 2), ((1 << 63) - 1, 1)):
        answers.add(_fallocate(fd, 0, first, length))
    assert os.fstat(fd).st_size == size
    os.close(fd)
    return answers


def _fallocate(fd, mode, first, length):
    done = _libc.fallocate(fd, mode, ctypes.c_int64(first),
                           ctypes.c_int64(length))
    return 0 if done == 0 else ctypes.get_errno()


# ---- attributes ----------------------------------------------------------------


def name_attributes(path):
    """Asks for attributes that cannot be there; returns what was answered."""
    answers = set()
    for name in XATTR_NAMES:
        for size in (0, 1, 65536):
            answers.add(code_of(os.setxattr, path, name, bytes(size)))
        answers.add(code_of(os.getxattr, path, name))
        answers.add(code_of(os.removexattr, path, name))
    answers.add(code_of(os.setxattr, path, "user." + "a" * 251, b""))
    answers.add(code_of(os.setxattr, path, "user.big", bytes(65537)))
    return answers


def fill_attributes(path):
    """Sets attributes of every size until it is refused; returns with what,
    and how many there are."""
    for number in itertools.count():
        code = code_of(os.setxattr, path, f"user.{number:0248x}"
                       if number % 2 else f"user.DosStream.{number}:$DATA",
                       os.urandom(min(1 << number, 65536)))
        if code != 0:
            return code, len(os.listxattr(path))


# ---- requests that there are not -----------------------------------------------


def ask_all(path, is_directory, seed):
    """Sends ioctl(2) requests of every direction and size, and those of other
    file systems; returns what was answered."""
    rand = random.Random(seed)
    known = [0x80086601, 0x40086602, 0x40049409, 0xC020660B, 0xC0105857,
             0x5401, 0x541B, 0xC0185879, 0x4010E850, 0x4008E851, 0x4038E850,
             0x4008E850]
    fd = os.open(path, os.O_RDONLY if is_directory else os.O_RDWR)
    answers = set()
    for request in known + [rand.getrandbits(32) for _ in range(100)]:
        buffer = bytearray(rand.randbytes(16384))
        answers.add(code_of(fcntl.ioctl, fd, request, buffer))
    os.close(fd)
    return answers


# ---- too much of everything ----------------------------------------------------


def _as_many_as_possible():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


_kept = []


def open_many(path, most):
    """Opens it until that is refused; keeps all. Returns the errno, how many."""
    _as_many_as_possible()
    for number in range(most):
        try:
            _kept.append(os.open(path, os.O_RDONLY))
        except OSError as error:
            return error.errno, number
    return 0, most


def close_all():
    """Lets go of what is kept; returns the errno of the last that has one."""
    failed = 0
    while _kept:
        failed = code_of(os.close, _kept.pop()) or failed
    return failed


def lock_many(path, most):
    """Locks every second byte until that is refused; keeps all."""
    fd = os.open(path, os.O_RDWR)
    _kept.append(fd)
    for number in range(most):
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 2 * number)
        except OSError as error:
            return error.errno, number
    return 0, most


def list_many(path, count):
    """Begins to read a directory so often, and then goes on with each; returns
    how many names each has seen."""
    _as_many_as_possible()
    listings = [os.scandir(path) for _ in range(count)]
    seen = [1 if next(one, None) else 0 for one in listings]
    for number, one in enumerate(listings):
        seen[number] += sum(1 for _ in one)
        one.close()
    return seen


def stage_in_place(key, mbg, most):
    """Takes a mailbag and writes over it until that is refused; keeps it."""
    _kept.append(os.open(key, os.O_RDWR))
    fd = os.open(mbg, os.O_RDWR)
    _kept.append(fd)
    block = bytes(1 << 16)
    for at in range(0, most, len(block)):
        try:
            os.pwrite(fd, block, at)
        except OSError as error:
            return error.errno, at
    return 0, most


def stage_new(key, path, size):
    """Takes a mailbag and writes a large message; keeps both open."""
    _kept.append(os.open(key, os.O_RDWR))
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    _kept.append(fd)
    block = bytes(1 << 20)
    for at in range(0, size, len(block)):
        os.pwrite(fd, block, at)


# ---- a crowd ------------------------------------------------------------------


_line = []  # the pipe on which those say their number who had it


def queue_up(path, number):
    """A child opens it for writing, which waits; when it has it, it says its
    number and closes it at once."""
    if not _line:
        _line.extend(os.pipe())
    child = os.fork()
    if child == 0:
        try:
            fd = os.open(path, os.O_RDWR)
            os.write(_line[1], bytes([number]))
            os.close(fd)
        finally:
            # Whatever happens, there must not be two of its parent.
            os._exit(0)
    _kept.append(child)


def order():
    """In which order they had it, all of them."""
    os.close(_line.pop())
    said = b""
    while block := os.read(_line[0], 4096):
        said += block
    os.close(_line.pop())
    while _kept:
        os.waitpid(_kept.pop(), 0)
    return list(said)


def again(seconds, name, *arguments):
    """Does one of the above, again and again. Returns how often."""
    end = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() > end:
            return number
        globals()[name](*arguments)
        close_all()


def storm(path, count, seconds):
    """Children that want one lock, again and again; returns for how long each
    has waited each time, in seconds."""
    end = time.monotonic() + seconds
    pipes = []
    for _ in range(count):
        mine, theirs = os.pipe()
        if os.fork() == 0:
            waits = []
            while time.monotonic() < end:
                before = time.monotonic()
                os.close(os.open(path, os.O_RDWR))
                waits.append(time.monotonic() - before)
            os.write(theirs, struct.pack(f"{len(waits)}d", *waits)[:65536])
            os._exit(0)
        os.close(theirs)
        pipes.append(mine)
    waits = []
    for mine in pipes:
        with os.fdopen(mine, "rb") as file:
            waits.append([wait for wait, in struct.iter_unpack(
                "d", file.read())])
        os.wait()
    return waits
