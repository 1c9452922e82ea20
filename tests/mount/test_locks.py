# SPDX-License-Identifier: BSD-2-Clause
"""fcntl, OFD and flock locks between processes."""

import errno
import fcntl
import os

import pytest

import syscalls
from actor import Actor
from harness import fails_with, wait_until

READ, WRITE, NONE = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK


@pytest.fixture
def target(place):
    """A plain file; what a range of a mailbag locks is in test_mailbags.py."""
    path = place / "FILE"
    path.write_bytes(bytes(560))
    return path


@pytest.fixture
def other(target):
    """Another process that has the file open as .fd."""
    with Actor() as actor:
        actor.fd = actor.call("os.open", target, os.O_RDWR)
        yield actor


@pytest.fixture
def fd(target):
    """The file, open here."""
    number = os.open(target, os.O_RDWR)
    yield number
    os.close(number)


both_kinds = pytest.mark.parametrize("ofd", [False, True],
                                     ids=["posix", "ofd"])


@both_kinds
def test_a_write_lock_keeps_the_other_out(fd, other, ofd):
    syscalls.lock(fd, WRITE, 10, 10, ofd=ofd)
    for first, size in ((10, 10), (0, 11), (19, 1), (0, 0)):
        for kind in (READ, WRITE):
            with fails_with(errno.EAGAIN):
                other.call("syscalls.lock", other.fd, kind, first, size,
                           ofd=ofd)
    other.call("syscalls.lock", other.fd, WRITE, 0, 10, ofd=ofd)
    other.call("syscalls.lock", other.fd, WRITE, 20, 0, ofd=ofd)
    with fails_with(errno.EAGAIN):
        syscalls.lock(fd, READ, 5, 1, ofd=ofd)
    syscalls.lock(fd, NONE, 10, 10, ofd=ofd)
    other.call("syscalls.lock", other.fd, WRITE, 0, 0, ofd=ofd)


@both_kinds
def test_readers_share(fd, other, ofd):
    syscalls.lock(fd, READ, ofd=ofd)
    other.call("syscalls.lock", other.fd, READ, ofd=ofd)
    with fails_with(errno.EAGAIN):
        syscalls.lock(fd, WRITE, 3, 1, ofd=ofd)
    other.call("syscalls.lock", other.fd, NONE, ofd=ofd)
    syscalls.lock(fd, WRITE, 3, 1, ofd=ofd)


def test_posix_and_ofd_locks_meet(fd, other):
    syscalls.lock(fd, WRITE, 0, 10, ofd=True)
    with fails_with(errno.EAGAIN):
        other.call("syscalls.lock", other.fd, WRITE, 9, 1)
    other.call("syscalls.lock", other.fd, WRITE, 10, 1)
    with fails_with(errno.EAGAIN):
        syscalls.lock(fd, READ, 10, 1, ofd=True)


def test_getlk_names_the_holder(fd, other):
    assert syscalls.get_lock(fd, WRITE) is None
    other.call("syscalls.lock", other.fd, WRITE, 100, 50)
    assert syscalls.get_lock(fd, WRITE) == (WRITE, 100, 50, other.pid)
    assert syscalls.get_lock(fd, READ, 120, 1) == (WRITE, 100, 50, other.pid)
    assert syscalls.get_lock(fd, READ, 0, 100) is None
    assert other.call("syscalls.get_lock", other.fd, WRITE) is None
    other.call("syscalls.lock", other.fd, READ, 120, 0)
    kind, first, size, pid = syscalls.get_lock(fd, WRITE, 130, 1)
    assert (kind, first, size, pid) == (READ, 120, 0, other.pid)
    assert syscalls.get_lock(fd, READ, 130, 1) is None


def test_locks_split(fd, other):
    syscalls.lock(fd, WRITE, 0, 100)
    syscalls.lock(fd, NONE, 40, 20)
    other.call("syscalls.lock", other.fd, WRITE, 40, 20)
    for first in (39, 60):
        with fails_with(errno.EAGAIN):
            other.call("syscalls.lock", other.fd, READ, first, 1)


