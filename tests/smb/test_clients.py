# SPDX-License-Identifier: BSD-2-Clause
"""Clients that others wrote, old and new, one at a time and all at once."""

import hashlib
import random
import struct
import subprocess
import threading

import pytest
from impacket import smb as impacket_smb

from harness import run, tool
from smb1 import Access, Attr, Client, Deny, Error, SmbError
from smbd import SHARE

KEY = bytes(range(256)) * 2 + bytes(48)


def smbclient(server, protocol, commands):
    """Runs commands of smbclient and returns what it prints."""
    return run(tool("smbclient"), f"//127.0.0.1/{SHARE}", "-p", server.port,
               "-U%", "-s", "/dev/null",
               "--option", f"client min protocol={protocol}",
               "--option", f"client max protocol={protocol}", "-c", commands)


@pytest.mark.parametrize("protocol", ["LANMAN1", "LANMAN2", "NT1", "SMB2_02",
                                      "SMB3_00", "SMB3_11"])
def test_smbclient_copies_a_tree_both_ways(server, office, tmp_path, protocol):
    source = tmp_path / "A.KEY"
    source.write_bytes(random.Random(1).randbytes(300_000))
    smbclient(server, protocol,
              f'cd {office.name}/KEY; put "{source}" A.KEY; '
              f'rename A.KEY B.KEY; mkdir SUB; put "{source}" SUB/C.KEY; get B.KEY "{tmp_path}/B"; '
              f'get SUB/C.KEY "{tmp_path}/C"; del SUB/C.KEY; rmdir SUB')
    for copy in ("B", "C"):
        assert (tmp_path / copy).read_bytes() == source.read_bytes()
    assert [path.name for path in (office.path / "KEY").iterdir()] == ["B.KEY"]


@pytest.mark.parametrize("protocol", ["NT1", "SMB3_11"])
def test_smbclient_lists_what_dos_attributes_say(server, client, office,
                                                 protocol):
    client.write_file(office.smb("KEY", "A.KEY"), KEY)
    client.set_info(office.smb("KEY", "A.KEY"), Attr.READ_ONLY | Attr.HIDDEN)
    listing = smbclient(server, protocol, f"ls {office.name}/KEY/A.*").stdout
    line, = [line for line in listing.splitlines() if "A.KEY" in line]
    name, attributes, size = line.split()[:3]
    assert (name, set(attributes) - {"N"}, size) == ("A.KEY", set("RH"), "560")


@pytest.fixture
def impackets(server):
    """Two connections of impacket's SMB1 client, and the share's tree."""
    made = []
    for _ in range(2):
        connection = impacket_smb.SMB("SERVER", "127.0.0.1",
                                      sess_port=server.port, timeout=30)
        connection.login("", "")
        tree = connection.tree_connect_andx(rf"\\127.0.0.1\{SHARE}",
                                            password="")
        made.append((connection, tree))
    yield made
    for connection, _ in made:
        connection.close_session()


def test_impacket_sees_the_same_deny_modes(impackets, office):
    """A second opinion on our own client, from other people's code."""
    (first, tree), (second, second_tree) = impackets
    name, create, both = office.smb("GLB", "SYSTEM.GLB"), 0x11, 2
    deny_all, deny_none = Deny.ALL << 4, Deny.NONE << 4
    fid = first.open_andx(tree, name, create, both | deny_all)[0]
    with pytest.raises(impacket_smb.SessionError) as error:
        second.open_andx(second_tree, name, 1, both | deny_none)
    sharing_violation = 0xC0000043  # it has asked for NT statuses
    assert error.value.get_error_code() == sharing_violation
    first.write_andx(tree, fid, KEY, 0)
    first.close(tree, fid)
    fid = second.open_andx(second_tree, name, 1, both | deny_none)[0]
    assert second.read_andx(second_tree, fid, 0, 1000) == KEY
    second.close(second_tree, fid)


