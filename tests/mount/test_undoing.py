# SPDX-License-Identifier: BSD-2-Clause
"""Transactions that come to no end of their own: who undoes them, and where
what they had staged is found."""

import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import statistics
import time

import pytest

from actor import Actor
from events import events
from harness import Mount, Store, fails_with, poctl, wait_until
from postoffice import KEY, MESSAGE, Office, deliver, hand_over, \
    is_delivered, mounted

MIB = 1 << 20

DELIVERED = {"/PO/KEY/A.KEY": "changed", "/PO/MBG/A.MBG": "changed",
             "/PO/MAI/MA7/00000017.MAI": "created"}


def in_quarantine(store):
    """The only entry, once it is on the disk."""
    entry, = wait_until(store.undone, "the quarantine is written")
    return entry


# ---- reasons ----------------------------------------------------------------


def test_a_program_that_is_killed(store, b):
    with mounted(store) as (_, office):
        with Actor() as a:
            deliver(a, office)
        b.call("os.open", office.key("A"), os.O_RDWR)
        assert is_delivered(b, office) is False
        reason, files = in_quarantine(store)
        assert "killed" in reason
        assert files == DELIVERED


def test_a_program_that_is_killed_with_a_message_open(store, b):
    """Which it had opened under a plain name, and renamed."""
    with mounted(store) as (mount, office):
        temporary = mount / "TEMP"
        with Actor() as a:
            fd = a.call("os.open", temporary, os.O_RDWR | os.O_CREAT)
            a.call("os.close", hand_over(a, office, temporary))
            a.call("os.write", fd, b"half a message")
        in_quarantine(store)
        assert b.call("client.get", office.key("A")) == KEY
        assert b.call("client.get", temporary) == b""


def hold(actor, office):
    """Has the mailbag, and has changed nothing."""
    actor.call("os.open", office.key("A"), os.O_RDWR)


def test_who_waits_for_one_that_is_killed_is_let_in_at_once(store, b):
    waits = []
    with mounted(store) as (_, office):
        for begin in (deliver, hold) * 5:
            with Actor() as a:
                begin(a, office)
                b.start("os.open", office.key("A"), os.O_RDWR)
                b.wait_blocked()
                killed = time.monotonic()
            fd = b.result()
            waits.append(time.monotonic() - killed)
            assert is_delivered(b, office) is False
            b.call("os.close", fd)
    assert statistics.median(waits) < 1, waits


def test_a_program_of_many_threads_that_is_killed(store, b):
    """Whichever of them comes last, and closes what they had open."""
    with mounted(store) as (_, office):
        for _ in range(8):
            with Actor() as a:
                a.call("client.begin_threads", 16)
                deliver(a, office)
            b.call("os.close", b.call("os.open", office.key("A"), os.O_RDWR))
            assert is_delivered(b, office) is False
        wait_until(lambda: len(store.undone()) == 8, "all of it is kept")
        assert all("killed" in reason for reason, _ in store.undone())


def test_a_program_that_exits_with_an_error(store, b):
    with mounted(store) as (_, office):
        with Actor() as a:
            deliver(a, office)
            a.start("os._exit", 3)
            a.process.wait()
        b.call("os.open", office.key("A"), os.O_RDWR)
        assert is_delivered(b, office) is False
        reason, files = in_quarantine(store)
        assert "failed" in reason
        assert files == DELIVERED


def test_one_whose_files_were_used_by_a_process_that_was_killed(store, a, b):
    """As with Wine, whose server opens and closes what programs use."""
    with mounted(store) as (_, office):
        fd = deliver(a, office)
        a.call("client.write_in_child", fd, b"\1")
        with fails_with(errno.EIO):
            a.call("os.close", fd)
        b.call("os.open", office.key("A"), os.O_RDWR)
        assert is_delivered(b, office) is False
        reason, files = in_quarantine(store)
        assert "used its files" in reason
        assert files == DELIVERED


