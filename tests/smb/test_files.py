# SPDX-License-Identifier: BSD-2-Clause
"""Everything that a DOS client does with files and directories."""

import os
import random

from smb1 import Access, Attr, Deny, Error, Mode

RECORD_SIZE = 116
KEY_SIZE = 560


def names(entries):
    return {entry.name for entry in entries} - {".", ".."}


def test_a_file_is_created_written_read_and_deleted(any_client, office,
                                                    refused):
    name = office.smb("P1", "00000001.P1")
    with any_client.open(name, mode=Mode.CREATE, deny=Deny.ALL) as file:
        file.write(0, b"envelope")
    assert any_client.read_file(name) == b"envelope"
    assert (office.path / "P1" / "00000001.P1").read_bytes() == b"envelope"

    any_client.delete(name)
    with refused(Error.FILE_NOT_FOUND):
        any_client.open(name)
    assert not os.listdir(office.path / "P1")


def test_create_truncates_and_create_new_refuses(any_client, office, refused):
    name = office.smb("MAI", "MA1", "00000001.MAI")
    with any_client.create(name) as file:
        file.write(0, b"first")
    with any_client.create(name) as file:
        file.write(0, b"2")
    assert any_client.read_file(name) == b"2"

    with refused(Error.FILE_EXISTS):
        any_client.create_new(name)
    with refused(Error.FILE_EXISTS):
        any_client.open(name, mode=Mode.CREATE | Mode.FAIL_IF_EXISTS)
    assert any_client.read_file(name) == b"2"


def test_opening_can_truncate(any_client, office):
    name = office.smb("GLB", "FLAG.GLB")
    any_client.write_file(name, b"12345678")
    with any_client.open(name, mode=Mode.TRUNCATE) as file:
        assert file.read(0, 100) == b""
    assert any_client.info(name).size == 0


def test_writing_nothing_sets_the_size(any_client, office):
    name = office.smb("GLB", "SYSTEM.GLB")
    with any_client.create(name) as file:
        file.write(0, b"12345678")
        file.truncate(3)
        assert file.read(0, 100) == b"123"
        file.truncate(6)
        assert file.read(0, 100) == b"123\0\0\0"
    assert any_client.info(name).size == 6


def test_an_nt_client_sets_the_size(client, office):
    name = office.smb("GLB", "SYSTEM.GLB")
    with client.create(name) as file:
        client.set_size(file, 100000)
    assert client.read_file(name) == bytes(100000)


def test_a_file_is_renamed(any_client, office, refused):
    mbg = office.smb("MBG")
    any_client.write_file(mbg + r"\COPY.MBG", b"new")
    any_client.write_file(mbg + r"\0000000A.MBG", b"old")
    with refused(Error.ALREADY_EXISTS):
        any_client.rename(mbg + r"\COPY.MBG", mbg + r"\0000000A.MBG")

    any_client.delete(mbg + r"\0000000A.MBG")
    any_client.rename(mbg + r"\COPY.MBG", mbg + r"\0000000A.MBG")
    assert any_client.read_file(mbg + r"\0000000A.MBG") == b"new"
    assert names(any_client.search(mbg + r"\*.*")) == {"0000000A.MBG"}


def test_a_file_moves_to_another_directory(any_client, office):
    any_client.write_file(office.smb("P1", "00000001.P1"), b"x")
    target = office.smb("MAI", "MA1", "00000001.MAI")
    any_client.rename(office.smb("P1", "00000001.P1"), target)
    assert any_client.read_file(target) == b"x"
    assert not names(any_client.search(office.smb("P1", "*.*")))


def test_directories_are_made_and_removed(any_client, office, refused):
    fax = office.smb("FAX")
    any_client.mkdir(fax)
    any_client.check_directory(fax)
    any_client.write_file(fax + r"\ERR.LOG", b"x")
    with refused(Error.NOT_EMPTY):
        any_client.rmdir(fax)
    any_client.delete(fax + r"\ERR.LOG")
    any_client.rmdir(fax)
    with refused(Error.PATH_NOT_FOUND):
        any_client.check_directory(fax)


def test_a_missing_directory_is_not_a_missing_file(any_client, office, refused):
    with refused(Error.PATH_NOT_FOUND):
        any_client.open(office.smb("NOWHERE", "A.KEY"))
    with refused(Error.FILE_NOT_FOUND):
        any_client.open(office.smb("KEY", "NOWHERE.KEY"))


def test_a_listing_is_complete(any_client, office):
    wanted = {f"{n:08X}.MAI" for n in range(300)}
    for name in wanted:
        path = office.path / "MAI" / "MA0" / name
        path.write_bytes(b"")
    assert names(any_client.search(office.smb("MAI", "MA0", "*.*"))) == wanted
    assert names(any_client.search(office.smb("MAI", "MA0", "????????.???"))) \
        == wanted
    assert names(any_client.search(office.smb("MAI", "MA0", "0000001?.MAI"))) \
        == {f"{n:08X}.MAI" for n in range(0x10, 0x20)}
    if any_client.dialect != "LANMAN1.0":
        assert names(any_client.find(office.smb("MAI", "MA0", "*"))) == wanted
    assert any_client.search(office.smb("MAI", "MA0", "*.KEY")) == []


