# SPDX-License-Identifier: BSD-2-Clause
"""Programs that do whatever one may, at random, with two postoffices and with
what lies beside them."""

import contextlib
import errno
import fcntl
import os

from actor import Actor
from harness import HarnessError
from postoffice import Office

OPEN_MAX = 6
EXCHANGE = 2
DIRECTORIES = ("P1", "P9", "KEY")
NAMES = ("A.0LK", "M.P1", "T")
FLAGS = (os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT,
         os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDWR | os.O_TRUNC,
         os.O_WRONLY | os.O_APPEND, os.O_PATH)

PATIENCE_S = 0.1
"""Who waits longer is killed: it may be for a lock of one who waits for us."""


class Names:
    """What a call may be about."""

    def __init__(self, top, rand):
        offices = [Office(top / f"PO{i}") for i in range(2)]
        places = [office.path / name for office in offices
                  for name in ("P1", "P1", "P9")]
        self.directories = [office.path / name for office in offices
                            for name in DIRECTORIES]
        self.files = [place / name for place in (*places, top / "G")
                      for name in NAMES]
        for office in offices:
            self.files += [office.key("A"), office.mbg("A"),
                           office.key("INQUEUE")]
        (top / "G").mkdir()
        self._random = rand

    def file(self):
        """Any that there may be; some are made directories."""
        return self._random.choice(self.files)

    def directory(self):
        """Any that there may be."""
        return self._random.choice(self.directories)


def by_name(rand, names):
    """A call, of those that say a name."""
    path = names.file()
    return rand.choice((
        *3 * [("os.open", path, rand.choice(FLAGS) | os.O_NONBLOCK)],
        *6 * [("os.rename", path, names.file())],
        ("os.rename", names.directory(), names.directory()),
        ("syscalls.renameat2", path, names.file(), EXCHANGE),
        ("os.unlink", path),
        ("os.mkdir", rand.choice((path, names.directory()))),
        ("os.rmdir", rand.choice((path, names.directory()))),
        ("os.setxattr", path, "user.DOSATTRIB", b"x" * rand.randrange(8)),
        ("os.utime", path),
        ("os.truncate", path, rand.choice((0, 5))),
        ("os.listdir", names.directory())))


def by_fd(rand, fd):
    """A call, of those that say an open file."""
    return rand.choice((
        ("os.close", fd),
        *3 * [("os.pwrite", fd, b"x" * rand.choice((0, 1, 100, 5000)),
               rand.choice((0, 10, 4000)))],
        ("os.pread", fd, 100, 0),
        ("os.open", f"/proc/self/fd/{fd}", rand.choice(FLAGS[:2])),
        ("os.fsync", fd),
        ("os.ftruncate", fd, rand.choice((0, 5))),
        ("fcntl.flock", fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
        ("fcntl.flock", fd, fcntl.LOCK_UN),
        ("syscalls.lock", fd, fcntl.F_WRLCK, rand.randrange(3), 1)))


class Program:
    """One of them."""

    def __init__(self, rand, names):
        self._random = rand
        self._names = names
        self._actor = Actor()
        self._fds = []

    def die(self):
        """As by a crash."""
        self._actor.kill()

    def _call(self, name, *arguments):
        if name == "os.close":
            self._fds.remove(arguments[0])
        self._actor.start(name, *arguments)
        found = self._actor.result(PATIENCE_S)
        if name == "os.open":
            self._fds.append(found)

    def step(self):
        """Any call."""
        is_by_fd = self._fds and self._random.random() < 0.35
        try:
            if len(self._fds) > OPEN_MAX:
                self._call("os.close", self._fds[0])
            elif is_by_fd:
                self._call(*by_fd(self._random,
                                  self._random.choice(self._fds)))
            else:
                self._call(*by_name(self._random, self._names))
        except OSError as e:
            assert e.errno not in (errno.ENOTCONN, errno.ECONNABORTED)


def run(rand, kinds, calls):
    """Lets one program of each of these kinds, functions that make one, do
    what it wants. Who waits too long dies, and another one comes; so it is,
    now and then, with any."""
    with contextlib.ExitStack() as stack:
        def begin(kind):
            program = kind()
            stack.callback(program.die)
            return program

        programs = [begin(kind) for kind in kinds]
        for _ in range(calls):
            i = rand.randrange(len(kinds))
            is_over = rand.random() < 0.005
            try:
                if not is_over:
                    programs[i].step()
            except HarnessError:
                is_over = True
            if is_over:
                programs[i].die()
                programs[i] = begin(kinds[i])
