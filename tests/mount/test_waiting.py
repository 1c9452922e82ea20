# SPDX-License-Identifier: BSD-2-Clause
"""Waiting for a mailbag: in order, with a bound, and never in a circle."""

import errno
import fcntl
import os

import pytest

from actor import Actor
from harness import Mount, fails_with, wait_until
from postoffice import HEADER, Office, deliver, is_delivered, mounted

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


def wait_for(actor, path, flags=os.O_RDWR):
    """Lets a program wait for a file."""
    actor.start("os.open", path, flags)
    actor.wait_blocked()


# ---- in order ---------------------------------------------------------------


@pytest.mark.parametrize("mailbag", ["A", "INQUEUE3"])
def test_who_waits_gets_what_was_committed(a, b, office, mailbag):
    fd = deliver(a, office, mailbag)
    wait_for(b, office.key(mailbag))
    assert not b.is_done()
    a.call("os.close", fd)
    theirs = b.result()
    assert b.call("os.pread", theirs, 1, 0) == b"\1"
    assert is_delivered(b, office, mailbag)


def test_waiters_are_served_in_order_whatever_their_form(a, office):
    """Opening, locking a range, and locking the file, of KEY and of MBG."""
    waiters = [Actor() for _ in range(4)]
    key, mbg = office.key("A"), office.mbg("A")
    try:
        held = a.call("os.open", key, os.O_RDWR)
        wait_for(waiters[0], mbg)
        fds = [w.call("os.open", key, os.O_RDONLY) for w in waiters[1:3]]
        waiters[1].start("syscalls.lock", fds[0], fcntl.F_RDLCK, wait=True)
        waiters[1].wait_blocked()
        waiters[2].start("fcntl.flock", fds[1], fcntl.LOCK_EX)
        waiters[2].wait_blocked()
        wait_for(waiters[3], key)
        a.call("os.close", held)
        for waiter, fd in zip(waiters, [None, *fds, None]):
            opened = waiter.result()
            behind = waiters[waiters.index(waiter) + 1:]
            assert not any(w.is_done() for w in behind)
            waiter.call("os.close", fd if opened is None else opened)
    finally:
        for waiter in waiters:
            waiter.kill()


def test_nobody_overtakes_who_waits(a, b, c, office):
    held = a.call("os.open", office.key("A"), os.O_RDWR)
    wait_for(b, office.key("A"))
    wait_for(c, office.key("A"))
    a.call("os.close", held)
    fd = b.result()
    wait_for(a, office.mbg("A"))
    b.call("os.close", fd)
    fd = c.result()
    assert not a.is_done()
    c.call("os.close", fd)
    a.result()


def test_who_waits_behind_another_is_let_in_by_that_one_too(a, b, c, office):
    """Who has one mailbag still open merely keeps the other, unchanged."""
    held = a.call("os.open", office.key("A"), os.O_RDWR)
    wait_for(b, office.key("A"))
    wait_for(c, office.key("A"))
    a.call("os.close", held)
    fd = b.result()
    b.call("os.open", office.key("B"), os.O_RDWR)
    b.call("os.close", fd)
    c.result()


def test_a_wait_is_of_no_one_elses_business(a, b, c, office):
    """Everything else in those directories goes on."""
    a.call("os.open", office.key("A"), os.O_RDWR)
    wait_for(b, office.key("A"))
    new = office.key("NEW")
    c.call("client.put", new, b"x")
    assert c.call("client.get", new) == b"x"
    c.call("client.append", office.key("B"), b"x")
    c.call("os.rename", new, office.key("NEWER"))
    c.call("os.unlink", office.key("NEWER"))
    assert "A.KEY" in c.call("os.listdir", office.path / "KEY")
    assert not b.is_done()


# ---- with a bound -----------------------------------------------------------


@pytest.mark.parametrize("mailbag", ["A", "INQUEUE"])
@pytest.mark.parametrize("seconds", [0, 1])
def test_a_wait_ends_after_lock_wait(store, a, b, seconds, mailbag):
    with mounted(store, f"lock-wait-s={seconds}") as (_, office):
        fd = a.call("os.open", office.key(mailbag), os.O_RDWR)
        with fails_with(errno.ETXTBSY):
            b.call("os.open", office.key(mailbag), os.O_RDWR)
        range_fd = b.call("os.open", office.key("A"), os.O_RDONLY)
        if mailbag == "A":
            with fails_with(errno.EDEADLK):
                b.call("syscalls.lock", range_fd, fcntl.F_RDLCK, wait=True)
        a.call("os.close", fd)
        b.call("os.close", b.call("os.open", office.key(mailbag), os.O_RDWR))
        b.call("os.close", range_fd)