def test_impacket_sees_the_same_range_locks(impackets, client, office, refused):
    (first, tree), _ = impackets
    name = office.smb("GLB", "SYSTEM.GLB")
    client.write_file(name, KEY)
    fid = first.open_andx(tree, name, 1, 2 | Deny.NONE << 4)[0]
    packet = impacket_smb.NewSMBPacket()
    packet["Tid"] = tree
    command = impacket_smb.SMBCommand(first.SMB_COM_LOCKING_ANDX)
    command["Parameters"] = struct.pack("<BBHHBBIHH", 0xFF, 0, 0, fid, 0, 0, 0,
                                        0, 1)
    command["Data"] = struct.pack("<HII", 1, 0, 5)
    packet.addCommand(command)
    first.sendSMB(packet)
    assert first.recvSMB().isValidAnswer(first.SMB_COM_LOCKING_ANDX)
    with client.open(name) as file:
        with refused(Error.LOCK_VIOLATION):
            file.lock(4, 1)
        file.lock(5, 1)


def test_an_smb3_client_respects_a_dos_client(server, client, office, tmp_path):
    name = office.smb("KEY", "A.KEY")
    client.write_file(name, KEY)
    fetch = f'cd {office.name}/KEY; get A.KEY "{tmp_path}/A"'
    with client.open(name, Access.READ, Deny.ALL):
        for protocol in ("NT1", "SMB3_11"):
            with pytest.raises(Exception, match="SHARING_VIOLATION"):
                smbclient(server, protocol, fetch)
    smbclient(server, "SMB3_11", fetch)
    assert (tmp_path / "A").read_bytes() == KEY


def test_old_and_new_clients_work_at_once(server, office, tmp_path):
    """SMB1 machines deliver while SMB3 machines copy: all of it arrives."""
    big = tmp_path / "big"
    big.write_bytes(random.Random(5).randbytes(2_000_000))
    failures = []

    def dos_machine(number):
        with Client(server.port, SHARE, source=f"127.0.9.{number}",
                    dialect=("LANMAN2.1", "NT LM 0.12")[number % 2]) as one:
            for turn in range(25):
                name = office.smb("MAI", f"MA{number:X}", f"{turn:08X}.MAI")
                content = hashlib.sha256(name.encode()).digest() * 40
                one.write_file(name, content)
                if one.read_file(name) != content:
                    failures.append(name)

    def new_machine(number):
        here = tmp_path / f"back{number}"
        smbclient(server, "SMB3_11",
                  f'cd {office.name}/ATT/AT{number:X}; put "{big}" BIG.ATT; '
                  f'get BIG.ATT "{here}"')
        if here.read_bytes() != big.read_bytes():
            failures.append(str(here))

    def guarded(machine, number):
        try:
            machine(number)
        except (SmbError, OSError, AssertionError,
                subprocess.SubprocessError, Exception) as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=guarded, args=(machine, number))
               for machine in (dos_machine, new_machine)
               for number in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures
    for number in range(1, 4):
        stored = {path.name for path in
                  (office.path / "MAI" / f"MA{number:X}").iterdir()}
        assert stored == {f"{turn:08X}.MAI" for turn in range(25)}


def test_a_close_that_overtakes_its_writes_is_survived(machines, office):
    """What "aio write size = 0" in smb.conf is for: with asynchronous writes
    smbd 4.17 crashes here most of the time, and the mail is lost."""
    for turn in range(30):
        one = machines.new()
        name = office.smb("MAI", "MA0", f"{turn:08X}.MAI")
        file = one.create(name)
        pieces = [bytes([n + 1]) * 8000 for n in range(4)]
        for n, piece in enumerate(pieces):
            one.send(*file.write_request(n * 8000, piece))
        one.send(*file.close_request())
        for _ in range(len(pieces) + 1):
            one.receive()
        assert one.read_file(name) == b"".join(pieces)
        one.disconnect()