def test_one_whose_files_nobody_closes_after_the_death_of_their_user(
        store, a, b):
    lock_file = os.O_RDWR | os.O_CREAT | os.O_EXCL
    with mounted(store) as (_, office):
        a.call("os.close", a.call("os.open", office.lock_file("B.0LK"),
                                  lock_file))
        a.call("client.write_in_child", deliver(a, office), b"\1")
        b.call("client.create_soon", office.lock_file("B.0LK"))
        assert is_delivered(b, office) is False
        assert in_quarantine(store)[1] == DELIVERED


@pytest.mark.parametrize("code", [0, 3])
def test_not_one_whose_files_were_used_by_a_process_that_exited(
        store, a, b, code):
    with mounted(store) as (_, office):
        fd = deliver(a, office)
        a.call("client.write_in_child", fd, b"\1", code)
        assert is_delivered(b, office) is False
        a.call("os.close", fd)
        assert is_delivered(b, office)
        assert store.undone() == []


@pytest.mark.parametrize("code", [0, None])
def test_not_one_whose_files_were_closed_by_the_child_that_used_them(
        store, a, b, code):
    """As "cat" does. Who has waited for it alone knows how it ended."""
    with mounted(store) as (_, office):
        fd = deliver(a, office)
        a.call("client.write_in_child_that_closes", fd, b"\1", code)
        a.call("os.close", fd)
        assert is_delivered(b, office)
        assert store.undone() == []


def test_not_one_whose_files_are_closed_by_an_exec(store, a, b):
    """In the middle of which nobody may look at that process."""
    with mounted(store) as (_, office):
        fd = deliver(a, office)
        child = a.call("client.write_in_child_that_becomes_sleeper", fd, b"\1")
        try:
            a.call("os.close", fd)
        finally:
            os.kill(child, 9)
        assert is_delivered(b, office)
        assert store.undone() == []


def test_a_lock_file_whose_program_is_killed(store, b):
    """There is no close then: only its end tells it."""
    lock_file = os.O_RDWR | os.O_CREAT | os.O_EXCL
    with mounted(store) as (_, office):
        with Actor() as a:
            a.call("os.close", a.call("os.open", office.lock_file("B.0LK"),
                                      lock_file))
            a.call("os.close", deliver(a, office))
            assert is_delivered(b, office) is False
        b.call("client.create_soon", office.lock_file("B.0LK"))
        assert is_delivered(b, office) is False
        assert in_quarantine(store)[1] == DELIVERED


def test_a_torn_message(store, a, b):
    with mounted(store) as (_, office):
        fd = deliver(a, office)
        att = a.call("os.open", office.att, os.O_RDWR | os.O_CREAT)
        a.call("os.pwrite", att, b"tail", 1000)
        a.call("os.close", att)
        with fails_with(errno.EIO):
            a.call("os.close", fd)
        assert is_delivered(b, office) is False
        reason, files = in_quarantine(store)
        assert "gap" in reason
        assert files == {**DELIVERED, "/PO/ATT/AT7/00000017.ATT": "created"}


def test_a_message_that_is_filled_is_whole(store, a, b):
    """However it was written: backwards, twice, or cut in the end."""
    with mounted(store) as (_, office):
        fd = deliver(a, office)
        att = a.call("os.open", office.att, os.O_RDWR | os.O_CREAT)
        for offset, content in ((900, b"z" * 200), (0, b"a" * 600),
                                (500, b"m" * 450), (2000, b"beyond")):
            a.call("os.pwrite", att, content, offset)
        a.call("os.ftruncate", att, 1000)
        a.call("os.close", att)
        a.call("os.close", fd)
        assert is_delivered(b, office)
        assert b.call("client.get", office.att) == \
            b"a" * 500 + b"m" * 450 + b"z" * 50
        assert store.undone() == []


def test_one_whose_directory_is_gone(store, a, b):
    """Directories are plain: somebody removes one that looks empty."""
    with Mount(store) as mount:
        office = Office(mount / "NEW")
        fd = deliver(a, office)
        a.call("client.put", office.att, MESSAGE)
        b.call("os.rmdir", office.att.parent)
        with fails_with(errno.EIO):
            a.call("os.close", fd)
        assert is_delivered(b, office) is False
        reason, files = in_quarantine(store)
        assert "commit" in reason
        assert len(files) == 4
        # The lock is free.
        b.call("os.close", deliver(b, office))
        assert is_delivered(a, office)


