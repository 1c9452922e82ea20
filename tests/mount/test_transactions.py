# SPDX-License-Identifier: BSD-2-Clause
"""A lock is a transaction, as local programs see it.

What a program does while it holds a mailbag's lock is seen by others when it
has let go of it, all at once, or not at all.
"""

import contextlib
import errno
import fcntl
import os
import signal

import pytest

from actor import Actor
from harness import Mount, Store, wait_until
from harness import fails_with

KEY = bytes(560)
HEADER = b"h" * 116
MESSAGE = b"m" * 3000


@pytest.fixture
def a():
    with Actor() as actor:
        yield actor


@pytest.fixture
def b():
    with Actor() as actor:
        yield actor


class Box:
    """A postoffice with the mailbags A and INQUEUE3."""

    def __init__(self, path):
        self.path = path
        self.key, self.mbg = path / "KEY/A.KEY", path / "MBG/A.MBG"
        self.inqueue = path / "KEY/INQUEUE3.KEY"
        self.inqueue_mbg = path / "MBG/INQUEUE3.MBG"
        self.mai = path / "MAI/MA7/00000017.MAI"
        self.p1 = path / "P1/00000017.P1"
        for key in (self.key, self.inqueue):
            key.write_bytes(KEY)
        for mbg in (self.mbg, self.inqueue_mbg):
            mbg.write_bytes(b"")


@pytest.fixture
def box(post):
    path = post
    for digit in "0123456789ABCDEF":
        (path / f"MAI/MA{digit}").mkdir()
    return Box(path)


def deliver(actor, box, key, mbg):
    """Puts a message and its header; the KEY stays open."""
    fd = actor.call("os.open", key, os.O_RDWR)
    actor.call("client.put", box.mai, MESSAGE)
    actor.call("client.append", mbg, HEADER)
    actor.call("os.pwrite", fd, b"\1", 0)
    return fd


def test_nothing_is_seen_before_the_end(a, b, box):
    fd = deliver(a, box, box.key, box.mbg)
    assert a.call("client.get", box.mbg) == HEADER
    assert a.call("client.get", box.mai) == MESSAGE
    assert b.call("client.get", box.mbg) == b""
    assert b.call("client.get", box.key) == KEY
    assert b.call("os.listdir", box.mai.parent) == []
    a.call("os.close", fd)
    assert b.call("client.get", box.mbg) == HEADER
    assert b.call("client.get", box.key)[:1] == b"\1"
    assert b.call("client.get", box.mai) == MESSAGE


def test_what_is_acknowledged_survives_a_crash(store, a):
    with Mount(store) as mount:
        box = Box(mount / "PO")
        fd = deliver(a, box, box.key, box.mbg)
        a.call("os.close", fd)
        mount.kill()
    with Mount(store) as mount:
        box = mount / "PO"
        assert (box / "MBG/A.MBG").read_bytes() == HEADER
        assert (box / "KEY/A.KEY").read_bytes()[:1] == b"\1"
        assert (box / "MAI/MA7/00000017.MAI").read_bytes() == MESSAGE


def test_a_crash_in_the_middle_leaves_nothing_of_it(store, a):
    with Mount(store) as mount:
        box = Box(mount / "PO")
        os.sync()
        deliver(a, box, box.key, box.mbg)
        mount.kill()
    with Mount(store) as mount:
        box = mount / "PO"
        assert (box / "MBG/A.MBG").read_bytes() == b""
        assert (box / "KEY/A.KEY").read_bytes() == KEY
        assert not (box / "MAI/MA7/00000017.MAI").exists()


def test_a_killed_program_has_done_nothing(a, b, box):
    deliver(a, box, box.key, box.mbg)
    b.start("os.open", box.key, os.O_RDWR)
    b.wait_blocked()
    a.kill()
    fd = b.result()
    assert b.call("os.pread", fd, 560, 0) == KEY
    assert b.call("client.get", box.mbg) == b""
    assert b.call("os.listdir", box.mai.parent) == []


def test_a_program_that_exits_has_closed(b, box):
    with Actor() as a:
        deliver(a, box, box.key, box.mbg)
        a.start("os._exit", 0)
        a.process.wait()
    fd = b.call("os.open", box.key, os.O_RDWR)
    assert b.call("os.pread", fd, 1, 0) == b"\1"
    assert b.call("client.get", box.mbg) == HEADER


def test_a_key_closed_before_its_message_publishes_nothing(a, b, box):
    mai = a.call("os.open", box.mai, os.O_RDWR | os.O_CREAT)
    a.call("os.write", mai, MESSAGE[:1000])
    fd = a.call("os.open", box.key, os.O_RDWR)
    a.call("client.append", box.mbg, HEADER)
    a.call("os.pwrite", fd, b"\1", 0)
    a.call("os.close", fd)
    assert b.call("client.get", box.mbg) == b""
    a.call("os.write", mai, MESSAGE[1000:])
    assert b.call("client.get", box.mbg) == b""
    assert b.call("os.listdir", box.mai.parent) == []
    a.call("os.close", mai)
    assert b.call("client.get", box.mbg) == HEADER
    assert b.call("client.get", box.mai) == MESSAGE


def test_a_message_without_a_lock_is_seen_when_it_is_closed(a, b, box):
    fd = a.call("os.open", box.mai, os.O_RDWR | os.O_CREAT)
    a.call("os.write", fd, MESSAGE)
    assert b.call("os.listdir", box.mai.parent) == []
    with fails_with(errno.ETXTBSY):
        b.call("os.open", box.mai, os.O_RDWR | os.O_CREAT)
    a.call("os.close", fd)
    assert b.call("client.get", box.mai) == MESSAGE


def test_a_message_with_a_gap_is_undone(a, b, box):
    fd = a.call("os.open", box.key, os.O_RDWR)
    mai = a.call("os.open", box.mai, os.O_RDWR | os.O_CREAT)
    a.call("os.pwrite", mai, b"tail", 1000)
    a.call("os.close", mai)
    a.call("os.pwrite", fd, b"\1", 0)
    with fails_with(errno.EIO):
        a.call("os.close", fd)
    assert b.call("client.get", box.key) == KEY
    assert b.call("os.listdir", box.mai.parent) == []
    # And the session begins anew.
    fd = deliver(a, box, box.key, box.mbg)
    a.call("os.close", fd)
    assert b.call("client.get", box.mbg) == HEADER


def test_who_waits_does_not_make_half_a_mailbag_seen(a, b, box):
    """Not even of one whose KEY is open and yet to be written."""
    fd = a.call("os.open", box.key, os.O_RDWR)
    a.call("client.append", box.mbg, HEADER)
    b.start("os.open", box.key, os.O_RDWR)
    b.wait_blocked()
    assert box.mbg.read_bytes() == b""
    a.call("os.pwrite", fd, b"\1", 0)
    a.call("os.close", fd)
    b.result()
    assert box.mbg.read_bytes() == HEADER
