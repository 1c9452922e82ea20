# SPDX-License-Identifier: BSD-2-Clause
"""What may be done while a commit is on its way to the disk, and who waits for
that."""

import errno
import os

import pytest

from gate import Gate
from harness import DEADLINE_S, Mount, fails_with, poctl, wait_until
from postoffice import KEY, MESSAGE, Office, session_of


@pytest.fixture(name="gate")
def fixture_gate(tmp_path):
    """One that is open."""
    return Gate(tmp_path / "gate")


@pytest.fixture(name="office")
def fixture_office(store, gate):
    """The postoffice PO of a mount behind it; no open mailbag is idle there."""
    with Mount(store, "-o", "idle-open-s=3600", env=gate.env()) as mount:
        yield Office(mount / "PO")
        gate.open()
        mount.unmount()


def begin_commit(gate, actor, office):
    """A change of A.KEY, closed by a thread: its batch is at the gate."""
    fd = actor.call("os.open", office.key("A"), os.O_RDWR)
    actor.call("os.pwrite", fd, b"\1", 0)
    gate.shut()
    actor.call("client.begin", "os.close", fd)
    gate.wait_used()


def test_a_close_does_not_wait_for_a_later_lock(gate, a, b, office):
    begin_commit(gate, a, office)
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.wait_blocked(a.call("client.begin", "os.close", fd))
    lock = office.lock_file("0000000E.0LK")
    a.call("os.open", lock, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    gate.open()
    for _ in range(2):
        a.call("client.finish")
    assert b.call("client.get", office.key("A"))[:1] == b"\1"
    a.kill()
    wait_until(lambda: not b.call("os.path.exists", lock), "its lock is gone")


def test_a_removal_does_not_wait_for_a_later_lock(gate, a, b, office):
    """It has the directory meanwhile, in which the other thread makes one."""
    made = office.mai.with_name("00000099.MAI")
    office.mai.write_bytes(MESSAGE)
    begin_commit(gate, a, office)
    a.wait_blocked(a.call("client.begin", "os.unlink", office.mai))
    queue = a.call("os.open", office.key("INQUEUE3"), os.O_RDWR)
    gate.open()
    a.call("client.put", made, MESSAGE)
    for _ in range(2):
        a.call("client.finish")
    # What it did before, and what it did since, are one transaction.
    assert b.call("client.get", office.mai) == MESSAGE
    a.call("os.close", queue)
    assert not b.call("os.path.exists", office.mai)
    assert b.call("client.get", made) == MESSAGE


def test_who_is_killed_does_not_wait(gate, a, b, office):
    begin_commit(gate, a, office)
    a.process.kill()
    a.process.wait(DEADLINE_S)
    gate.open()
    fd = b.call("os.open", office.key("A"), os.O_RDWR)
    assert b.call("os.pread", fd, 560, 0) == b"\1" + KEY[1:]


def test_who_is_interrupted_otherwise_is_told_what_became_of_it(
        gate, a, b, office):
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("os.pwrite", fd, b"\1", 0)
    gate.shut()
    a.start("os.close", fd)
    a.wait_blocked()
    a.interrupt()
    a.wait_blocked()
    gate.open()
    # Python hears of the signal when the call is over, and then only of that.
    with fails_with(errno.EINTR):
        a.result()
    assert b.call("client.get", office.key("A"))[:1] == b"\1"


def test_who_is_undone_waits_for_its_own_commit(gate, a, b, store, office):
    begin_commit(gate, a, office)
    b.start("os.open", office.key("A"), os.O_RDWR)
    b.wait_blocked()
    answer = poctl("break", store.path, session_of(store, a)).stdout
    assert "what it was committing is not undone" in answer
    assert "kept for the commit" in poctl("locks", store.path).stdout
    with fails_with(errno.EIO):
        a.call("os.open", office.key("A"), os.O_RDWR)
    a.start("os.open", office.key("A"), os.O_RDWR)
    a.wait_blocked()
    gate.open()
    theirs = b.result()
    assert b.call("os.pread", theirs, 560, 0) == b"\1" + KEY[1:]
    b.call("os.pwrite", theirs, b"\2", 0)
    a.wait_blocked()
    b.call("os.close", theirs)
    mine = a.result()
    assert a.call("os.pread", mine, 560, 0) == b"\2" + KEY[1:]
    a.call("client.finish")
