# SPDX-License-Identifier: BSD-2-Clause
"""DOS attributes and times: kept by everything that can be restarted."""

import itertools
import os

import pytest

from place import ONLY_POFS
from smb1 import Access, Attr, Error

SETTABLE = (Attr.READ_ONLY, Attr.HIDDEN, Attr.SYSTEM, Attr.ARCHIVE)
ALL_SETS = [sum(chosen, Attr.NORMAL) for count in range(5)
            for chosen in itertools.combinations(SETTABLE, count)]
WHEN = 749_145_600  # 1993-09-27 16:00 UTC; even, as DOS counts in 2 s


def test_every_set_of_attributes_comes_back(any_client, office):
    for number, attributes in enumerate(ALL_SETS):
        name = office.smb("GLB", f"{number}.GLB")
        any_client.write_file(name, b"x")
        any_client.set_info(name, attributes)
        assert any_client.info(name).attributes == attributes
    for number, attributes in enumerate(ALL_SETS):
        entry, = any_client.search(office.smb("GLB", f"{number}.GLB"))
        assert entry.attributes == attributes


def test_attributes_and_times_survive_every_restart(place, server, machines,
                                                    office):
    """smbd's, and the file system's: in order and not."""
    client = machines.new()
    for number, attributes in enumerate(ALL_SETS):
        name = office.smb("GLB", f"{number}.GLB")
        client.write_file(name, bytes(number))
        client.set_info(name, attributes, WHEN + 2 * number)
    with client.create(office.smb("GLB", "LAST.GLB")) as last:
        last.flush()

    for restart in (server.restart, place.restart, place.crash):
        client.disconnect()
        restart()
        client = machines.new()
        for number, attributes in enumerate(ALL_SETS):
            info = client.info(office.smb("GLB", f"{number}.GLB"))
            assert info.attributes == attributes
            assert info.mtime == WHEN + 2 * number
            assert info.size == number


def test_a_file_created_with_attributes_has_them(any_client, office):
    for attributes in ALL_SETS:
        name = office.smb("GLB", f"{int(attributes)}.GLB")
        any_client.create(name, attributes).close()
        # DOS adds the archive bit to whatever is created.
        assert any_client.info(name).attributes == attributes | Attr.ARCHIVE


def test_writing_sets_the_archive_bit(any_client, office):
    name = office.smb("GLB", "A.GLB")
    any_client.write_file(name, b"x")
    any_client.set_info(name, Attr.NORMAL)
    with any_client.open(name) as file:
        file.write(0, b"y")
    assert any_client.info(name).attributes == Attr.ARCHIVE


def test_a_read_only_file_is_kept(any_client, office, refused):
    name = office.smb("GLB", "POPULATE.MSM")
    any_client.write_file(name, b"\0")
    any_client.set_info(name, Attr.READ_ONLY)
    with refused(Error.ACCESS_DENIED):
        any_client.open(name, Access.BOTH)
    with refused(Error.ACCESS_DENIED):
        any_client.delete(name)
    assert any_client.read_file(name) == b"\0"

    any_client.set_info(name, Attr.NORMAL)
    any_client.delete(name)


@ONLY_POFS
def test_the_skeleton_of_a_postoffice_is_read_only(client):
    info = client.info(r"PO\KEY\POPULATE.MSM")
    assert (info.size, info.attributes) == (1, Attr.READ_ONLY)


def test_a_hidden_file_is_listed_only_on_request(any_client, office):
    name = office.smb("GLB", "SCHEDULE.KEY")
    any_client.write_file(name, b"x")
    any_client.set_info(name, Attr.HIDDEN)
    assert any_client.search(office.smb("GLB", "*.*"), Attr.NORMAL) == []
    assert any_client.search(office.smb("GLB", "SCHEDULE.KEY"),
                             Attr.HIDDEN)


@pytest.mark.parametrize("when", [WHEN, 946_684_798, 1_709_208_000])
def test_times_are_exact(any_client, office, when):
    """Clients tell one GAL from the next by its time (Q120449)."""
    name = office.smb("GLB", "GAL.NME")
    any_client.write_file(name, b"x")
    any_client.set_info(name, Attr.NORMAL, when)
    assert any_client.info(name).mtime == when
    assert os.stat(office.path / "GLB" / "GAL.NME").st_mtime == when
    any_client.rename(name, office.smb("GLB", "GAL.OLD"))
    assert any_client.info(office.smb("GLB", "GAL.OLD")).mtime == when


def test_closing_can_set_the_time(any_client, office):
    """Of a file not written meanwhile: else smbd 4.17 puts its own."""
    name = office.smb("GLB", "A.GLB")
    any_client.write_file(name, b"x")
    any_client.open(name).close(WHEN)
    assert any_client.info(name).mtime == WHEN


def test_a_write_moves_the_time(any_client, office):
    name = office.smb("GLB", "A.GLB")
    any_client.write_file(name, b"x")
    any_client.set_info(name, Attr.NORMAL, WHEN)
    with any_client.open(name) as file:
        file.write(0, b"y")
    assert any_client.info(name).mtime > WHEN
