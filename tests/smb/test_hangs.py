# SPDX-License-Identifier: BSD-2-Clause
"""Clients, smbd and pofs that stop, and do not end; and who waits for them."""

import contextlib
import os
import signal

import pytest

from delivery import deliver, is_delivered
from harness import wait_until
from place import ONLY_POFS
from smb1 import Disconnected, Error, SmbError
from smbd import SHARE

pytestmark = ONLY_POFS

MOUNT_OPTIONS = ("silent-limit-s=4", "watchdog-s=8")

LOST = (SmbError, Disconnected)


@pytest.fixture(name="mail")
def fixture_mail(mail):
    """Its mailbags are on the disk."""
    for path in mail.path.glob("[KM]*/*.[KM]*"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    return mail


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def states(server):
    """A letter for each process of smbd."""
    found = []
    for process in server.processes():
        with contextlib.suppress(OSError):
            found.append((process / "stat").read_text()
                         .rpartition(") ")[2][0])
    return found


# ---- clients


def test_a_client_that_hangs_is_undone(server, machines, other, mail):
    """Itself, or the smbd that serves it. The link is there, and somebody
    answers for it."""
    hung, served_by_hung = machines.new(), machines.new()
    files = [deliver(hung, mail),
             served_by_hung.open(mail.smb("KEY", "INQUEUE.KEY")),
             deliver(served_by_hung, mail, "B")]
    with stopped(server.process_of(served_by_hung)):
        for mailbag in ("A", "B", "INQUEUE"):
            other.open(mail.smb("KEY", f"{mailbag}.KEY")).close()
        for mailbag in ("A", "B"):
            assert is_delivered(other, mail, mailbag) is False
    for file in files:
        with pytest.raises(LOST):
            file.write(0, b"\2")
    again = machines.new()
    deliver(again, mail).close()
    assert is_delivered(other, mail)


def test_two_clients_in_a_circle_are_told_so(client, other, mail, refused):
    mine = client.open(mail.smb("KEY", "A.KEY"))
    theirs = other.open(mail.smb("KEY", "B.KEY"))
    client.send(*client.open_request(mail.smb("KEY", "B.KEY")))
    client.send(*client.echo_request())
    client.receive()  # who is answered that waits for the other
    with refused(Error.SHARING_VIOLATION):
        other.open(mail.smb("KEY", "A.KEY"))
    theirs.close()
    client.opened(client.receive()).close()
    mine.close()


# ---- pofs


def wait_for(server, client, mail):
    """Lets a client wait for a mailbag, and be seen to."""
    client.send(*client.open_request(mail.smb("KEY", "A.KEY")))
    wait_until(server.is_blocked, "a client waits")


def all_is_well(machines, mail):
    """Who connects again finds what was acknowledged, and goes on."""
    client = machines.new()
    assert is_delivered(client, mail, "B")
    assert is_delivered(client, mail) is False
    deliver(client, mail).close()
    assert is_delivered(client, mail)


def test_who_waits_when_pofs_is_killed_is_told_at_once(
        place, server, machines, client, other, mail):
    deliver(client, mail, "B").close()
    key = deliver(client, mail)
    wait_for(server, other, mail)
    place.crash()
    # smbd asks again, and gets what is no answer.
    with pytest.raises(LOST):
        other.receive()
    with pytest.raises(LOST):
        key.close()
    wait_until(lambda: "D" not in states(server), "nobody hangs")
    server.close_share(SHARE)
    all_is_well(machines, mail)


def test_who_waits_when_pofs_hangs_is_told_after_a_while(
        place, server, machines, client, other, mail):
    deliver(client, mail, "B").close()
    key = deliver(client, mail)
    os.kill(place.mount.server_pid, signal.SIGSTOP)
    other.send(*other.open_request(mail.smb("KEY", "A.KEY")))
    wait_until(server.is_blocked, "a client waits")
    assert place.mount.wait() == 1
    with pytest.raises(LOST):
        other.receive()
    with pytest.raises(LOST):
        key.close()
    place.remount()
    wait_until(lambda: "D" not in states(server), "nobody hangs")
    server.close_share(SHARE)
    all_is_well(machines, mail)
