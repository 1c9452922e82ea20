# SPDX-License-Identifier: BSD-2-Clause
"""The forms of a mailbag's lock, as local programs use them.

Whatever a program does to lock a mailbag, it has the same lock; who is kept out
is told what its own form expects. Nobody waits here: test_waiting.py does.
"""

import dataclasses
import errno
import fcntl
import itertools
import os
import pathlib

import pytest

from harness import Mount, Store, fails_with, wait_until
from postoffice import HEADER, KEY, Office, deliver, is_delivered

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def quick_mount(tmp_path_factory):
    """A mount where who is kept out is told so at once."""
    directory = tmp_path_factory.mktemp("quick")
    with Store(directory / "store", "--postoffice", "PO") as store:
        with Mount(store, "-o", "lock-wait-s=0") as mount:
            yield mount
            mount.unmount()
        store.check()


@pytest.fixture
def office(quick_mount):
    return Office(quick_mount.path / f"PO{next(_numbers)}")


# ---- forms ------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Open:
    """Opening a file of the mailbag."""

    path: str
    flags: int
    refusal = errno.ETXTBSY

    def hold(self, actor, office):
        return actor.call("os.open", office.path / self.path, self.flags)

    def let_go(self, actor, office, fd):
        actor.call("os.close", fd)


@dataclasses.dataclass(frozen=True)
class LockFile:
    """Creating a lock file."""

    path: str
    flags: int = os.O_EXCL
    refusal = errno.EEXIST

    def hold(self, actor, office):
        fd = actor.call("os.open", office.path / self.path,
                        os.O_RDWR | os.O_CREAT | self.flags)
        actor.call("os.close", fd)

    def let_go(self, actor, office, _):
        actor.call("os.unlink", office.path / self.path)


@dataclasses.dataclass(frozen=True)
class Range:
    """Locking bytes of a file that is open for reading."""

    path: str
    first: int
    size: int
    kind: int = fcntl.F_RDLCK
    ofd: bool = False
    refusal = errno.EAGAIN

    def hold(self, actor, office):
        fd = actor.call("os.open", office.path / self.path, os.O_RDONLY
                        if self.kind == fcntl.F_RDLCK else os.O_RDWR)
        try:
            actor.call("syscalls.lock", fd, self.kind, self.first, self.size,
                       ofd=self.ofd)
        except OSError:
            actor.call("os.close", fd)
            raise
        return fd

    def let_go(self, actor, office, fd):
        actor.call("syscalls.lock", fd, fcntl.F_UNLCK, self.first, self.size,
                   ofd=self.ofd)
        actor.call("os.close", fd)


@dataclasses.dataclass(frozen=True)
class Flock:
    """Locking a whole file."""

    path: str
    how: int
    refusal = errno.EAGAIN

    def hold(self, actor, office):
        fd = actor.call("os.open", office.path / self.path, os.O_RDONLY)
        try:
            actor.call("fcntl.flock", fd, self.how | fcntl.LOCK_NB)
        except OSError:
            actor.call("os.close", fd)
            raise
        return fd

    def let_go(self, actor, office, fd):
        actor.call("fcntl.flock", fd, fcntl.LOCK_UN)
        actor.call("os.close", fd)


UPDATE = [
    Open("KEY/A.KEY", os.O_RDWR), Open("MBG/A.MBG", os.O_WRONLY),
    Open("key/a.key", os.O_WRONLY),
    Range("KEY/A.KEY", 0, 1), Range("MBG/A.MBG", 1 << 30, 10),
    Range("KEY/A.KEY", (1 << 31) - 1, 0), Range("KEY/A.KEY", 5, 1, ofd=True),
    Flock("KEY/A.KEY", fcntl.LOCK_SH), Flock("MBG/A.MBG", fcntl.LOCK_EX),
]

PROCESSING = [
    LockFile("P1/A.0LK"), LockFile("P1/A.OLK"), LockFile("P1/A.005"),
    LockFile("P1/A.099"), LockFile("P1/a.0lk"), LockFile("p1/A.olk"),
]

