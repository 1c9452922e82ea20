# SPDX-License-Identifier: BSD-2-Clause
"""The forms of a mailbag's lock over SMB, and the errors that tell of them.

Programs take "not found" (2) and "access denied" (5) for something else than
a lock and lose mail over it; so each form has its own error, and no other:
32 for opening and deleting, 80 for creating anew, 33 for a byte range.
"""

import os
import struct

import pytest

from delivery import deliver, is_delivered
from harness import wait_until
from place import ONLY_POFS
from smb1 import Access, Command, Deny, Error, Mode, SmbError

pytestmark = ONLY_POFS

# Long enough to be told from a refusal at once, which is what an echo is for.
MOUNT_OPTIONS = ["lock-wait-s=2"]

DELETE_ON_CLOSE = 0x1000
DELETE_ACCESS = 0x00010000

INQUEUE = [("KEY", "INQUEUE.KEY"), ("MBG", "INQUEUE3.MBG")]


def names_in_p1(client, office):
    """What a client finds there."""
    return {entry.name for entry in client.search(office.smb("P1", "*.*"))
            } - {".", ".."}


def is_refused_after_waiting(client, name, access):
    """Opens a file and checks that this takes its time, and then fails with
    a sharing violation; meanwhile the client is served."""
    client.send(*client.open_request(name, access))
    client.send(*client.echo_request())
    assert client.receive().command == Command.ECHO
    with pytest.raises(SmbError) as error:
        client.receive()
    assert error.value.code == Error.SHARING_VIOLATION


def create_soon(client, name):
    """Creates a lock file as soon as it is not there already."""
    def create():
        try:
            return client.create_new(name)
        except SmbError as error:
            assert error.code == Error.FILE_EXISTS
            return None
    return wait_until(create, f"{name} can be created")


# ---- kept out by an open ----------------------------------------------------


@pytest.mark.parametrize("access", [Access.READ, Access.BOTH])
@pytest.mark.parametrize("held", INQUEUE)
def test_an_inqueue_is_for_one_whatever_it_is_opened_for(client, other, mail,
                                                         held, access):
    with client.open(mail.smb(*held), access, Deny.NONE):
        for rival in INQUEUE:
            is_refused_after_waiting(other, mail.smb(*rival), Access.READ)
    other.open(mail.smb(*held), access).close()


def test_another_mailbag_is_for_one_writer(client, other, mail):
    key, mbg = mail.smb("KEY", "A.KEY"), mail.smb("MBG", "A.MBG")
    with client.open(key):
        is_refused_after_waiting(other, mbg, Access.BOTH)
        for name in (key, mbg):
            other.open(name, Access.READ).close()
    other.open(mbg).close()


def test_who_waits_is_let_in(client, other, mail):
    with client.open(mail.smb("KEY", "INQUEUE.KEY")) as file:
        other.send(*other.open_request(mail.smb("KEY", "INQUEUE.KEY")))
        other.send(*other.echo_request())
        assert other.receive().command == Command.ECHO
        file.write(0, b"\1")
    with other.opened(other.receive()) as file:
        assert file.read(0, 1) == b"\1"


@pytest.mark.parametrize("mtime", [0, 1000000000])
def test_a_message_in_the_inqueue_is_let_go_of_when_it_is_closed(
        client, other, mail, mtime):
    """Though who has put it there works another queue off, on the telephone
    perhaps, and though smbd sets the time of what was written."""
    client.create_new(mail.smb("P1", "A.0LK")).close()
    key = client.open(mail.smb("KEY", "INQUEUE3.KEY"))
    with client.open(mail.smb("MBG", "INQUEUE3.MBG")) as mbg:
        mbg.write(0, b"header")
    key.write(0, b"\1")
    key.close(mtime)
    with other.open(mail.smb("KEY", "INQUEUE3.KEY")) as file:
        assert file.read(0, 1) == b"\1"


def test_a_queue_that_ends_where_it_did_has_not_changed(client, other, mail):
    """Who works the inqueue off by its lock file, and has updated it, lets
    others have the mailbags that he delivered to; also if he then writes
    nothing at the end of the file, which is how DOS sets its size."""
    client.create_new(mail.smb("P1", "INQUEUE3.0LK")).close()
    deliver(client, mail).close()
    with client.open(mail.smb("KEY", "INQUEUE3.KEY")) as key:
        key.write(0, b"\1")
        key.truncate(560)
    with other.open(mail.smb("KEY", "A.KEY")) as file:
        assert file.read(0, 1) == b"\1"


