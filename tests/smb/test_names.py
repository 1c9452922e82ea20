# SPDX-License-Identifier: BSD-2-Clause
"""Names: found in any case, kept in upper case, refused rather than mended."""

import errno
import contextlib
import os

import pytest

from place import ONLY_POFS
from smb1 import Error, Mode, SmbError

# What no DOS or Windows client can use, and how a server names it.
BAD_NAMES = ["A:B.KEY", "A*B.KEY", "A?B.KEY", 'A"B.KEY', "A<B.KEY", "A>B.KEY",
             "A|B.KEY", "A\x01B.KEY", "CON", "AUX.KEY", "LPT1.KEY"]

# What 8.3 has no room for; allowed outside a postoffice's own directories.
LONG_NAMES = ["TOOLONGNAME.KEY", "A.LONG", "A.B.C", "WITH SPACE.KEY"]


def names(entries):
    return {entry.name for entry in entries} - {".", ".."}


def test_a_name_is_found_in_any_case(any_client, office):
    any_client.write_file(office.smb("KEY", "INQUEUE3.KEY"), b"x")
    for name in ("inqueue3.key", "InQueue3.Key", "INQUEUE3.KEY"):
        assert any_client.read_file(office.smb("key", name)) == b"x"


def test_a_lower_case_name_is_stored_upper_case(any_client, office):
    """Programs take 0lk for somebody else's lock (Q129456, Q152903)."""
    any_client.write_file(office.smb("p1", "0000000e.0lk"), b"")
    assert names(any_client.search(office.smb("P1", "*.*"))) == {"0000000E.0LK"}
    assert os.listdir(office.path / "P1") == ["0000000E.0LK"]
    any_client.delete(office.smb("p1", "0000000e.0lk"))
    any_client.write_file(office.smb("p1", "0000000e.p1"), b"")
    any_client.rename(office.smb("p1", "0000000e.p1"),
                      office.smb("p1", "0000000f.p1"))
    assert os.listdir(office.path / "P1") == ["0000000F.P1"]


def test_a_lock_cannot_be_renamed(any_client, office, place, refused):
    """There would be a moment without a lock, or with two."""
    lock, other = office.smb("P1", "0000000E.0LK"), office.smb("P1", "A.0LK")
    plain = office.smb("P1", "A.P1")
    any_client.write_file(lock, b"")
    any_client.write_file(plain, b"")
    if place.is_pofs:
        for old, new in ((lock, other), (lock, office.smb("P1", "B.P1")),
                         (plain, other)):
            with refused(Error.ACCESS_DENIED):
                any_client.rename(old, new)
    assert names(any_client.search(office.smb("P1", "*.*"))) == {
        "0000000E.0LK", "A.P1"}
    any_client.delete(lock)


def test_so_is_a_name_that_a_local_program_made(any_client, office, place):
    (office.path / "P1" / "0000000e.p1").write_bytes(b"x")
    kept = "0000000E.P1" if place.is_pofs else "0000000e.p1"
    assert os.listdir(office.path / "P1") == [kept]
    assert names(any_client.search(office.smb("P1", "*.*"))) == {kept}
    assert any_client.read_file(office.smb("P1", "0000000E.P1")) == b"x"


@ONLY_POFS
def test_a_name_that_a_local_program_spells_otherwise_is_free(any_client,
                                                              office):
    """smbd opens a path without asking whether it is still there, and does not
    look the name up again when it learns that it is not."""
    log, directory = office.smb("GLB", "SESSION.LOG"), office.smb("GLB", "OLD")
    for content in (b"first", b"second", b"third"):
        any_client.mkdir(directory)
        any_client.write_file(log, content)
        assert any_client.read_file(log) == content
        if content == b"first":
            os.unlink(office.path / "GLB" / "session.log")
        else:
            os.rename(office.path / "GLB" / "session.log",
                      office.path / "GLB" / "session.old")
        os.rmdir(office.path / "GLB" / "old")
    any_client.write_file(log, b"fourth")
    os.rename(office.path / "GLB" / "SESSION.OLD",
              office.path / "GLB" / "session.log")
    assert any_client.read_file(log) == b"third"


