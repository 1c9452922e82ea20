# SPDX-License-Identifier: BSD-2-Clause
"""Clients that go away in the middle of a transaction, in every way there is.

Whatever they had done is undone, at once, and kept in the quarantine.
"""

import os
import signal
import socket

import pytest

from delivery import deliver, is_delivered
from harness import wait_until
from place import ONLY_POFS
from smb1 import Command, Disconnected, Error, SmbError
from smbd import SHARE

pytestmark = ONLY_POFS

_NO_ANDX = b"\xff\0\0\0"

DELETE_ON_CLOSE = 0x1000
DELETE_ACCESS = 0x00010000


def tree_disconnect(server, client):
    client.request(Command.TREE_DISCONNECT)


def logoff(server, client):
    client.request(Command.LOGOFF, _NO_ANDX)


def shut_down(server, client):
    """FIN: it has nothing more to say."""
    with socket.socket(fileno=os.dup(client.fileno())) as connection:
        connection.shutdown(socket.SHUT_WR)


def reset(server, client):
    client.reset()


def terminate_smbd(server, client):
    os.kill(server.process_of(client), signal.SIGTERM)


def kill_smbd(server, client):
    os.kill(server.process_of(client), signal.SIGKILL)


DISCONNECTED, KILLED = "disconnected", "killed"

WAYS = {tree_disconnect: DISCONNECTED, logoff: DISCONNECTED,
        shut_down: DISCONNECTED, reset: DISCONNECTED,
        terminate_smbd: DISCONNECTED, kill_smbd: KILLED}

# After these, the process that serves the client is gone, and it is another
# session when it comes back.
ENDS = [shut_down, reset, terminate_smbd, kill_smbd]


def undone_of(place, mail):
    """What the quarantine has of this postoffice."""
    found = []
    for reason, files in place.store.undone():
        of_it = {path.removeprefix(f"/{mail.name}/"): what
                 for path, what in files.items()
                 if path.startswith(f"/{mail.name}/")}
        if of_it:
            found.append((reason, of_it))
    return found


@pytest.mark.parametrize("way", WAYS)
def test_what_was_begun_is_undone(server, machines, other, place, mail, way):
    client = machines.new()
    deliver(client, mail)
    way(server, client)
    # It waits if need be.
    with other.open(mail.smb("KEY", "A.KEY")) as key:
        assert key.read(0, 560) == bytes(560)
    assert is_delivered(other, mail) is False
    (reason, files), = wait_until(lambda: undone_of(place, mail),
                                  "the quarantine is written")
    assert WAYS[way] in reason
    assert files == {"KEY/A.KEY": "changed", "MBG/A.MBG": "changed",
                     "MAI/MA7/000000A7.MAI": "created"}


@pytest.mark.parametrize("way", WAYS)
def test_what_was_closed_is_kept(server, machines, other, place, mail, way):
    client = machines.new()
    deliver(client, mail).close()
    way(server, client)
    assert is_delivered(other, mail)
    assert undone_of(place, mail) == []


@pytest.mark.parametrize("way", WAYS)
def test_half_a_message_is_not_there(server, machines, other, place, mail,
                                     way):
    """Of a client that had no lock yet."""
    client = machines.new()
    name = mail.smb("MAI", "MA7", "00000017.MAI")
    client.create(name).write(0, b"half a mes")
    way(server, client)
    _, files = wait_until(lambda: undone_of(place, mail),
                          "the quarantine is written")[0]
    assert files == {"MAI/MA7/00000017.MAI": "created"}
    other.write_file(name, b"another")
    assert other.read_file(name) == b"another"


@pytest.mark.parametrize("way", ENDS)
@pytest.mark.parametrize("name", ["0000000E.0LK", "INQUEUE3.0LK",
                                  "LOCKP1ID.P01"])
def test_its_lock_files_go_with_it(server, machines, other, mail, way, name):
    """A stale one would lock the queue for good (Q128913, Q117152)."""
    client = machines.new()
    name = mail.smb("P1", name)
    client.create_new(name).close()
    way(server, client)

    def create():
        try:
            return other.create_new(name)
        except SmbError as error:
            assert error.code == Error.FILE_EXISTS
            return None

    wait_until(create, "the lock file is gone").close()
    other.delete(name)


@pytest.mark.parametrize("way", ENDS)
def test_what_was_done_under_a_lock_file_goes_with_it(server, machines, other,
                                                      place, mail, way):
    """No file is open then, so nothing is closed: only its end tells it."""
    client = machines.new()
    client.create_new(mail.smb("P1", "INQUEUE3.0LK")).close()
    deliver(client, mail).close()
    assert is_delivered(other, mail) is False
    way(server, client)
    other.open(mail.smb("KEY", "INQUEUE3.KEY")).close()
    assert is_delivered(other, mail) is False
    wait_until(lambda: undone_of(place, mail), "the quarantine is written")


@pytest.mark.parametrize("way", WAYS)
def test_plain_files_take_no_notice(server, machines, other, mail, way):
    client = machines.new()
    name = mail.smb("GLB", "SYSTEM.GLB")
    client.create(name).write(0, b"written")
    deliver(client, mail)
    way(server, client)
    other.open(mail.smb("KEY", "A.KEY")).close()
    assert other.read_file(name) == b"written"


def test_a_client_that_is_told_nothing_begins_anew(server, machines, mail):
    """After a tree disconnect its connection lives on."""
    client = machines.new()
    deliver(client, mail)
    tree_disconnect(server, client)
    with pytest.raises((SmbError, Disconnected)):
        client.open(mail.smb("KEY", "A.KEY"))
    again = machines.new()
    deliver(again, mail).close()
    assert is_delivered(again, mail)


@pytest.mark.parametrize("files", [["KEY"], ["KEY", "MBG"]])
def test_a_client_that_gives_up_one_drive_is_told_on_the_other(machines, other,
                                                               mail, files):
    """Its transaction is undone with the tree, whose closing it hears nothing
    of. What it does next must not be taken for all that it does."""
    client = machines.new()
    drive = client.drive(SHARE)
    client.create_new(mail.smb("P1", "INQUEUE3.0LK")).close()
    deliver(client, mail).close()
    for file in files:
        drive.open(mail.smb(file, f"B.{file}")).write(0, b"x")
    tree_disconnect(None, drive)
    queue = mail.smb("KEY", "INQUEUE3.KEY")
    with pytest.raises(SmbError) as error, client.open(queue) as key:
        key.write(0, b"taken")
    assert error.value.code == Error.GENERAL_FAILURE
    assert is_delivered(other, mail) is False
    assert other.read_file(queue)[:5] == bytes(5)

    # It begins anew.
    deliver(client, mail).close()
    assert is_delivered(other, mail)


@pytest.mark.parametrize("way", [tree_disconnect, reset])
def test_what_it_is_to_delete_when_it_closes_is_kept(server, machines, other,
                                                     mail, way):
    """smbd deletes as the share's user what it closes because its client is
    gone; by then what that has done with it is undone."""
    client = machines.new()
    routing = mail.smb("P1", "00000001.P1")
    other.write_file(routing, b"routing")
    client.open_nt(routing, access=DELETE_ACCESS, share=7,
                   options=DELETE_ON_CLOSE)
    with client.open(mail.smb("MBG", "INQUEUE3.MBG")) as mbg:
        mbg.write(0, b"header")
    client.open(mail.smb("KEY", "INQUEUE3.KEY")).write(0, b"taken")
    way(server, client)
    assert other.read_file(mail.smb("KEY", "INQUEUE3.KEY"))[:5] == bytes(5)
    assert other.read_file(routing) == b"routing"
