# SPDX-License-Identifier: BSD-2-Clause
"""What the administrator is told of DOS clients, and may do to them."""

import json

import pytest

from harness import poctl, wait_until
from place import ONLY_POFS
from smb1 import Error

pytestmark = ONLY_POFS

HEADER = b"h" * 116


def machine(client):
    """The name by which the administrator knows a client machine."""
    host, port = client.address
    return f"{host}:{port}"


class Desk:
    """Where the administrator sits."""

    def __init__(self, place, office):
        self.store, self._office = place.store, office

    def rows(self, command):
        told = poctl(command, "--json", self.store.path).stdout
        return json.loads(told)[command]

    def session(self, client):
        """What is said of a client machine, or None."""
        for row in self.rows("sessions"):
            if row.get("peer") == machine(client):
                return row
        return None

    def lock(self, name):
        """What is said of the lock of a mailbag of this office, or None."""
        for row in self.rows("locks"):
            if row["path"] == f"/{self._office.name}/{name}":
                return row
        return None

    def line(self, name):
        """Who waits for it: the session and how."""
        return [(row["session"], row["how"])
                for row in self.lock(name)["waiters"]]

    def undone(self, name):
        """The newest entry of the quarantine that names a machine, or None."""
        entries = json.loads(poctl("quarantine", "list", "--json",
                                   self.store.path).stdout)["quarantine"]
        for entry in reversed(entries):
            if name in entry["reason"]:
                return entry
        return None


@pytest.fixture
def desk(place, office):
    return Desk(place, office)


@pytest.fixture
def mailbag(office):
    """The names of the KEY and the MBG of the inqueue."""
    office.add_mailbag("INQUEUE3")
    return [office.smb(suffix, f"INQUEUE3.{suffix}")
            for suffix in ("KEY", "MBG")]


def stage(client, mailbag):
    """Begins to put a header: returns the open KEY."""
    key = client.open(mailbag[0])
    with client.open(mailbag[1]) as mbg:
        mbg.write(0, HEADER)
    return key


def begin_to_open(client, name):
    """Sends an open and does not wait."""
    client.send(*client.open_request(name))


def test_a_client_is_shown_with_its_address(client, server, desk, mailbag):
    key = client.open(mailbag[0])
    row = desk.session(client)
    assert row["kind"] == "smbd" and row["state"] == "holding"
    assert row["pid"] == server.process_of(client)
    assert (row["locks"], row["staged_files"]) == (1, 0)
    lock = desk.lock("INQUEUE")
    assert (lock["session"], lock["what"]) == (row["id"], "inqueue")
    assert lock["forms"] == "open" and lock["waiters"] == []
    key.close()
    assert desk.lock("INQUEUE") is None
    assert desk.session(client)["state"] == "idle"


def test_a_lock_file_is_another_form(client, desk, office):
    with client.create_new(office.smb("P1", "INQUEUE.0LK")):
        assert desk.lock("INQUEUE")["forms"] == "lock file"
        assert desk.session(client)["lock_files"] == 1
    client.delete(office.smb("P1", "INQUEUE.0LK"))
    assert desk.lock("INQUEUE") is None


def test_a_client_that_waits_comes_and_goes(client, other, desk, mailbag):
    key = client.open(mailbag[0])
    begin_to_open(other, mailbag[0])
    for how in ("waits", "away", "waits"):
        wait_until(lambda: [h for _, h in desk.line("INQUEUE")] == [how], how)
    number = desk.session(other)["id"]
    assert [session for session, _ in desk.line("INQUEUE")] == [number]
    assert desk.session(other)["state"] == "waiting"
    key.close()
    other.opened(other.receive()).close()


def test_breaking_a_client_frees_who_waits(client, other, desk, mailbag,
                                           office, refused):
    key = stage(client, mailbag)
    begin_to_open(other, mailbag[0])
    wait_until(lambda: desk.line("INQUEUE"), "the other waits")
    row = desk.session(client)
    assert (row["staged_files"], row["staged_bytes"]) == (1, len(HEADER))
    poctl("break", desk.store.path, row["id"])
    other.opened(other.receive()).close()
    assert (office.path / "MBG" / "INQUEUE3.MBG").read_bytes() == b""
    with refused(Error.GENERAL_FAILURE):
        key.write(0, b"\1")
    entry = desk.undone(machine(client))
    assert entry["reason"].startswith("broken by the administrator")
    assert (entry["files"], entry["bytes"]) == (1, len(HEADER))
    with refused(Error.GENERAL_FAILURE):
        key.close()
    # And it begins anew.
    key = stage(client, mailbag)
    key.close()
    assert (office.path / "MBG" / "INQUEUE3.MBG").read_bytes() == HEADER


def test_a_client_that_vanished_is_named(client, desk, mailbag):
    stage(client, mailbag)
    poctl("status", desk.store.path)
    name = machine(client)
    client.reset()
    entry = wait_until(lambda: desk.undone(name), "it is undone")
    assert entry["reason"].startswith("its client disconnected")