# ---- time -------------------------------------------------------------------


def test_one_that_takes_too_long(store, a, b):
    with mounted(store, "transaction-limit-s=1") as (_, office):
        fd = deliver(a, office)
        theirs = b.call("os.open", office.key("A"), os.O_RDWR)
        assert b.call("os.pread", theirs, 560, 0) == KEY
        assert is_delivered(b, office) is False
        reason, files = in_quarantine(store)
        assert "transaction-limit" in reason
        assert files == DELIVERED
        for call in (("os.pread", fd, 1, 0), ("os.pwrite", fd, b"x", 0)):
            with fails_with(errno.EIO):
                a.call(*call)
        with fails_with(errno.EIO):
            a.call("os.close", fd)
        b.call("os.close", theirs)
        # What it opens from now on is good.
        a.call("os.close", deliver(a, office))
        assert is_delivered(b, office)


def test_one_that_takes_too_long_with_nothing_half_done(store, a, b):
    """It only keeps an inqueue: what it has done so far is committed."""
    with mounted(store, "transaction-limit-s=1") as (_, office):
        fd = a.call("os.open", office.key("INQUEUE"), os.O_RDWR)
        a.call("os.close", deliver(a, office))
        a.call("os.pwrite", fd, b"\1", 0)
        wait_until(lambda: is_delivered(b, office), "it is committed")
        a.call("os.pwrite", fd, b"\2", 0)
        a.call("os.close", fd)
        assert b.call("client.get", office.key("INQUEUE"))[:1] == b"\2"
        assert store.undone() == []


def test_there_may_be_no_limit(store, a, b):
    with mounted(store, "transaction-limit-s=0", "lock-wait-s=2") as (
            _, office):
        fd = deliver(a, office)
        with fails_with(errno.ETXTBSY):
            b.call("os.open", office.key("A"), os.O_RDWR)
        a.call("os.close", fd)
        assert is_delivered(b, office)


# ---- silence ----------------------------------------------------------------


def test_one_that_hangs_and_has_changed_nothing_keeps_nobody_out(store, a, b):
    """Stopped: its process lives, and nothing else tells of it."""
    with mounted(store, "silent-limit-s=1", "idle-open-s=0") as (mount,
                                                                 office):
        fds = [a.call("os.open", path, os.O_RDWR) for path in (
            office.key("INQUEUE"), office.key("A"), office.control)]
        a.process.send_signal(signal.SIGSTOP)
        for path in (office.control, office.key("A"), office.key("INQUEUE")):
            b.call("os.close", b.call("os.open", path, os.O_RDWR))
        event, = events(mount, "silent")
        assert int(event["pid"]) == a.pid and "CONTROL.GLB" in event["lock"]
        a.process.send_signal(signal.SIGCONT)
        with fails_with(errno.EIO):
            a.call("os.pwrite", fds[0], b"\1", 0)
        assert store.undone() == []


def test_one_that_hangs_in_the_middle_is_undone(store, a, b):
    with mounted(store, "silent-limit-s=1") as (_, office):
        fd = deliver(a, office)
        a.process.send_signal(signal.SIGSTOP)
        b.call("os.close", b.call("os.open", office.key("A"), os.O_RDWR))
        assert is_delivered(b, office) is False
        reason, files = in_quarantine(store)
        assert "silent" in reason and files == DELIVERED
        a.process.send_signal(signal.SIGCONT)
        with fails_with(errno.EIO):
            a.call("os.close", fd)


def test_one_that_polls_is_not_taken_for_hanging(store, a, b):
    """It holds a lock for as long as it likes; the administrator sees that,
    and ends it."""
    with mounted(store, "silent-limit-s=4", "lock-wait-s=5") as (_, office):
        fd = a.call("os.open", office.key("INQUEUE"), os.O_RDWR)
        b.start("os.open", office.key("INQUEUE"), os.O_RDWR)
        while not b.is_done():
            a.call("os.pread", fd, 560, 0)
        with fails_with(errno.ETXTBSY):
            b.result()
        b.start("os.open", office.key("INQUEUE"), os.O_RDWR)
        b.wait_blocked()
        lock, = [row for row in json.loads(poctl(
            "locks", "--json", store.path).stdout)["locks"]
            if row["waiters"]]
        poctl("break", store.path, lock["session"])
        b.call("os.close", b.result())
        with fails_with(errno.EIO):
            a.call("os.pread", fd, 1, 0)