def test_two_names_that_differ_in_case_are_one(client, office, place):
    (office.path / "KEY" / "A.KEY").write_bytes(b"first")
    try:
        os.close(os.open(office.path / "KEY" / "a.key",
                         os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        assert not place.is_pofs
    except FileExistsError:
        assert place.is_pofs


@pytest.mark.parametrize("pattern", ["*.key", "*.Key", "*.KEY", "a*.*",
                                     "?.key", "*"])
def test_a_wildcard_matches_in_any_case(any_client, office, pattern):
    any_client.write_file(office.smb("KEY", "A.KEY"), b"")
    if pattern != "*":
        any_client.write_file(office.smb("KEY", "B.OLD"), b"")
    assert names(any_client.search(office.smb("KEY", pattern))) == {"A.KEY"}
    if any_client.dialect != "LANMAN1.0":
        assert names(any_client.find(office.smb("KEY", pattern))) == {"A.KEY"}


def test_a_search_for_one_file_finds_it_in_any_case(any_client, office):
    """smbd answers with the name as asked for where the lookup succeeds."""
    any_client.write_file(office.smb("KEY", "A.KEY"), b"x")
    found, = any_client.search(office.smb("KEY", "a.Key"))
    assert (found.name.upper(), found.size) == ("A.KEY", 1)


@ONLY_POFS
@pytest.mark.parametrize("bad", BAD_NAMES + LONG_NAMES)
def test_a_bad_name_is_refused(client, office, bad):
    client.write_file(office.smb("KEY", "GOOD.KEY"), b"good")
    for attempt in (
            lambda: client.open(office.smb("KEY", bad), mode=Mode.CREATE),
            lambda: client.mkdir(office.smb("KEY", bad)),
            lambda: client.rename(office.smb("KEY", "GOOD.KEY"),
                                  office.smb("KEY", bad))):
        with pytest.raises(SmbError):
            attempt()
    assert names(client.search(office.smb("KEY", "*.*"))) == {"GOOD.KEY"}
    assert os.listdir(office.path / "KEY") == ["GOOD.KEY"]


@pytest.mark.parametrize("bad", BAD_NAMES + LONG_NAMES + ["A.", "A "])
def test_a_local_program_cannot_make_one_either(office, place, bad):
    path = office.path / "KEY" / bad
    if place.is_pofs:
        with pytest.raises(OSError) as error:
            path.write_bytes(b"")
        assert error.value.errno == errno.EINVAL
        assert os.listdir(office.path / "KEY") == []
    else:
        path.write_bytes(b"")
        assert os.listdir(office.path / "KEY") == [bad]


@pytest.mark.parametrize("name", LONG_NAMES)
def test_other_directories_take_what_windows_does(client, office, name):
    client.mkdir(office.smb("FAX"))
    client.write_file(office.smb("FAX", name), b"x")
    assert client.read_file(office.smb("FAX", name.lower())) == b"x"


def test_a_national_name_is_one_in_any_case(client, office):
    client.write_file(office.smb("KEY", "M\u00dcLLER.KEY"), b"x")
    assert client.read_file(office.smb("KEY", "m\u00fcller.key")) == b"x"
    assert os.listdir(office.path / "KEY") == ["M\u00dcLLER.KEY"]


@ONLY_POFS
@pytest.mark.parametrize("is_open", [False, True])
def test_a_file_whose_directory_gets_another_name_is_looked_up_again(
        client, office, refused, is_open):
    """A stored file cannot be opened under a lock's name; smbd, which is told
    to look again, asked for a minute, and kept all of its client's locks."""
    (office.path / "P1").rename(office.path / "P9")
    (office.path / "P9/A.0LK").write_bytes(b"plain")
    assert client.read_file(office.smb("P9", "A.0LK")) == b"plain"
    with contextlib.ExitStack() as stack:
        if is_open:
            stack.enter_context((office.path / "P9/A.0LK").open("rb"))
        (office.path / "P9").rename(office.path / "P1")
        with refused(Error.FILE_NOT_FOUND):
            client.open(office.smb("P1", "A.0LK"))
    (office.path / "P1").rename(office.path / "P9")
    assert client.read_file(office.smb("P9", "A.0LK")) == b"plain"