def test_locks_far_beyond_the_end(fd, other):
    """dosemu2 keeps its share modes there."""
    far = (1 << 63) - 100
    syscalls.lock(fd, WRITE, far, 10)
    with fails_with(errno.EAGAIN):
        other.call("syscalls.lock", other.fd, WRITE, far + 9, 1)
    other.call("syscalls.lock", other.fd, WRITE, far + 10, 0)


# ---- ends -------------------------------------------------------------------


def test_any_close_ends_posix_locks(target, fd, other):
    syscalls.lock(fd, WRITE)
    os.close(os.open(target, os.O_RDONLY))
    other.call("syscalls.lock", other.fd, WRITE)


def test_only_the_last_close_ends_ofd_locks(target, other):
    mine = os.open(target, os.O_RDWR)
    copy = os.dup(mine)
    syscalls.lock(mine, WRITE, ofd=True)
    os.close(os.open(target, os.O_RDONLY))
    os.close(mine)
    with fails_with(errno.EAGAIN):
        other.call("syscalls.lock", other.fd, WRITE)
    os.close(copy)
    # RELEASE follows the close; nobody waits for it.
    def is_free():
        try:
            other.call("syscalls.lock", other.fd, WRITE)
        except BlockingIOError:
            return False
        return True
    wait_until(is_free, "the last close drops the lock")


@both_kinds
def test_locks_vanish_with_their_process(fd, other, ofd):
    other.call("syscalls.lock", other.fd, WRITE, 0, 10, ofd=ofd)
    other.call("fcntl.flock", other.fd, fcntl.LOCK_EX)
    with fails_with(errno.EAGAIN):
        syscalls.lock(fd, WRITE, ofd=ofd)
    other.kill()
    syscalls.lock(fd, WRITE, wait=True, ofd=ofd)
    fcntl.flock(fd, fcntl.LOCK_EX)


def test_a_dead_process_wakes_those_who_wait(target, fd, other):
    with Actor() as waiter:
        waiter.fd = waiter.call("os.open", target, os.O_RDWR)
        other.call("syscalls.lock", other.fd, WRITE)
        waiter.start("syscalls.lock", waiter.fd, WRITE, wait=True)
        waiter.wait_blocked()
        assert not waiter.is_done()
        other.kill()
        waiter.result()
        with fails_with(errno.EAGAIN):
            syscalls.lock(fd, READ)


# ---- waiting ----------------------------------------------------------------


@both_kinds
def test_a_wait_ends_with_the_unlock(fd, other, ofd):
    syscalls.lock(fd, WRITE, 0, 10, ofd=ofd)
    other.start("syscalls.lock", other.fd, WRITE, 5, 10, wait=True, ofd=ofd)
    other.wait_blocked()
    assert not other.is_done()
    syscalls.lock(fd, NONE, 0, 5, ofd=ofd)
    assert not other.is_done()
    syscalls.lock(fd, NONE, 0, 10, ofd=ofd)
    other.result()
    with fails_with(errno.EAGAIN):
        syscalls.lock(fd, READ, 14, 1, ofd=ofd)


def test_others_are_served_while_one_waits(target, fd, other):
    """A wait is a parked request, not a blocked daemon."""
    syscalls.lock(fd, WRITE)
    other.start("syscalls.lock", other.fd, WRITE, wait=True)
    other.wait_blocked()
    for number in range(50):
        path = target.parent / f"N{number}"
        path.write_bytes(b"x")
        assert path.read_bytes() == b"x"
        os.unlink(path)
    assert not other.is_done()
    syscalls.lock(fd, NONE)
    other.result()


def test_waiters_are_served_in_order(target, fd):
    waiters = [Actor() for _ in range(4)]
    try:
        syscalls.lock(fd, WRITE)
        for waiter in waiters:
            waiter.fd = waiter.call("os.open", target, os.O_RDWR)
            waiter.start("syscalls.lock", waiter.fd, WRITE, wait=True)
            waiter.wait_blocked()
        syscalls.lock(fd, NONE)
        for number, waiter in enumerate(waiters):
            waiter.result()
            assert not any(w.is_done() for w in waiters[number + 1:])
            waiter.call("syscalls.lock", waiter.fd, NONE)
    finally:
        for waiter in waiters:
            waiter.kill()


