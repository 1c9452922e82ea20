# SPDX-License-Identifier: BSD-2-Clause
"""Deny modes, and what becomes of a file that somebody has open.

The mail programs lock with these alone; a refusal must be the sharing
violation (32), for they take "not found" and "access denied" for something
else and lose mail over it.
"""

import errno
import os

import pytest

from harness import wait_until
from smb1 import Access, Deny, Error, Mode, SmbError

DENIED = {Deny.ALL: {Access.READ, Access.WRITE}, Deny.WRITE: {Access.WRITE},
          Deny.READ: {Access.READ}, Deny.NONE: set()}
DOES = {Access.READ: {Access.READ}, Access.WRITE: {Access.WRITE},
        Access.BOTH: {Access.READ, Access.WRITE}}

# A rival for CONTROL.GLB shall be refused as fast as by a plain directory.
MOUNT_OPTIONS = ["lock-wait-s=0"]


@pytest.fixture
def key(office):
    """The name of a KEY file that exists."""
    path = office.path / "KEY" / "0000000A.KEY"
    path.write_bytes(bytes(560))
    path.chmod(0o777)
    return office.smb("KEY", "0000000A.KEY")


@pytest.fixture
def plain(office):
    """The name of a file that any number of programs may write."""
    path = office.path / "GLB" / "SYSTEM.GLB"
    path.write_bytes(bytes(560))
    path.chmod(0o777)
    return office.smb("GLB", "SYSTEM.GLB")


def is_denied(access, deny, second_access, second_deny):
    """Whether DOS refuses the second open."""
    return bool(DENIED[deny] & DOES[second_access] or
                DENIED[second_deny] & DOES[access])


def open_each_way(client, name):
    """Tries every way to open it, and says which are refused."""
    answers = {}
    for access in Access:
        for deny in DENIED:
            try:
                client.open(name, access, deny).close()
                answers[access, deny] = False
            except SmbError as error:
                assert error.code == Error.SHARING_VIOLATION
                answers[access, deny] = True
    return answers


@pytest.mark.parametrize("access", Access)
@pytest.mark.parametrize("deny", DENIED)
def test_deny_modes_between_two_clients(client, other, plain, access, deny):
    with client.open(plain, access, deny):
        for second, is_refused in open_each_way(other, plain).items():
            assert is_refused == is_denied(access, deny, *second), second
    other.open(plain, Access.BOTH, Deny.ALL).close()


@pytest.mark.parametrize("access", Access)
@pytest.mark.parametrize("deny", DENIED)
def test_a_mailbag_has_one_writer_whatever_it_denies(client, other, key, place,
                                                     access, deny):
    with client.open(key, access, deny):
        for second, is_refused in open_each_way(other, key).items():
            both_write = Access.READ not in (access, second[0])
            assert is_refused == (is_denied(access, deny, *second) or
                                  (place.is_pofs and both_write)), second
    other.open(key, Access.BOTH, Deny.ALL).close()


def test_every_generation_keeps_out_every_other(machines, key, refused):
    dialects = ["LANMAN1.0", "LANMAN2.1", "NT LM 0.12"]
    clients = [machines.new(dialect=dialect) for dialect in dialects]
    for holder in clients:
        with holder.open(key, deny=Deny.ALL):
            for rival in clients:
                with refused(Error.SHARING_VIOLATION):
                    rival.open(key, Access.READ)


def test_windows_share_modes_meet_dos_deny_modes(client, other, key, refused):
    share_nothing, share_all = 0, 7
    with client.open_nt(key, share=share_nothing):
        with refused(Error.SHARING_VIOLATION):
            other.open(key, Access.READ, Deny.NONE)
    with client.open(key, deny=Deny.ALL):
        with refused(Error.SHARING_VIOLATION):
            other.open_nt(key, share=share_all)


def test_a_refusal_changes_nothing(client, other, key, refused, office):
    with client.open(key, deny=Deny.ALL) as file:
        file.write(0, b"\x01")
        with refused(Error.SHARING_VIOLATION):
            other.open(key, mode=Mode.TRUNCATE)
        with refused(Error.SHARING_VIOLATION):
            other.create(key)
        assert file.read(0, 1000) == b"\x01" + bytes(559)
    assert other.info(key).size == 560


def test_an_open_file_is_not_deleted_or_renamed(client, other, key, office,
                                                refused):
    for deny in DENIED:
        with client.open(key, Access.READ, deny):
            for loser in (other, client):
                with refused(Error.SHARING_VIOLATION):
                    loser.delete(key)
                with refused(Error.SHARING_VIOLATION):
                    loser.rename(key, office.smb("KEY", "B.KEY"))
    assert os.listdir(office.path / "KEY") == ["0000000A.KEY"]
    other.delete(key)
    assert not os.listdir(office.path / "KEY")


