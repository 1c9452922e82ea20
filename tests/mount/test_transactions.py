# SPDX-License-Identifier: BSD-2-Clause
"""A lock is a transaction, as local programs see it.

What a program does while it holds a mailbag's lock is seen by others when it
has let go of it, all at once, or not at all.
"""

import errno
import os

from actor import Actor
from harness import Mount, fails_with
from postoffice import HEADER, KEY, MESSAGE, Office, deliver


def test_nothing_is_seen_before_the_end(a, b, office):
    fd = deliver(a, office)
    assert a.call("client.get", office.mbg("A")) == HEADER
    assert a.call("client.get", office.mai) == MESSAGE
    assert b.call("client.get", office.mbg("A")) == b""
    assert b.call("client.get", office.key("A")) == KEY
    assert b.call("os.listdir", office.mai.parent) == []
    a.call("os.close", fd)
    assert b.call("client.get", office.mbg("A")) == HEADER
    assert b.call("client.get", office.key("A"))[:1] == b"\1"
    assert b.call("client.get", office.mai) == MESSAGE


def test_what_is_acknowledged_survives_a_crash(store, a):
    with Mount(store) as mount:
        office = Office(mount / "PO")
        fd = deliver(a, office)
        a.call("os.close", fd)
        mount.kill()
    with Mount(store) as mount:
        office = mount / "PO"
        assert (office / "MBG/A.MBG").read_bytes() == HEADER
        assert (office / "KEY/A.KEY").read_bytes()[:1] == b"\1"
        assert (office / "MAI/MA7/00000017.MAI").read_bytes() == MESSAGE


def test_a_crash_in_the_middle_leaves_nothing_of_it(store, a):
    with Mount(store) as mount:
        office = Office(mount / "PO")
        os.sync()
        deliver(a, office)
        mount.kill()
    with Mount(store) as mount:
        office = mount / "PO"
        assert (office / "MBG/A.MBG").read_bytes() == b""
        assert (office / "KEY/A.KEY").read_bytes() == KEY
        assert not (office / "MAI/MA7/00000017.MAI").exists()


def test_a_killed_program_has_done_nothing(a, b, office):
    deliver(a, office)
    b.start("os.open", office.key("A"), os.O_RDWR)
    b.wait_blocked()
    a.kill()
    fd = b.result()
    assert b.call("os.pread", fd, 560, 0) == KEY
    assert b.call("client.get", office.mbg("A")) == b""
    assert b.call("os.listdir", office.mai.parent) == []


def test_a_program_that_exits_has_closed(b, office):
    with Actor() as a:
        deliver(a, office)
        a.start("os._exit", 0)
        a.process.wait()
    fd = b.call("os.open", office.key("A"), os.O_RDWR)
    assert b.call("os.pread", fd, 1, 0) == b"\1"
    assert b.call("client.get", office.mbg("A")) == HEADER


def test_a_key_closed_before_its_message_publishes_nothing(a, b, office):
    mai = a.call("os.open", office.mai, os.O_RDWR | os.O_CREAT)
    a.call("os.write", mai, MESSAGE[:1000])
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("client.append", office.mbg("A"), HEADER)
    a.call("os.pwrite", fd, b"\1", 0)
    a.call("os.close", fd)
    assert b.call("client.get", office.mbg("A")) == b""
    a.call("os.write", mai, MESSAGE[1000:])
    assert b.call("client.get", office.mbg("A")) == b""
    assert b.call("os.listdir", office.mai.parent) == []
    a.call("os.close", mai)
    assert b.call("client.get", office.mbg("A")) == HEADER
    assert b.call("client.get", office.mai) == MESSAGE


def test_a_message_without_a_lock_is_seen_when_it_is_closed(a, b, office):
    fd = a.call("os.open", office.mai, os.O_RDWR | os.O_CREAT)
    a.call("os.write", fd, MESSAGE)
    assert b.call("os.listdir", office.mai.parent) == []
    with fails_with(errno.ETXTBSY):
        b.call("os.open", office.mai, os.O_RDWR | os.O_CREAT)
    a.call("os.close", fd)
    assert b.call("client.get", office.mai) == MESSAGE


def test_a_message_with_a_gap_is_undone(a, b, office):
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    mai = a.call("os.open", office.mai, os.O_RDWR | os.O_CREAT)
    a.call("os.pwrite", mai, b"tail", 1000)
    a.call("os.close", mai)
    a.call("os.pwrite", fd, b"\1", 0)
    with fails_with(errno.EIO):
        a.call("os.close", fd)
    assert b.call("client.get", office.key("A")) == KEY
    assert b.call("os.listdir", office.mai.parent) == []
    # And the session begins anew.
    fd = deliver(a, office)
    a.call("os.close", fd)
    assert b.call("client.get", office.mbg("A")) == HEADER


def test_who_waits_does_not_make_half_a_mailbag_seen(a, b, office):
    """Not even of one whose KEY is open and yet to be written."""
    fd = a.call("os.open", office.key("A"), os.O_RDWR)
    a.call("client.append", office.mbg("A"), HEADER)
    b.start("os.open", office.key("A"), os.O_RDWR)
    b.wait_blocked()
    assert office.mbg("A").read_bytes() == b""
    a.call("os.pwrite", fd, b"\1", 0)
    a.call("os.close", fd)
    b.result()
    assert office.mbg("A").read_bytes() == HEADER