# ---- lock files -------------------------------------------------------------


@pytest.mark.parametrize("path", [("P1", "INQUEUE.0LK"), ("P1", "inqueue3.olk"),
                                  ("INQUEUE.0LK",), ("GLB", "INQUEUE3.0LK")])
@pytest.mark.parametrize("held", INQUEUE)
def test_a_lock_file_is_there_while_the_queue_is_open(any_client, other, mail,
                                                      refused, held, path):
    name = mail.smb(*path)
    with other.open(mail.smb(*held), Access.READ):
        with refused(Error.FILE_EXISTS):
            any_client.create_new(name)
        assert any_client.info(name).size == 0
        assert {"INQUEUE.0LK", "INQUEUE3.0LK"} <= names_in_p1(any_client, mail)
        for mode in (Mode.OPEN, Mode.OPEN | Mode.CREATE,
                     Mode.TRUNCATE | Mode.CREATE):
            with refused(Error.SHARING_VIOLATION):
                any_client.open(name, mode=mode)
        with refused(Error.SHARING_VIOLATION):
            any_client.create(name)
        with refused(Error.SHARING_VIOLATION):
            any_client.delete(name)
    create_soon(any_client, name).close()
    with refused(Error.SHARING_VIOLATION):
        other.delete(name)
    any_client.delete(name)
    with refused(Error.FILE_NOT_FOUND):
        any_client.info(name)


@pytest.mark.parametrize("name", ["0000000E.0LK", "0000000e.005", "A.OLK",
                                  "INQUEUE3.0LK", "LOCKP1ID.P01"])
def test_a_lock_file_is_its_makers(any_client, other, mail, refused, name):
    name = mail.smb("P1", name)
    any_client.create_new(name).close()
    with refused(Error.FILE_EXISTS):
        other.create_new(name)
    assert other.info(name).size == 0
    with refused(Error.SHARING_VIOLATION):
        other.open(name)
    with refused(Error.SHARING_VIOLATION):
        other.delete(name)
    with refused(Error.ACCESS_DENIED):
        other.rename(name, mail.smb("P1", "X.0LK"))
    any_client.delete(name)
    create_soon(other, name).close()
    other.delete(name)


def test_other_spellings_are_the_same_lock(client, other, mail, refused):
    client.create_new(mail.smb("P1", "0000000E.0LK")).close()
    for name in ("0000000E.OLK", "0000000e.0lk", "0000000E.001"):
        with refused(Error.FILE_EXISTS):
            other.create_new(mail.smb("P1", name))
    client.delete(mail.smb("P1", "0000000E.0LK"))


def test_a_queue_that_is_locked_by_file_is_not_opened(client, other, mail):
    client.create_new(mail.smb("P1", "INQUEUE.0LK")).close()
    for path in INQUEUE:
        is_refused_after_waiting(other, mail.smb(*path), Access.READ)
        client.open(mail.smb(*path)).close()
    client.delete(mail.smb("P1", "INQUEUE.0LK"))
    other.open(mail.smb(*INQUEUE[0])).close()


def test_clients_append_to_a_queue_that_is_worked_off(client, other, mail):
    client.create_new(mail.smb("P1", "A.0LK")).close()
    with other.open(mail.smb("MBG", "A.MBG")) as file:
        file.write(0, b"header")
    assert client.read_file(mail.smb("MBG", "A.MBG")) == b"header"
    client.delete(mail.smb("P1", "A.0LK"))


def test_a_local_program_s_lock_file_is_anothers(client, mail, refused):
    path = mail.path / "P1" / "INQUEUE.0LK"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR))
    name = mail.smb("P1", "INQUEUE.0LK")
    with refused(Error.FILE_EXISTS):
        client.create_new(name)
    with refused(Error.SHARING_VIOLATION):
        client.delete(name)
    is_refused_after_waiting(client, mail.smb(*INQUEUE[0]), Access.READ)
    os.unlink(path)
    create_soon(client, name).close()
    with pytest.raises(OSError):
        os.unlink(path)
    client.delete(name)