INQUEUE = [
    Open("KEY/INQUEUE.KEY", os.O_RDONLY), Open("KEY/INQUEUE3.KEY", os.O_RDWR),
    Open("MBG/INQUEUE.MBG", os.O_WRONLY), Open("MBG/INQUEUE3.MBG", os.O_RDONLY),
    LockFile("P1/INQUEUE.0LK"), LockFile("P1/INQUEUE3.OLK"),
    LockFile("P1/inqueue3.0lk"), LockFile("P1/INQUEUE.005"),
    LockFile("INQUEUE.0LK"), LockFile("KEY/INQUEUE3.0LK"),
    LockFile("GLB/Inqueue.Olk"), LockFile("MAI/MA7/INQUEUE3.OLK"),
]

LOCKS = {"update": UPDATE, "processing": PROCESSING, "inqueue": INQUEUE}

# What looks like a form of a lock, and is none.
OTHERS = [
    Open("KEY/A.KEY", os.O_RDONLY), Open("MBG/A.MBG", os.O_RDONLY),
    LockFile("P1/LOCKP1ID.P01"), LockFile("KEY/A.0LK"), LockFile("A.0LK"),
    LockFile("P1/A.0L"), LockFile("P1/A.00A"), LockFile("P1/AA.0LK"),
    Open("KEY/B.KEY", os.O_RDWR), LockFile("P1/B.0LK"),
    Range("KEY/A.KEY", 1 << 31, 0), Range("MBG/A.MBG", 1 << 40, 1),
]


def forms_of(*names):
    """(name, form) of each form of these locks, for parametrize."""
    return [pytest.param(name, form, id=f"{name}-{form.path}-{number}")
            for name in names for number, form in enumerate(LOCKS[name])]


def is_free(actor, office, form):
    """Whether the form can be had; it is let go of again."""
    try:
        held = form.hold(actor, office)
    except OSError as error:
        assert error.errno == form.refusal, (form, error)
        return False
    form.let_go(actor, office, held)
    return True


@pytest.mark.parametrize("lock, form", forms_of(*LOCKS))
def test_a_form_keeps_out_its_lock_and_no_other(a, b, office, lock, form):
    held = form.hold(a, office)
    for name, rivals in LOCKS.items():
        for rival in rivals:
            assert is_free(b, office, rival) == (name != lock), rival
    for rival in OTHERS:
        assert is_free(b, office, rival), rival
    form.let_go(a, office, held)
    assert all(is_free(b, office, rival) for rival in LOCKS[lock])


@pytest.mark.parametrize("form", OTHERS)
def test_what_is_no_form_keeps_nobody_out(a, b, office, form):
    form.hold(a, office)
    for rivals in (PROCESSING, INQUEUE):
        assert all(is_free(b, office, rival) for rival in rivals)
    assert is_free(b, office, UPDATE[0])


@pytest.mark.parametrize("lock, form", forms_of(*LOCKS))
def test_a_program_has_its_lock_in_every_form(a, b, office, lock, form):
    held = form.hold(a, office)
    fd = None
    for own in LOCKS[lock]:
        if own != form and not isinstance(own, LockFile):
            fd = own.hold(a, office)
    form.let_go(a, office, held)
    assert is_free(b, office, form) == (fd is None)


@pytest.mark.parametrize("lock, form", forms_of(*LOCKS))
def test_another_postoffice_has_locks_of_its_own(a, b, office, quick_mount,
                                                 lock, form):
    other = Office(quick_mount.path / f"PO{next(_numbers)}")
    form.hold(a, office)
    assert is_free(b, other, form)
    assert not is_free(b, office, form)


@pytest.mark.parametrize("lock, form", forms_of(*LOCKS))
def test_a_form_ends_with_its_program(a, b, office, lock, form):
    form.hold(a, office)
    assert not is_free(b, office, form)
    a.kill()
    wait_until(lambda: is_free(b, office, form), "it is gone")
    assert os.listdir(office.path / "P1") == []


# ---- what is not kept out ---------------------------------------------------


def test_appending_goes_on_while_a_queue_is_worked_off(a, b, c, office):
    """An External holds the 0LK of an outgoing queue while it is on the
    phone; clients append to the queue."""
    LockFile("P1/A.0LK").hold(a, office)
    b.call("os.close", deliver(b, office))
    assert is_delivered(a, office) and is_delivered(c, office)
    assert not is_free(c, office, LockFile("P1/A.0LK"))


