# SPDX-License-Identifier: BSD-2-Clause
"""Random calls on a tree of names, each made on tmpfs too: same answers.

What fsx is for the bytes of one file, this is for names, kinds, errors and
files that are open while they are moved and removed. POFS_SEED repeats a
failure, POFS_TWIN_OPS sets the length.
"""

import errno
import os
import random
import stat
import time

import pytest

import syscalls
from harness import run, tally, tool, unmount_lazily

OPERATIONS = int(os.environ.get("POFS_TWIN_OPS", "40000"))
ROUND = 40_000
"""Operations on one tree: directories get deeper with each rename."""

NAMES = ("a", "b", "c", "d")
FDS_MAX = 6


@pytest.fixture
def reference(tmp_path):
    """A tmpfs."""
    path = tmp_path / "reference"
    path.mkdir()
    run(tool("mount"), "-t", "tmpfs", "tmpfs", path)
    yield path
    unmount_lazily(path)


def describe(found):
    """What must be the same of a stat; links of directories need not be."""
    is_dir = stat.S_ISDIR(found.st_mode)
    return (stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode),
            None if is_dir else found.st_size,
            None if is_dir else found.st_nlink, found.st_uid, found.st_gid)


class Twin:
    """One of the two trees, and the files open in it."""

    def __init__(self, root):
        self._root = root
        self.fds = []

    def path(self, parts):
        """A path below the root; none is the root itself."""
        return os.path.join(self._root, *parts)

    def close(self):
        """Closes what is open."""
        while self.fds:
            os.close(self.fds.pop())

    # -- calls: each returns something comparable, or raises OSError

    def open(self, parts, flags):
        fd = os.open(self.path(parts), flags, 0o644)
        self.fds.append(fd)
        return describe(os.fstat(fd))

    def close_one(self, which):
        os.close(self.fds.pop(which % len(self.fds)))

    def fd_write(self, which, offset, data):
        return os.pwrite(self.fds[which % len(self.fds)], data, offset)

    def fd_read(self, which, offset, size):
        return os.pread(self.fds[which % len(self.fds)], size, offset)

    def fd_stat(self, which):
        return describe(os.fstat(self.fds[which % len(self.fds)]))

    def fd_truncate(self, which, size):
        os.ftruncate(self.fds[which % len(self.fds)], size)

    def fd_list(self, which):
        return sorted(os.listdir(self.fds[which % len(self.fds)]))

    def mkdir(self, parts, mode):
        os.mkdir(self.path(parts), mode)

    def rmdir(self, parts):
        os.rmdir(self.path(parts))

    def unlink(self, parts):
        os.unlink(self.path(parts))

    def rename(self, old, new, flags):
        syscalls.renameat2(self.path(old), self.path(new), flags)

    def stat(self, parts):
        return describe(os.stat(self.path(parts)))

    def list(self, parts):
        return sorted(os.listdir(self.path(parts)))

    def read(self, parts):
        fd = os.open(self.path(parts), os.O_RDONLY)
        try:
            return os.read(fd, 100_000)
        finally:
            os.close(fd)

    def append(self, parts, data):
        fd = os.open(self.path(parts), os.O_WRONLY | os.O_APPEND)
        try:
            return os.write(fd, data)
        finally:
            os.close(fd)

    def truncate(self, parts, size):
        os.truncate(self.path(parts), size)

    def chmod(self, parts, mode):
        os.chmod(self.path(parts), mode)

    def utime(self, parts, when):
        os.utime(self.path(parts), ns=(when, when + 1))
        found = os.stat(self.path(parts))
        return found.st_atime_ns, found.st_mtime_ns


