# SPDX-License-Identifier: BSD-2-Clause
"""What clients find after the server, or what is under it, was restarted."""

import random

import pytest

from harness import wait_until
from place import ONLY_POFS
from smb1 import Deny, Disconnected, Error, Mode, SmbError
from smbd import SHARE


@pytest.fixture
def files(office):
    """Names and contents of a small postoffice's worth of files."""
    dice = random.Random(11)
    made = {office.smb("KEY", f"{n:08X}.KEY"): dice.randbytes(560)
            for n in range(20)}
    made.update({office.smb("MBG", f"{n:08X}.MBG"):
                 dice.randbytes(116 * (n % 5)) for n in range(20)})
    made[office.smb("ATT", "AT1", "00000001.ATT")] = dice.randbytes(1_500_000)
    return made


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_data_survives(place, machines, files, how):
    client = machines.new()
    for name, content in files.items():
        client.write_file(name, content)
    with client.open(name) as last:
        last.flush()
    client.disconnect()
    getattr(place, how)()

    client = machines.new()
    for name, content in files.items():
        assert client.read_file(name) == content
    if place.is_pofs:
        place.store.check()


@ONLY_POFS
def test_what_a_client_flushed_survives_a_crash(place, server, machines,
                                                office):
    """Also if the client is in the middle of its work then."""
    client = machines.new()
    name = office.smb("GLB", "SYSTEM.GLB")
    file = client.open(name, deny=Deny.ALL, mode=Mode.CREATE)
    file.write(0, b"\x05" * 560)
    file.flush()
    place.crash()

    with pytest.raises((SmbError, Disconnected)):
        file.read(0, 560)
    server.close_share(SHARE)
    assert machines.new().read_file(name) == b"\x05" * 560


@ONLY_POFS
def test_half_a_transaction_survives_in_the_quarantine(place, server, machines,
                                                       office, tmp_path,
                                                       refused):
    """What it had flushed was not to be seen yet, but is not lost either."""
    client = machines.new()
    name = office.smb("MAI", "MA7", "00000017.MAI")
    client.write_file(office.smb("KEY", "A.KEY"), bytes(560))
    key = client.open(office.smb("KEY", "A.KEY"), deny=Deny.ALL)
    client.write_file(name, b"message")
    key.write(0, b"\x05" * 560)
    key.flush()
    place.crash()

    server.close_share(SHARE)
    client = machines.new()
    assert client.read_file(office.smb("KEY", "A.KEY")) == bytes(560)
    with refused(Error.FILE_NOT_FOUND):
        client.open(name)
    (reason, files), = wait_until(place.store.undone, "the quarantine is written")
    assert reason == "the server ended"
    assert {path.rpartition("/")[2]: what for path, what in files.items()} == {
        "00000017.MAI": "created", "A.KEY": "changed"}


@ONLY_POFS
def test_clients_come_back_once_the_share_was_closed(place, server, machines,
                                                     office):
    client = machines.new()
    with client.create(office.smb("GLB", "A.GLB")) as file:
        file.flush()
    place.crash()
    server.close_share(SHARE)
    again = machines.new()
    again.write_file(office.smb("GLB", "B.GLB"), b"y")
    assert again.read_file(office.smb("GLB", "B.GLB")) == b"y"


@ONLY_POFS
def test_an_unmounted_share_does_not_exist(place, machines, office, refused):
    """Clients must not write into the directory under the mount point."""
    place.mount.unmount()
    with refused(Error.ACCESS_DENIED):
        machines.new()
    place.remount()
    assert machines.new().info(office.smb("KEY")).attributes


def test_locks_end_with_smbd(server, machines, office, place, refused):
    """A restarted smbd starts without old deny modes, locks or lock files."""
    name = office.smb("P1", "0000000E.0LK")
    machines.new().open(name, deny=Deny.ALL, mode=Mode.CREATE)
    server.restart()
    client = machines.new()
    if place.is_pofs:
        client.create_new(name).close()
    else:
        with refused(Error.FILE_EXISTS):
            client.create_new(name)
    client.open(name, deny=Deny.ALL).close()