def begin_call(actor, office):
    """Has it work a queue off: it may be silent, whatever else it has."""
    actor.call("os.open", office.lock_file("B.0LK"),
               os.O_RDWR | os.O_CREAT | os.O_EXCL)


def test_one_that_waits_itself_is_not_taken_for_hanging(store, a, b, c):
    with mounted(store, "silent-limit-s=2", "lock-wait-s=3",
                 "idle-open-s=0") as (mount, office):
        begin_call(c, office)
        c.call("os.open", office.key("INQUEUE"), os.O_RDWR)
        fd = a.call("os.open", office.key("A"), os.O_RDWR)
        a.start("os.open", office.key("INQUEUE"), os.O_RDWR)
        a.wait_blocked()
        b.start("os.open", office.key("A"), os.O_RDWR)
        with fails_with(errno.ETXTBSY):
            a.result()
        a.call("os.pwrite", fd, b"\1", 0)
        a.call("os.close", fd)
        assert not events(mount, "silent")


def test_what_it_has_waited_is_not_what_it_was_silent(store, a, b, c):
    with mounted(store, "silent-limit-s=3", "lock-wait-s=5",
                 "idle-open-s=0") as (mount, office):
        begin_call(c, office)
        held = c.call("os.open", office.key("INQUEUE"), os.O_RDWR)
        fd = a.call("os.open", office.key("A"), os.O_RDWR)
        a.start("os.open", office.key("INQUEUE"), os.O_RDWR)
        a.wait_blocked()
        b.start("os.open", office.key("A"), os.O_RDWR)
        enough = time.monotonic() + 3.2
        wait_until(lambda: time.monotonic() > enough, "time passes")
        c.call("os.close", held)
        a.result()
        # It has its time from now on, and whoever waits for it gives up.
        with fails_with(errno.ETXTBSY):
            b.result()
        a.call("os.pwrite", fd, b"\1", 0)
        a.call("os.close", fd)
        assert not events(mount, "silent")