@pytest.mark.parametrize("path", ["KEY/A.KEY", "MBG/A.MBG"])
def test_readers_see_the_last_committed_state(a, b, office, path):
    before = b.call("os.open", office.path / path, os.O_RDONLY)
    fd = deliver(a, office)
    during = b.call("os.open", office.path / path, os.O_RDONLY)
    old = b.call("os.pread", before, 1000, 0)
    assert old == (KEY if path.startswith("KEY") else b"")
    assert b.call("os.pread", during, 1000, 0) == old
    assert b.call("os.fstat", during).st_size == len(old)
    assert b.call("os.lseek", during, 0, os.SEEK_END) == len(old)
    a.call("os.close", fd)
    new = (b"\1" + KEY[1:]) if path.startswith("KEY") else HEADER
    for reader in (before, during):
        assert b.call("os.pread", reader, 1000, 0) == new
        assert b.call("os.lseek", reader, 0, os.SEEK_END) == len(new)


def test_both_see_one_file(a, b, office):
    """smbd knows a file by its number; its content differs."""
    fd = deliver(a, office)
    mine = a.call("os.stat", office.mbg("A"))
    theirs = b.call("os.stat", office.mbg("A"))
    assert mine.st_ino == theirs.st_ino
    assert (mine.st_size, theirs.st_size) == (len(HEADER), 0)
    a.call("os.close", fd)


# ---- byte ranges ------------------------------------------------------------


def test_other_bytes_of_one_key_are_the_same_lock(a, b, office):
    Range("KEY/A.KEY", 0, 10).hold(a, office)
    assert not is_free(b, office, Range("KEY/A.KEY", 100, 10))
    assert not is_free(b, office, Range("MBG/A.MBG", 100, 10))


def test_bytes_far_above_are_only_bytes(a, b, office):
    far = 1 << 31
    Range("KEY/A.KEY", far, 10, fcntl.F_WRLCK).hold(a, office)
    fd = b.call("os.open", office.key("A"), os.O_RDONLY)
    with fails_with(errno.EAGAIN):
        b.call("syscalls.lock", fd, fcntl.F_RDLCK, far + 9, 1)
    b.call("syscalls.lock", fd, fcntl.F_RDLCK, far + 10, 1)


def test_the_last_unlock_lets_go(a, b, office):
    fd = a.call("os.open", office.key("A"), os.O_RDONLY)
    for first in (0, 100):
        a.call("syscalls.lock", fd, fcntl.F_RDLCK, first, 10)
    a.call("syscalls.lock", fd, fcntl.F_UNLCK, 0, 10)
    assert not is_free(b, office, UPDATE[0])
    a.call("syscalls.lock", fd, fcntl.F_UNLCK, 105, 5)
    assert not is_free(b, office, UPDATE[0])
    a.call("syscalls.lock", fd, fcntl.F_UNLCK, 100, 5)
    assert is_free(b, office, UPDATE[0])


@pytest.mark.parametrize("form", [form for form in UPDATE
                                  if not isinstance(form, Open)])
def test_a_close_unlocks(a, b, office, form):
    fd = form.hold(a, office)
    assert not is_free(b, office, UPDATE[0])
    a.call("os.close", fd)
    assert is_free(b, office, UPDATE[0])


def test_a_program_of_roots_unlocks_what_it_has_just_written(a, b, office):
    """It is taken for nobody else, though nobody knows it yet."""
    for number in range(20):
        content = bytes([number + 1])
        assert a.call("client.overwrite_locked", office.key("A"), content) == 0
        assert b.call("client.get", office.key("A"))[:1] == content


def test_an_unlock_publishes_what_was_written_under_it(a, b, office):
    """The KEY stays open for reading, so it is the range that is let go."""
    form = Range("KEY/A.KEY", 0, 1)
    reading = form.hold(a, office)
    a.call("client.append", office.mbg("A"), HEADER)
    assert b.call("client.get", office.mbg("A")) == b""
    form.let_go(a, office, reading)
    assert b.call("client.get", office.mbg("A")) == HEADER