@pytest.mark.parametrize("form", ["open", "range"])
def test_a_signal_ends_a_wait(a, b, c, office, form):
    held = a.call("os.open", office.key("A"), os.O_RDWR)
    if form == "open":
        b.start("os.open", office.key("A"), os.O_RDWR)
    else:
        fd = b.call("os.open", office.key("A"), os.O_RDONLY)
        b.start("syscalls.lock", fd, fcntl.F_RDLCK, wait=True)
    b.wait_blocked()
    wait_for(c, office.key("A"))
    b.interrupt()
    with pytest.raises(InterruptedError):
        b.result()
    a.call("os.close", held)
    c.call("os.close", c.result())
    b.call("os.close", b.call("os.open", office.key("A"), os.O_RDWR))


def test_who_is_killed_waits_no_longer(a, b, c, office):
    held = a.call("os.open", office.key("A"), os.O_RDWR)
    wait_for(b, office.key("A"))
    wait_for(c, office.key("A"))
    b.kill()
    a.call("os.close", held)
    c.result()


def test_the_mailbag_is_replaced_while_somebody_waits(a, b, office):
    """COPY.MBG, renamed over it at compress: the name is looked up again."""
    copy = office.mbg("COPY")
    held = a.call("os.open", office.key("A"), os.O_RDWR)
    wait_for(b, office.mbg("A"))
    a.call("client.put", copy, b"compressed")
    a.call("os.rename", copy, office.mbg("A"))
    a.call("os.close", held)
    fd = b.result()
    assert b.call("os.pread", fd, 100, 0) == b"compressed"


def test_the_mailbag_is_deleted_while_somebody_waits(a, b, office):
    held = a.call("os.open", office.key("A"), os.O_RDWR)
    wait_for(b, office.mbg("A"))
    a.call("os.unlink", office.mbg("A"))
    a.call("os.close", held)
    with fails_with(errno.ENOENT):
        b.result()


def test_what_it_had_is_undone_while_it_waits(store, a, b):
    """It gets nothing through what it had opened before, and keeps nobody."""
    with mounted(store, "transaction-limit-s=1") as (_, office):
        held = b.call("os.open", office.key("B"), os.O_RDWR)
        fd = a.call("os.open", office.key("B"), os.O_RDONLY)
        deliver(a, office)
        a.start("syscalls.lock", fd, fcntl.F_RDLCK, wait=True)
        a.wait_blocked()
        wait_until(store.undone, "it is undone")
        b.call("os.close", held)
        with fails_with(errno.EIO):
            a.result()
        b.call("os.close", b.call("os.open", office.key("B"), os.O_RDWR))


# ---- never in a circle ------------------------------------------------------


def hold(actor, office, mailbag):
    """Opens a mailbag for writing."""
    return actor.call("os.open", office.key(mailbag), os.O_RDWR)


def test_a_circle_of_two_is_refused_at_once(a, b, office):
    hold(a, office, "A")
    held = hold(b, office, "B")
    wait_for(a, office.key("B"))
    with fails_with(errno.ETXTBSY):
        b.call("os.open", office.key("A"), os.O_RDWR)
    assert not a.is_done()
    b.call("os.close", held)
    a.result()


def test_a_circle_through_two_postoffices(a, b, office, second_office):
    hold(a, office, "A")
    held = hold(b, second_office, "A")
    wait_for(a, second_office.mbg("A"))
    with fails_with(errno.ETXTBSY):
        b.call("os.open", office.mbg("A"), os.O_WRONLY)
    assert not a.is_done()
    b.call("os.close", held)
    a.result()


def test_a_circle_of_three(a, b, c, office):
    hold(a, office, "A")
    hold(b, office, "B")
    held = hold(c, office, "INQUEUE")
    wait_for(a, office.key("B"))
    wait_for(b, office.key("INQUEUE3"), os.O_RDONLY)
    with fails_with(errno.ETXTBSY):
        c.call("os.open", office.key("A"), os.O_RDWR)
    assert not a.is_done() and not b.is_done()
    c.call("os.close", held)
    b.result()
    assert not a.is_done()
    b.kill()
    a.result()


def test_a_circle_through_a_range(a, b, office):
    hold(a, office, "A")
    held = hold(b, office, "B")
    wait_for(a, office.key("B"))
    fd = b.call("os.open", office.key("A"), os.O_RDONLY)
    with fails_with(errno.EDEADLK):
        b.call("syscalls.lock", fd, fcntl.F_RDLCK, wait=True)
    assert not a.is_done()
    b.call("os.close", held)
    a.result()