@both_kinds
def test_a_signal_ends_a_wait(fd, other, ofd):
    syscalls.lock(fd, WRITE, ofd=ofd)
    other.start("syscalls.lock", other.fd, WRITE, wait=True, ofd=ofd)
    other.wait_blocked()
    other.interrupt()
    with pytest.raises(InterruptedError):
        other.result()
    syscalls.lock(fd, NONE, ofd=ofd)
    assert syscalls.get_lock(fd, WRITE, ofd=ofd) is None
    other.call("syscalls.lock", other.fd, WRITE, ofd=ofd)


def test_a_killed_waiter_leaves_no_lock(target, fd):
    with Actor() as other:
        number = other.call("os.open", target, os.O_RDWR)
        syscalls.lock(fd, WRITE)
        other.start("syscalls.lock", number, WRITE, wait=True)
        other.wait_blocked()
    syscalls.lock(fd, NONE)
    with Actor() as third:
        number = third.call("os.open", target, os.O_RDWR)
        third.start("syscalls.lock", number, WRITE, wait=True)
        third.result()


def test_a_deadlock_is_refused(fd, other):
    syscalls.lock(fd, WRITE, 0, 1)
    other.call("syscalls.lock", other.fd, WRITE, 1, 1)
    other.start("syscalls.lock", other.fd, WRITE, 0, 1, wait=True)
    other.wait_blocked()
    with fails_with(errno.EDEADLK):
        syscalls.lock(fd, WRITE, 1, 1, wait=True)
    syscalls.lock(fd, NONE, 0, 1)
    other.result()


def test_a_deadlock_over_two_files_is_refused(place):
    (place / "A").write_text("a")
    (place / "B").write_text("b")
    mine = [os.open(place / name, os.O_RDWR) for name in "AB"]
    with Actor() as other:
        theirs = [other.call("os.open", place / name, os.O_RDWR)
                  for name in "AB"]
        syscalls.lock(mine[0], WRITE)
        other.call("syscalls.lock", theirs[1], WRITE)
        other.start("syscalls.lock", theirs[0], WRITE, wait=True)
        other.wait_blocked()
        with fails_with(errno.EDEADLK):
            syscalls.lock(mine[1], WRITE, wait=True)
        os.close(mine[0])
        other.result()
    os.close(mine[1])


# ---- flock ------------------------------------------------------------------


def test_flock_excludes_and_shares(fd, other):
    fcntl.flock(fd, fcntl.LOCK_EX)
    for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
        with fails_with(errno.EAGAIN):
            other.call("fcntl.flock", other.fd, kind | fcntl.LOCK_NB)
    fcntl.flock(fd, fcntl.LOCK_SH)
    other.call("fcntl.flock", other.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    fcntl.flock(fd, fcntl.LOCK_UN)
    other.call("fcntl.flock", other.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_flock_belongs_to_the_open_file(target, fd):
    second = os.open(target, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with fails_with(errno.EAGAIN):
        fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(second)
    third = os.open(target, os.O_RDWR)
    with fails_with(errno.EAGAIN):
        fcntl.flock(third, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(third)


def test_flock_waits(fd, other):
    fcntl.flock(fd, fcntl.LOCK_EX)
    other.start("fcntl.flock", other.fd, fcntl.LOCK_EX)
    other.wait_blocked()
    assert not other.is_done()
    fcntl.flock(fd, fcntl.LOCK_UN)
    other.result()
    with fails_with(errno.EAGAIN):
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_flock_and_fcntl_ignore_each_other(fd, other):
    fcntl.flock(fd, fcntl.LOCK_EX)
    other.call("syscalls.lock", other.fd, WRITE)
    other.call("syscalls.lock", other.fd, NONE)


def test_a_counter_under_a_lock_is_right(target):
    """The lock protects the bytes too, not only itself."""
    os.truncate(target, 0)
    target.write_bytes(b"%08d" % 0)
    workers = [Actor() for _ in range(4)]
    try:
        for worker in workers:
            worker.start("counting.add", target, 100)
        for worker in workers:
            worker.result()
    finally:
        for worker in workers:
            worker.kill()
    assert int(target.read_bytes()) == 400