def test_who_may_not_wait_cannot_wait_for_a_range(a, b, office):
    """lock-wait-s=0, and F_SETLKW: the only error there is for that."""
    Range("KEY/A.KEY", 0, 1).hold(a, office)
    fd = b.call("os.open", office.key("A"), os.O_RDONLY)
    with fails_with(errno.EDEADLK):
        b.call("syscalls.lock", fd, fcntl.F_RDLCK, 0, 1, wait=True)


# ---- one program, many threads and descriptors ------------------------------


def test_the_threads_of_a_program_have_one_lock(a, b, office):
    files = [office.key("A"), office.mbg("A"), office.key("A"),
             office.key("INQUEUE"), office.mbg("INQUEUE3")]
    assert a.call("client.open_in_threads", files) == [0] * len(files)
    assert is_free(b, office, UPDATE[0]) and is_free(b, office, INQUEUE[0])


def test_a_lock_file_is_removed_by_any_thread(a, b, office):
    LockFile("P1/A.0LK").hold(a, office)
    path = office.lock_file("A.0LK")
    assert b.call("client.in_thread", os.unlink, path) == errno.ETXTBSY
    assert a.call("client.in_thread", os.unlink, path) == 0
    assert is_free(b, office, PROCESSING[0])


def test_a_close_lets_go_though_a_copy_lives_on(a, b, office):
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    copy = a.call("os.dup", fd)
    a.call("os.close", fd)
    assert is_free(b, office, UPDATE[0])
    # Its next use takes the lock again ...
    a.call("os.pwrite", copy, b"\1", 0)
    assert not is_free(b, office, UPDATE[0])
    a.call("os.close", copy)
    assert b.call("client.get", office.key("A"))[:1] == b"\1"


def test_a_copy_cannot_write_what_others_have_changed(a, b, office):
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    copy = a.call("os.dup", fd)
    a.call("os.close", fd)
    theirs = b.call("os.open", office.key("A"), os.O_RDWR)
    with fails_with(errno.ETXTBSY):
        a.call("os.pwrite", copy, b"\1", 0)
    b.call("os.pwrite", theirs, b"\2", 0)
    b.call("os.close", theirs)
    with fails_with(errno.ETXTBSY):
        a.call("os.pwrite", copy, b"\1", 0)
    assert b.call("client.get", office.key("A"))[:1] == b"\2"


def test_a_child_that_closes_lets_go_of_nothing(a, b, office):
    fd = deliver(a, office)
    a.call("client.close_in_child", fd)
    assert not is_free(b, office, UPDATE[0])
    assert not is_delivered(b, office)
    a.call("os.close", fd)
    assert is_delivered(b, office)


@pytest.mark.parametrize("stay", ["fork_and_stay", "share_and_stay"])
def test_a_child_that_stays_keeps_no_lock(a, b, office, stay):
    fd = deliver(a, office)
    child = a.call("client." + stay)
    try:
        a.call("os.close", fd)
        assert is_delivered(b, office)
        assert is_free(b, office, UPDATE[0])
    finally:
        os.kill(child, 9)


@pytest.mark.parametrize("become", ["become_sleeper",
                                    "become_sleeper_in_thread"])
def test_executing_a_program_closes(a, b, office, become):
    """In the middle of execve, when much of that process cannot be seen."""
    deliver(a, office)
    a.start("client." + become)
    wait_until(lambda: is_free(b, office, UPDATE[0]), "the lock is free")
    assert is_delivered(b, office)
    assert a.process.poll() is None


def test_a_program_that_is_executed_keeps_what_it_inherits(a, b, office):
    fd = deliver(a, office)
    a.call("os.set_inheritable", fd, True)
    a.start("client.become_sleeper")
    comm = pathlib.Path(f"/proc/{a.pid}/comm")
    wait_until(lambda: comm.read_text() == "sleep\n", "it is executed")
    assert not is_free(b, office, UPDATE[0])
    assert not is_delivered(b, office)
    a.kill()
    assert is_free(b, office, UPDATE[0])
    assert not is_delivered(b, office)
