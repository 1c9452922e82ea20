# SPDX-License-Identifier: BSD-2-Clause
"""What the administrator is told of local programs, and may do to them."""

import errno
import fcntl
import json
import os

import pytest

from actor import Actor
from harness import fails_with, poctl, wait_until

HEADER = b"h" * 116


class Office:
    """The mailbags A and INQUEUE3 of the postoffice, and what poctl says."""

    def __init__(self, mount):
        self.store, self.path = mount.store, mount / "PO"
        self.key, self.mbg = self.path / "KEY/A.KEY", self.path / "MBG/A.MBG"
        self.inqueue = self.path / "KEY/INQUEUE3.KEY"
        self.lock_file = self.path / "P1/A.0LK"
        self.p1 = self.path / "P1/00000017.P1"
        for key in (self.key, self.inqueue):
            key.write_bytes(bytes(560))
        self.mbg.write_bytes(b"")

    def ask(self, command):
        """The rows that a command gives."""
        told = poctl(command, "--json", self.store.path).stdout
        return json.loads(told)[command]

    def session(self, actor):
        """What is said of a process."""
        row, = [row for row in self.ask("sessions")
                if row["pid"] == actor.pid]
        return row

    def locks(self):
        """The locks, by what they are of."""
        return {(row["what"], row["path"]): row for row in self.ask("locks")}

    def forms(self):
        """In which forms each is held."""
        return {of: row["forms"] for of, row in self.locks().items()}

    def undone(self):
        """What the quarantine has."""
        told = poctl("quarantine", "list", "--json", self.store.path).stdout
        return json.loads(told)["quarantine"]

    def break_session(self, actor):
        """Breaks what a process has under way."""
        done = poctl("break", self.store.path, self.session(actor)["id"])
        return done.stdout


@pytest.fixture
def office(mount):
    return Office(mount)


# ---- looking ----------------------------------------------------------------

def test_who_only_looks_is_idle(a, office):
    a.call("client.get", office.mbg)
    row = office.session(a)
    assert row["state"] == "idle" and row["kind"] == "local"
    assert "actor.py" in row["command"] and "peer" not in row
    assert (row["handles"], row["locks"], row["staged_files"]) == (0, 0, 0)
    assert "transaction_age" not in row
    assert office.ask("locks") == []


def test_each_lock_is_shown_in_its_forms(a, office):
    fds = [a.call("os.open", office.key, os.O_RDWR) for _ in range(2)]
    a.call("fcntl.lockf", fds[0], fcntl.LOCK_EX, 1)
    a.call("client.put", office.lock_file, b"")
    a.call("os.open", office.inqueue, os.O_RDONLY)
    a.call("client.put", office.p1, b"12345")
    assert office.forms() == {
        ("update", "/PO/A"): "2 open, range",
        ("processing", "/PO/A"): "lock file",
        ("inqueue", "/PO/INQUEUE"): "open",
        ("file", "/PO/P1/00000017.P1"): "kept for the commit"}
    a.call("os.close", fds[0])
    assert office.forms()["update", "/PO/A"] == "open"
    a.call("os.close", fds[1])
    a.call("os.unlink", office.lock_file)
    assert office.forms()["update", "/PO/A"] == "kept for the commit"
    assert office.forms()["processing", "/PO/A"] == "kept for the commit"


def test_a_session_is_the_sum_of_what_it_has(a, b, office):
    fd = a.call("os.open", office.key, os.O_RDWR)
    a.call("client.put", office.lock_file, b"")
    a.call("client.put", office.p1, b"12345")
    a.call("os.pwrite", fd, b"\1", 0)
    b.call("os.open", office.inqueue, os.O_RDWR)
    row, other = office.session(a), office.session(b)
    locks = [lock["session"] for lock in office.ask("locks")]
    assert row["state"] == other["state"] == "holding"
    assert row["locks"] == locks.count(row["id"]) == 3
    assert other["locks"] == locks.count(other["id"]) == 1
    assert row["lock_files"] == 1 and row["handles"] == 1
    assert (row["staged_files"], row["staged_bytes"]) == (2, 6)
    assert row["transaction_age"] >= 0
    a.call("os.unlink", office.lock_file)
    a.call("os.close", fd)
    row = office.session(a)
    assert row["state"] == "idle"
    assert (row["locks"], row["lock_files"], row["staged_bytes"]) == (0, 0, 0)


def test_since_when_a_lock_is_held(a, b, office):
    a.call("os.open", office.key, os.O_RDWR)
    first = office.locks()["update", "/PO/A"]["since_ago"]
    b.start("os.open", office.key, os.O_RDWR)
    b.wait_blocked()
    row = office.locks()["update", "/PO/A"]
    waiter, = row["waiters"]
    assert row["since_ago"] > first
    assert 0 <= waiter["since_ago"] < row["since_ago"]