def test_a_lock_that_is_merely_kept_closes_a_circle_too(a, b, office):
    """What a program has changed and closed it keeps until all of it is
    committed."""
    queue = hold(a, office, "INQUEUE")
    a.call("client.append", office.mbg("A"), b"x")
    held = hold(b, office, "B")
    wait_for(a, office.key("B"))
    with fails_with(errno.ETXTBSY):
        b.call("os.open", office.key("A"), os.O_RDWR)
    b.call("os.close", held)
    a.call("os.close", a.result())
    a.call("os.close", queue)
    b.call("os.open", office.key("A"), os.O_RDWR)


# ---- a KEY that is left open ------------------------------------------------


def test_an_idle_open_gives_way(store, a, b):
    with mounted(store, "idle-open-s=1") as (_, office):
        fd = hold(a, office, "A")
        held = hold(b, office, "A")
        b.call("os.close", held)
        # Nothing has changed: it is as if it had never been closed.
        a.call("os.pwrite", fd, b"\1", 0)
        a.call("os.close", fd)
        assert b.call("client.get", office.key("A"))[:1] == b"\1"


def test_an_idle_open_cannot_write_what_others_have_changed(store, a, b):
    with mounted(store, "idle-open-s=1") as (_, office):
        fd = hold(a, office, "A")
        held = hold(b, office, "A")
        b.call("os.pwrite", held, b"\2", 0)
        with fails_with(errno.ETXTBSY):
            a.call("os.pwrite", fd, b"\1", 0)
        b.call("os.close", held)
        with fails_with(errno.ETXTBSY):
            a.call("os.pread", fd, 1, 0)
        with fails_with(errno.ETXTBSY):
            a.call("os.pwrite", fd, b"\1", 0)
        a.call("os.close", fd)
        assert b.call("client.get", office.key("A"))[:1] == b"\2"


def test_an_idle_open_keeps_no_other_mailbag_back_for_long(store, a, b):
    """A client has changed one mailbag and closed it, and has left another
    one open: it may be about to change that, too, until it is idle."""
    with mounted(store, "idle-open-s=1") as (_, office):
        hold(a, office, "B")
        a.call("client.append", office.mbg("A"), HEADER)
        assert b.call("os.stat", office.mbg("A")).st_size == 0
        b.call("os.close", hold(b, office, "A"))
        assert b.call("os.stat", office.mbg("A")).st_size == len(HEADER)
        hold(b, office, "B")


@pytest.mark.parametrize("why", ["inqueue", "staged", "range"])
def test_what_is_not_idle_does_not_give_way(store, a, b, why):
    mailbag = "INQUEUE" if why == "inqueue" else "A"
    with mounted(store, "idle-open-s=1", "lock-wait-s=3") as (_, office):
        fd = hold(a, office, mailbag)
        if why == "staged":
            a.call("os.pwrite", fd, b"\1", 0)
        if why == "range":
            a.call("syscalls.lock", fd, fcntl.F_WRLCK, 0, 1)
        with fails_with(errno.ETXTBSY):
            b.call("os.open", office.key(mailbag), os.O_RDWR)
        a.call("os.close", fd)
        b.call("os.close", hold(b, office, mailbag))


# ---- an end in the middle ---------------------------------------------------


@pytest.mark.parametrize("end", ["kill", "unmount"])
def test_the_daemon_ends_while_they_wait(store, a, b, c, end):
    with Mount(store) as mount:
        office = Office(mount / "PO")
        os.sync()
        deliver(a, office)
        wait_for(b, office.key("A"))
        fd = c.call("os.open", office.key("A"), os.O_RDONLY)
        c.start("syscalls.lock", fd, fcntl.F_RDLCK, wait=True)
        c.wait_blocked()
        getattr(mount, end)()
        for actor in (b, c):
            with pytest.raises(OSError):
                actor.result()
    store.check()
    with Mount(store) as mount, Actor() as d:
        office = mount / "PO"
        assert (office / "KEY/A.KEY").read_bytes() == bytes(560)
        assert (office / "MBG/A.MBG").read_bytes() == b""
        d.call("os.open", office / "KEY/A.KEY", os.O_RDWR)


def test_a_crowd_gets_through(office):
    """Many programs and two mailbags, in any order: each is served."""
    crowd = [Actor() for _ in range(12)]
    try:
        for number, actor in enumerate(crowd):
            actor.start("client.open_often",
                        office.key("AB"[number % 2]), 30)
        wait_until(lambda: all(actor.is_done() for actor in crowd),
                   "everybody was served", 120)
        for actor in crowd:
            actor.result()
    finally:
        for actor in crowd:
            actor.kill()