def test_a_client_cannot_delete_what_a_local_program_has_open(
        client, key, office, place, refused):
    with open(office.path / "KEY" / "0000000A.KEY", "rb"):
        if place.is_pofs:
            with refused(Error.SHARING_VIOLATION):
                client.delete(key)
            with refused(Error.SHARING_VIOLATION):
                client.rename(key, office.smb("KEY", "B.KEY"))
            assert client.info(key).size == 560
        else:
            client.rename(key, office.smb("KEY", "B.KEY"))
            client.rename(office.smb("KEY", "B.KEY"), key)
    client.delete(key)


def test_a_local_program_cannot_delete_what_a_client_has_open(
        client, key, office, place):
    path = office.path / "KEY" / "0000000A.KEY"
    spare = office.path / "KEY" / "SPARE.KEY"
    spare.write_bytes(b"spare")
    with client.open(key, Access.READ) as file:
        if place.is_pofs:
            for attempt in (lambda: os.unlink(path),
                            lambda: os.rename(path, path.with_suffix(".OLD")),
                            lambda: os.rename(spare, path)):
                with pytest.raises(OSError) as error:
                    attempt()
                assert error.value.errno == errno.ETXTBSY
            assert path.read_bytes() == bytes(560)
            assert spare.read_bytes() == b"spare"
        else:
            os.unlink(path)
        assert file.read(0, 1000) == bytes(560)
    os.rename(spare, path)
    assert client.read_file(key) == b"spare"


def test_a_lock_file_ends_with_its_owner(client, other, office, place,
                                         refused):
    """On a plain directory it stays: a stale lock (Q128913)."""
    name = office.smb("P1", "0000000E.0LK")
    client.open(name, deny=Deny.ALL, mode=Mode.CREATE)
    with refused(Error.SHARING_VIOLATION):
        other.open(name, deny=Deny.ALL)
    client.reset()

    def created():
        try:
            return other.create_new(name)
        except SmbError as error:
            assert error.code == Error.FILE_EXISTS
            return None

    if place.is_pofs:
        wait_until(created, "the dead client's lock file is gone").close()
    else:
        assert not created()
    other.delete(name)


def test_a_restarted_machine_frees_its_own_files(machines, key, refused):
    address = "127.0.3.1"
    machines.new(source=address).open(key, deny=Deny.ALL)
    with refused(Error.SHARING_VIOLATION):
        machines.new(source="127.0.3.2").open(key)
    machines.new(source=address).open(key, deny=Deny.ALL).close()


def test_a_writer_is_seen_by_readers_at_once(client, other, plain):
    with client.open(plain) as writer, \
            other.open(plain, Access.READ) as reader:
        for n in range(50):
            writer.write(n, bytes([n]))
            assert reader.read(n, 1) == bytes([n])
        writer.write(560, b"grown")
        assert reader.read(560, 10) == b"grown"
        writer.truncate(10)
        assert reader.read(0, 1000) == bytes(range(10))


def test_readers_of_a_mailbag_see_what_was_closed(client, other, key, place):
    with other.open(key, Access.READ) as reader:
        with client.open(key) as writer:
            writer.write(0, b"\x01")
            writer.write(560, b"grown")
            assert writer.read(560, 10) == b"grown"
            if place.is_pofs:
                assert reader.read(0, 1000) == bytes(560)
                assert other.info(key).size == 560
        assert reader.read(0, 1000) == b"\x01" + bytes(559) + b"grown"
        assert other.info(key).size == 565


def test_clients_and_local_programs_see_each_other(client, plain, office):
    path = office.path / "GLB" / "SYSTEM.GLB"
    with open(path, "r+b", buffering=0) as local, client.open(plain) as file:
        for n in range(50):
            file.write(0, bytes([n]))
            assert os.pread(local.fileno(), 1, 0) == bytes([n])
            os.pwrite(local.fileno(), bytes([n]), 560 + n)
            assert file.read(560 + n, 10) == bytes([n])


def test_deliveries_of_two_clients_do_not_mix(client, other, office):
    """CONTROL.GLB hands each number out once, under deny-all."""
    control = office.smb("GLB", "CONTROL.GLB")
    client.write_file(control, bytes(8))
    taken = []
    for turn in range(40):
        machine = (client, other)[turn % 2]
        rival = (other, client)[turn % 2]
        with machine.open(control, deny=Deny.ALL) as file:
            with pytest.raises(SmbError):
                rival.open(control, deny=Deny.ALL)
            number = int.from_bytes(file.read(4, 4), "little") + 1
            file.write(4, number.to_bytes(4, "little"))
        taken.append(number)
    assert taken == list(range(1, 41))
