# SPDX-License-Identifier: BSD-2-Clause
"""Some programs at once do whatever one may with two postoffices and with what
lies beside them, and now and then one dies of it. What they do makes no sense,
so what comes of it is not looked at, but that pofs answers, serves others on,
and leaves a sound store.

POFS_CALLS says how many calls, POFS_SEED which.
"""

import contextlib
import errno
import fcntl
import os
import random
import time

from actor import Actor
from harness import HarnessError, Store, tally
from postoffice import Office, deliver, is_delivered, mounted

CALLS = int(os.environ.get("POFS_CALLS", "6000"))

PROGRAMS = 3
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
        places = [office.path / "P1" for office in offices]
        self.directories = [office.path / name for office in offices
                            for name in DIRECTORIES]
        self.files = [place / name for place in (*places, top / "G")
                      for name in NAMES]
        for office in offices:
            self.files += [office.key("A"), office.mbg("A")]
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
        """Any call. Returns the errno, or 0."""
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
            return e.errno
        return 0


def run_medley(top, rand):
    """All of the calls."""
    names = Names(top, rand)
    with contextlib.ExitStack() as stack:
        programs = []

        def begin():
            programs.append(Program(rand, names))
            stack.callback(programs[-1].die)

        for _ in range(PROGRAMS):
            begin()
        for _ in range(CALLS):
            program = rand.choice(programs)
            try:
                is_over = rand.random() < 0.005
                answer = 0 if is_over else program.step()
            except HarnessError:
                is_over, answer = True, 0
            assert answer not in (errno.ENOTCONN, errno.ECONNABORTED)
            if is_over:
                program.die()
                programs.remove(program)
                begin()


def test_whatever_is_called_is_answered(tmp_path):
    seed = int(os.environ.get("POFS_SEED", time.time_ns() % 1_000_000))
    print(f"POFS_SEED={seed}")
    with Store(tmp_path / "store", "--postoffice", "PO") as store:
        with mounted(store) as (mount, office), Actor() as other:
            run_medley(mount.path, random.Random(seed))
            other.call("os.close", deliver(other, office))
            assert is_delivered(other, office)
            mount.unmount()
        store.check()
    tally("calls", CALLS)