def test_delete_on_close_lets_go(client, other, mail, refused):
    """As Windows programs make sure that a lock file goes with them."""
    name = mail.smb("P1", "INQUEUE.0LK")
    create_new = 2
    file = client.open_nt(name, access=0x0012019F | DELETE_ACCESS, share=7,
                          disposition=create_new, options=DELETE_ON_CLOSE)
    client.write_file(mail.smb("P1", "00000017.P1"), b"envelope")
    with refused(Error.FILE_EXISTS):
        other.create_new(name)
    assert names_in_p1(other, mail) >= {"INQUEUE.0LK"}
    assert "00000017.P1" not in names_in_p1(other, mail)
    file.close()
    create_soon(other, name).close()
    assert "00000017.P1" in names_in_p1(other, mail)
    other.delete(name)


# ---- byte ranges ------------------------------------------------------------


@pytest.mark.parametrize("path", [("KEY", "A.KEY"), ("MBG", "A.MBG")])
def test_a_range_of_a_mailbag_locks_all_of_it(any_client, other, mail, path,
                                              refused):
    with any_client.open(mail.smb("KEY", "A.KEY"), Access.READ) as holder, \
            other.open(mail.smb(*path), Access.READ) as rival:
        holder.lock(0, 10)
        with refused(Error.LOCK_VIOLATION):
            rival.lock(100, 10)
        is_refused_after_waiting(other, mail.smb("MBG", "A.MBG"), Access.BOTH)
        holder.unlock(0, 10)
        rival.lock(100, 10)
        with refused(Error.LOCK_VIOLATION):
            holder.lock(0, 10)
        rival.unlock(100, 10)


def test_a_range_far_above_locks_itself(client, other, mail, refused):
    far = 1 << 31
    with client.open(mail.smb("KEY", "A.KEY"), Access.READ) as holder, \
            other.open(mail.smb("KEY", "A.KEY"), Access.READ) as rival:
        holder.lock(far, 10)
        rival.lock(far + 10, 10)
        with refused(Error.LOCK_VIOLATION):
            rival.lock(far + 9, 1)
        other.open(mail.smb("MBG", "A.MBG")).close()


def test_a_range_locker_is_kept_out_by_an_open(client, other, mail, refused):
    with other.open(mail.smb("KEY", "A.KEY"), Access.READ) as rival:
        with client.open(mail.smb("MBG", "A.MBG")):
            with refused(Error.LOCK_VIOLATION):
                rival.lock(0, 1)
        rival.lock(0, 1)


def test_a_range_locker_may_wait(machines, client, mail):
    waiting = machines.new(source="127.0.2.1")
    rival = waiting.open(mail.smb("KEY", "A.KEY"), Access.READ)
    with client.open(mail.smb("KEY", "A.KEY")) as file:
        words = b"\xff\0\0\0" + struct.pack("<HBBIHH", rival.fid, 0, 0,
                                            20_000, 0, 1)
        waiting.send(Command.LOCKING, words, struct.pack("<HII", 0x1234, 0, 1))
        client.echo()
        file.write(0, b"\1")
    waiting.receive()
    assert rival.read(0, 1) == b"\1"


# ---- a lock is a transaction ------------------------------------------------


def test_the_last_close_publishes_it_all(any_client, other, mail):
    with deliver(any_client, mail):
        assert is_delivered(any_client, mail)
        assert is_delivered(other, mail) is False
    assert is_delivered(other, mail)


def test_so_does_deleting_the_lock_file(any_client, other, mail):
    lock = mail.smb("P1", "INQUEUE.0LK")
    any_client.create_new(lock).close()
    deliver(any_client, mail).close()
    assert is_delivered(other, mail) is False
    any_client.delete(lock)
    assert is_delivered(other, mail)


def test_a_message_is_published_with_its_last_close(any_client, other, mail):
    name = mail.smb("MAI", "MA7", "00000017.MAI")
    message = any_client.create(name)
    message.write(0, b"first, ")
    with any_client.open(mail.smb("KEY", "A.KEY")) as key:
        key.write(0, b"\1")
    assert other.read_file(mail.smb("KEY", "A.KEY"))[:1] == b"\0"
    assert not other.search(name)
    message.write(7, b"second")
    message.close()
    assert other.read_file(mail.smb("KEY", "A.KEY"))[:1] == b"\1"
    assert other.read_file(name) == b"first, second"