@contextlib.contextmanager
def stopped(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("limit", ["silent-limit-s=6",
                                   "transaction-limit-s=6"])
def test_time_that_nobody_had_is_not_counted(store, a, b, limit):
    """A machine that is stopped with all that is on it, as a container is."""
    with mounted(store, limit, "watchdog-s=4") as (mount, office):
        fd = deliver(a, office)
        b.start("os.open", office.key("A"), os.O_RDWR)
        b.wait_blocked()
        with stopped(mount.launcher.pid, mount.server_pid, a.pid, b.pid):
            enough = time.monotonic() + 8
            wait_until(lambda: time.monotonic() > enough, "time passes")
        # What was due has been done when this is answered.
        poctl("status", store.path)
        a.call("os.close", fd)
        b.call("os.close", b.result())
        assert is_delivered(b, office)
        assert not events(mount, "undone", "silent")


def test_one_that_works_a_queue_off_may_be_silent(store, a, b, c):
    """Through a telephone call; and one that has a number, while it runs."""
    new = os.O_RDWR | os.O_CREAT | os.O_EXCL
    with mounted(store, "silent-limit-s=1") as (_, office):
        names = [office.lock_file(name) for name in ("A.0LK", "LOCKP1ID.P01")]
        for name in names:
            a.call("os.open", name, new)
        c.call("os.open", office.key("INQUEUE"), os.O_RDWR)
        # Until that one, which was heard of later, is found to hang.
        b.start("os.open", office.key("INQUEUE"), os.O_RDWR)
        while not b.is_done():
            for name in names:
                with fails_with(errno.EEXIST):
                    os.open(name, new)
        b.call("os.close", b.result())
        for name in names:
            a.call("os.unlink", name)


@pytest.mark.parametrize("long", ["A.0LK", "LOCKP1ID.P01", "FLAG.GLB"])
def test_who_is_on_the_telephone_keeps_what_it_has(store, a, b, long):
    """Its other end may have been told that a message is here."""
    with mounted(store, "silent-limit-s=1", "lock-wait-s=3") as (_, office):
        path = office.path / "GLB" / long if long.endswith("GLB") else \
            office.lock_file(long)
        a.call("os.open", path, os.O_RDWR | os.O_CREAT)
        fd = deliver(a, office)
        with fails_with(errno.ETXTBSY):
            b.call("os.open", office.key("A"), os.O_RDWR)
        a.call("os.close", fd)
        a.call("os.unlink", path)
        assert store.undone() == []


# ---- after it ---------------------------------------------------------------


def test_old_handles_are_of_no_use(store, a, b):
    with mounted(store) as (_, office):
        other = a.call("os.open", office.key("B"), os.O_RDWR)
        plain = a.call("os.open", office.control, os.O_RDWR)
        free = a.call("os.open", office.path / "GLB/NETWORK.GLB",
                      os.O_RDWR | os.O_CREAT)
        reader = a.call("os.open", office.key("A"), os.O_RDONLY)
        mai = a.call("os.open", office.mai, os.O_RDWR | os.O_CREAT)
        a.call("os.pwrite", mai, b"tail", 1000)
        for fd in (other, plain):
            a.call("os.close", fd)
        with fails_with(errno.EIO):
            a.call("os.close", mai)
        for attempt in (("os.pread", reader, 1, 0),
                        ("syscalls.lock", reader, 0)):
            with fails_with(errno.EIO):
                a.call(*attempt)
        # Of plain files it is nobody's business.
        a.call("os.pwrite", free, b"x", 0)
        assert b.call("client.get", office.path / "GLB/NETWORK.GLB") == b"x"
        reader = a.call("os.open", office.key("A"), os.O_RDONLY)
        assert a.call("os.pread", reader, 1, 0) == KEY[:1]


def test_the_locks_of_what_is_undone_are_free(store, a, b):
    lock_file = os.O_RDWR | os.O_CREAT | os.O_EXCL
    with mounted(store, "transaction-limit-s=1") as (_, office):
        a.call("os.open", office.lock_file("A.0LK"), lock_file)
        a.call("os.open", office.key("INQUEUE"), os.O_RDWR)
        deliver(a, office)
        b.call("client.create_soon", office.lock_file("A.0LK"))
        b.call("os.open", office.key("INQUEUE"), os.O_RDWR)
        b.call("os.open", office.key("A"), os.O_RDWR)
        # It is told once; from then on it sees how things are.
        with fails_with(errno.EIO):
            a.call("os.unlink", office.lock_file("A.0LK"))
        with fails_with(errno.ETXTBSY):
            a.call("os.unlink", office.lock_file("A.0LK"))


def test_what_was_undone_cannot_be_synced(store, a):
    with mounted(store, "transaction-limit-s=1") as (_, office):
        fd = deliver(a, office)
        in_quarantine(store)
        with fails_with(errno.EIO):
            a.call("os.fsync", fd)


def test_who_unlocks_what_was_undone_is_told(store, a, b):
    """The next lock is of a new transaction, by a new open."""
    with mounted(store, "transaction-limit-s=1") as (_, office):
        fd = a.call("os.open", office.key("A"), os.O_RDWR)
        a.call("fcntl.lockf", fd, fcntl.LOCK_EX)
        a.call("os.pwrite", fd, b"x", 0)
        in_quarantine(store)
        with fails_with(errno.EIO):
            a.call("fcntl.lockf", fd, fcntl.LOCK_UN)
        b.call("fcntl.lockf", b.call("os.open", office.key("A"), os.O_RDWR),
               fcntl.LOCK_EX)


# ---- a crash ----------------------------------------------------------------


def test_what_was_synced_in_the_middle_is_in_the_quarantine(store, a):
    with mounted(store) as (mount, office):
        os.sync()
        fd = deliver(a, office)
        a.call("os.fsync", fd)
        assert store.undone() == []
        mount.kill()
    with Mount(store) as mount, Actor() as b:
        assert is_delivered(b, Office(mount / "PO", create=False)) is False
        reason, files = in_quarantine(store)
        assert reason == "the server ended"
        assert files == DELIVERED
    store.check()


def test_what_was_synced_and_committed_is_not(store, a):
    with mounted(store) as (mount, office):
        fd = deliver(a, office)
        a.call("os.fsync", fd)
        a.call("os.close", fd)
        mount.kill()
    with Mount(store) as mount, Actor() as b:
        assert is_delivered(b, Office(mount / "PO", create=False))
    assert store.undone() == []
    store.check()


def test_an_end_in_order_undoes_what_is_under_way(store, a):
    with mounted(store) as (mount, office):
        deliver(a, office)
        mount.unmount()
    reason, files = store.undone()[0]
    assert reason and files == DELIVERED
    with Mount(store) as mount, Actor() as b:
        assert is_delivered(b, Office(mount / "PO", create=False)) is False
    store.check()


# ---- room -------------------------------------------------------------------


def test_a_store_without_room_publishes_nothing(tmp_path, a, b):
    """That there is none is told by the write, or else by the close."""
    with Store(tmp_path / "store", "--map-size-mib", 8, "--postoffice",
               "PO") as store:
        with mounted(store) as (_, office):
            deliver(a, office)
            with fails_with(errno.ENOSPC):
                with contextlib.ExitStack() as opened:
                    att = a.call("os.open", office.att,
                                 os.O_RDWR | os.O_CREAT)
                    opened.callback(a.call, "os.close", att)
                    for megabyte in range(20):
                        a.call("os.pwrite", att, b"x" * MIB, megabyte * MIB)
            a.kill()
            b.call("os.open", office.key("A"), os.O_RDWR)
            assert is_delivered(b, office) is False
            assert not office.att.exists()
            # What was undone is kept, and there is room beside it.
            b.call("client.put", office.p1, b"x" * (MIB // 16))
            assert b.call("client.get", office.p1) == b"x" * (MIB // 16)
        store.check()


def rss_anon(pid):
    """What a process has in memory of its own, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"RssAnon:\s*(\d+) kB", status.read())[1]) * 1024


def test_a_large_message_takes_little_memory(store, a, b):
    size = 128 * MIB
    # A sanitizer keeps what was freed.
    frugal = {"ASAN_OPTIONS": "quarantine_size_mb=1"}
    with Mount(store, env=frugal) as mount:
        office = Office(mount / "PO")
        fd = deliver(a, office)
        att = a.call("os.open", office.att, os.O_RDWR | os.O_CREAT)
        most = 0
        for offset in range(0, size, MIB):
            a.call("os.pwrite", att, bytes([offset // MIB]) * MIB, offset)
            most = max(most, rss_anon(mount.server_pid))
        assert a.call("os.fstat", att).st_size == size
        assert not b.call("os.path.exists", office.att)
        a.call("os.close", att)
        a.call("os.close", fd)
        most = max(most, rss_anon(mount.server_pid))
        assert most < 64 * MIB
        assert is_delivered(b, office)
        assert b.call("os.stat", office.att).st_size == size
        reader = b.call("os.open", office.att, os.O_RDONLY)
        for offset in range(0, size, 37 * MIB):
            assert b.call("os.pread", reader, 1, offset) == bytes(
                [offset // MIB])


def test_what_is_changed_in_place_has_a_limit(store, a, b):
    with mounted(store, "staged-max-mib=2") as (_, office):
        fd = deliver(a, office)
        a.call("os.pwrite", fd, b"x" * MIB, 0)
        with fails_with(errno.ENOSPC):
            a.call("os.pwrite", fd, b"x" * MIB * 2, MIB)
        # Nobody else suffers from it.
        b.call("client.append", office.mbg("B"), b"y" * MIB)
        assert is_delivered(b, office) is False


def test_lock_files_have_a_limit(store, a, b):
    with mounted(store) as (_, office):
        fd = a.call("os.open", office.lock_file("A.0LK"),
                    os.O_RDWR | os.O_CREAT)
        a.call("os.pwrite", fd, b"x" * 65536, 0)
        with fails_with(errno.EFBIG):
            a.call("os.pwrite", fd, b"x", 65536)
        assert b.call("os.stat", office.lock_file("A.0LK")).st_size == 65536