class Calls:
    """Chooses calls: a method of Twin and its arguments."""

    def __init__(self, seed):
        self._random = random.Random(seed)

    def _parts(self):
        depth = self._random.choices((1, 2, 3), (5, 4, 2))[0]
        return tuple(self._random.choice(NAMES) for _ in range(depth))

    def _number(self):
        return self._random.choice((0, 1, 100, 1024, 4080, 5000, 20_000))

    def _data(self):
        return self._random.randbytes(self._random.choice(
            (1, 100, 1025, 5000)))

    def next(self, fds):
        """A call for twins that have so many files open."""
        rand = self._random
        calls = [
            (14, "open", lambda: (self._parts(), self._flags())),
            (10, "mkdir", lambda: (self._parts(), 0o755)),
            (5, "rmdir", lambda: (self._parts(),)),
            (8, "unlink", lambda: (self._parts(),)),
            (12, "rename", lambda: (self._parts(), self._parts(),
                                    rand.choice((0, 0, 0, 1, 2)))),
            (6, "stat", lambda: (self._parts(),)),
            (4, "list", lambda: (self._parts()[:rand.randrange(3)],)),
            (4, "read", lambda: (self._parts(),)),
            (4, "append", lambda: (self._parts(), self._data())),
            (3, "truncate", lambda: (self._parts(), self._number())),
            (2, "chmod", lambda: (self._parts(),
                                  rand.choice((0o700, 0o644, 0o755)))),
            (2, "utime", lambda: (self._parts(), rand.randrange(10**18)))]
        if fds:
            which = rand.randrange(fds)
            calls += [
                (6 if fds < FDS_MAX else 60, "close_one", lambda: (which,)),
                (6, "fd_write", lambda: (which, self._number(),
                                         self._data())),
                (4, "fd_read", lambda: (which, self._number(), 6000)),
                (4, "fd_stat", lambda: (which,)),
                (2, "fd_truncate", lambda: (which, self._number())),
                (1, "fd_list", lambda: (which,))]
        _, name, arguments = rand.choices(calls, [w for w, *_ in calls])[0]
        return name, arguments()

    def _flags(self):
        rand = self._random
        flags = rand.choice((os.O_RDONLY, os.O_WRONLY, os.O_RDWR))
        for flag, chance in ((os.O_CREAT, 0.6), (os.O_EXCL, 0.2),
                             (os.O_TRUNC, 0.2), (os.O_APPEND, 0.1),
                             (os.O_DIRECTORY, 0.05)):
            if rand.random() < chance:
                flags |= flag
        # Of these two together Linux itself makes no sense.
        if flags & os.O_DIRECTORY:
            flags &= ~os.O_CREAT
        return flags


def answer(twin, name, arguments):
    """What the call returns, or its errno's name."""
    try:
        return getattr(twin, name)(*arguments)
    except OSError as e:
        return errno.errorcode[e.errno]


def tree(root):
    """Everything below `root`, for the end."""
    found = {}
    for base, dirs, files in os.walk(root):
        for name in dirs + files:
            path = os.path.join(base, name)
            content = None
            if name in files:
                with open(path, "rb") as file:
                    content = file.read()
            found[os.path.relpath(path, root)] = (describe(os.stat(path)),
                                                  content)
    return found


def play(calls, number, ours, theirs):
    """A round from call `number` on; returns the kinds of answers."""
    log = []
    seen = set()
    for call in range(number, min(number + ROUND, OPERATIONS)):
        name, arguments = calls.next(len(theirs.fds))
        wanted = answer(theirs, name, arguments)
        found = answer(ours, name, arguments)
        log.append(f"{name} {str(arguments)[:90]} -> {str(wanted)[:60]}")
        del log[:-60]
        seen.add((name, wanted if isinstance(wanted, str) else "ok"))
        assert found == wanted, "\n  ".join(
            [f"call {call}; the last of:", *log])
    return seen


def test_random_calls_answer_as_on_tmpfs(shared_mount, place, reference):
    seed = int(os.environ.get("POFS_SEED", time.time_ns()))
    print("seed", seed)
    calls = Calls(seed)
    seen = set()
    for number in range(0, OPERATIONS, ROUND):
        roots = [top / str(number) for top in (place, reference)]
        for root in roots:
            root.mkdir()
            root.chmod(0o755)
        ours, theirs = map(Twin, roots)
        try:
            seen |= play(calls, number, ours, theirs)
            assert tree(roots[0]) == tree(roots[1])
        finally:
            ours.close()
            theirs.close()
    tally("operations", OPERATIONS)
    # Were nearly all of them the same error, little would be shown.
    assert len(seen) > 50 or OPERATIONS < 10_000