def test_a_listing_tells_sizes_and_kinds(any_client, office):
    any_client.write_file(office.smb("KEY", "A.KEY"), bytes(KEY_SIZE))
    entry, = any_client.search(office.smb("KEY", "A.KEY"))
    assert (entry.size, entry.attributes) == (KEY_SIZE, Attr.ARCHIVE)
    kinds = {entry.name: entry.attributes & Attr.DIRECTORY
             for entry in any_client.search(office.smb("*.*"))}
    assert kinds["KEY"] and kinds["MAI"]


def test_a_key_is_changed_in_place(any_client, office):
    name = office.smb("KEY", "0000000A.KEY")
    any_client.write_file(name, bytes(KEY_SIZE))
    with any_client.open(name, deny=Deny.ALL) as key:
        key.write(48 + 7, b"\x80")
        key.write(0, b"\x01\x00")
    wanted = bytearray(KEY_SIZE)
    wanted[48 + 7], wanted[0] = 0x80, 1
    assert any_client.read_file(name) == wanted
    assert any_client.info(name).size == KEY_SIZE


def test_a_mailbag_grows_by_records(any_client, office):
    name = office.smb("MBG", "0000000A.MBG")
    any_client.create(name).close()
    records = [bytes([n]) * RECORD_SIZE for n in range(1, 30)]
    for n, record in enumerate(records):
        with any_client.open(name, deny=Deny.WRITE) as mbg:
            assert mbg.size == n * RECORD_SIZE
            mbg.write(mbg.size, record)
    assert any_client.read_file(name) == b"".join(records)


def test_a_large_file_comes_back_as_it_was(any_client, office):
    name = office.smb("ATT", "AT1", "00000001.ATT")
    content = random.Random(7).randbytes(3 * 1024 * 1024 + 17)
    any_client.write_file(name, content)
    assert any_client.read_file(name) == content
    stored = office.path / "ATT" / "AT1" / "00000001.ATT"
    assert stored.read_bytes() == content


def test_what_was_never_written_reads_as_zeros(any_client, office):
    name = office.smb("GLB", "00000002.MMF")
    with any_client.create(name) as file:
        file.write(1_500_000, b"end")
        file.write(700_001, b"middle")
    content = any_client.read_file(name)
    assert len(content) == 1_500_003
    assert content[700_001:700_007] == b"middle"
    assert content[-3:] == b"end"
    assert not any(content[:700_001]) and not any(content[700_007:-3])


def test_an_attachment_with_a_gap_is_one_that_did_not_arrive(
        any_client, office, place, refused):
    name = office.smb("ATT", "AT2", "00000002.ATT")
    file = any_client.create(name)
    file.write(1_000, b"end")
    if place.is_pofs:
        with refused(Error.GENERAL_FAILURE):
            file.close()
        with refused(Error.FILE_NOT_FOUND):
            any_client.open(name)
        file = any_client.create_new(name)
        file.write(1_000, b"end")
    file.write(0, bytes(1_000))
    file.close()
    assert any_client.read_file(name) == bytes(1_000) + b"end"


def test_a_file_is_written_backwards_and_over_itself(any_client, office):
    name = office.smb("GLB", "00000003.MMF")
    dice = random.Random(3)
    wanted = bytearray(200_000)
    with any_client.create(name) as file:
        for _ in range(100):
            at = dice.randrange(195_000)
            piece = dice.randbytes(dice.randrange(1, 5000))
            file.write(at, piece)
            wanted[at:at + len(piece)] = piece
        file.write(199_999, b"\0")
        assert file.read(0, 300_000) == wanted
    assert any_client.read_file(name) == wanted


def test_a_dos_client_is_told_of_less_than_2_gib(any_client, office, place):
    disk = any_client.disk()
    assert 0 < disk.free <= disk.total
    # On a larger plain disk smbd itself clips what it tells LANMAN clients
    # only; of pofs nobody hears more, local programs neither.
    if place.is_pofs:
        assert disk.free < 2**31
        room = os.statvfs(place.path)
        assert room.f_bavail * room.f_frsize < 2**31


def test_a_handle_for_reading_cannot_write(any_client, office, refused):
    name = office.smb("KEY", "A.KEY")
    any_client.write_file(name, bytes(KEY_SIZE))
    with any_client.open(name, Access.READ) as key:
        with refused(Error.ACCESS_DENIED):
            key.write(0, b"x")
    assert any_client.read_file(name) == bytes(KEY_SIZE)


def test_several_postoffices_live_side_by_side(any_client, place, office):
    second = type(office)(place)
    for number, one in enumerate((office, second)):
        any_client.write_file(one.smb("KEY", "INQUEUE3.KEY"), bytes([number]))
    assert any_client.read_file(office.smb("KEY", "INQUEUE3.KEY")) == b"\0"
    assert any_client.read_file(second.smb("KEY", "INQUEUE3.KEY")) == b"\1"