def test_who_waits_stands_in_line(a, b, office):
    fd = a.call("os.open", office.key, os.O_RDWR)
    b.start("os.open", office.key, os.O_RDWR)
    b.wait_blocked()
    with Actor() as c:
        c.start("os.open", office.key, os.O_RDWR)
        c.wait_blocked()
        line = office.locks()["update", "/PO/A"]["waiters"]
        ids = [office.session(actor)["id"] for actor in (b, c)]
        assert [row["session"] for row in line] == ids
        assert [row["how"] for row in line] == ["waits", "waits"]
        assert office.session(b)["state"] == "waiting"
        assert f"{ids[0]} for " in poctl("locks", office.store.path).stdout
        a.call("os.close", fd)
        fd = b.result()
        row = office.locks()["update", "/PO/A"]
        assert row["session"] == ids[0]
        assert [row["session"] for row in row["waiters"]] == ids[1:]
        b.call("os.close", fd)
        c.result()


def test_who_makes_a_lock_file_tries(a, b, office):
    a.call("os.open", office.inqueue, os.O_RDWR)
    with fails_with(errno.EEXIST):
        b.call("os.open", office.path / "P1/INQUEUE3.0LK",
               os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    waiter, = office.locks()["inqueue", "/PO/INQUEUE"]["waiters"]
    assert waiter["session"] == office.session(b)["id"]
    assert waiter["how"] == "tries"


# ---- breaking ---------------------------------------------------------------

def test_a_broken_session_lets_go_and_is_undone(a, b, office):
    fd = a.call("os.open", office.key, os.O_RDWR)
    a.call("client.append", office.mbg, HEADER)
    a.call("client.put", office.lock_file, b"")
    b.start("os.open", office.key, os.O_RDWR)
    b.wait_blocked()
    told = office.break_session(a)
    assert "of 1 file, is in the quarantine" in told
    b.result()
    assert b.call("client.get", office.mbg) == b""
    assert not office.lock_file.exists()
    with fails_with(errno.EIO):
        a.call("os.pwrite", fd, b"\1", 0)
    entry, = office.undone()
    assert "broken by the administrator" in entry["reason"]
    assert "actor.py" in entry["reason"]
    assert entry["bytes"] == len(HEADER)


def test_a_broken_session_begins_anew(a, office):
    fd = a.call("os.open", office.key, os.O_RDWR)
    assert "nothing was staged" in office.break_session(a)
    assert office.undone() == []
    with fails_with(errno.EIO):
        a.call("os.close", fd)
    fd = a.call("os.open", office.key, os.O_RDWR)
    a.call("os.pwrite", fd, b"\1", 0)
    a.call("os.close", fd)
    assert office.key.read_bytes()[:1] == b"\1"


def test_a_broken_sessions_ranges_are_free(a, b, office):
    fd = a.call("os.open", office.inqueue, os.O_RDWR)
    a.call("fcntl.lockf", fd, fcntl.LOCK_EX, 10)
    office.break_session(a)
    fd = b.call("os.open", office.inqueue, os.O_RDWR)
    b.call("fcntl.lockf", fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10)


def test_who_waits_can_be_broken(a, b, office):
    a.call("os.open", office.key, os.O_RDWR)
    b.start("os.open", office.key, os.O_RDWR)
    b.wait_blocked()
    assert "nothing was staged" in office.break_session(b)
    with fails_with(errno.ETXTBSY):
        b.result()
    assert office.locks()["update", "/PO/A"]["waiters"] == []
    assert office.session(a)["locks"] == 1


def test_there_may_be_nothing_to_break(a, office):
    a.call("client.get", office.mbg)
    number = office.session(a)["id"]
    for session, reason in ((number, "holds no lock"),
                            (4711, "there is no session 4711")):
        done = poctl("break", office.store.path, session, check=False)
        assert done.returncode == 1 and reason in done.stderr


def test_an_undone_session_is_named_if_it_is_gone(b, office):
    """Its command was found out while it could be."""
    with Actor() as a:
        a.call("os.open", office.key, os.O_RDWR)
        a.call("client.append", office.mbg, HEADER)
        # Is answered after what was to be done before.
        poctl("status", office.store.path)
    b.call("os.open", office.key, os.O_RDWR)
    entry, = wait_until(office.undone, "it is on the disk")
    assert "actor.py" in entry["reason"]
    assert "killed" in entry["reason"]
