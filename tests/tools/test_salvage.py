# SPDX-License-Identifier: BSD-2-Clause
"""Databases that are damaged: what is lost is named, what is left is saved, and
nothing is taken for right that is not.
"""

import random
import struct

import pytest

import trees
from commands import FAILED, USAGE, refuses
from harness import poctl, program, run

PAGE = 4096
LEAF, OVERFLOW = 2, 4
FILES = 60


def content(number):
    """Of file `number`: small ones beside large ones."""
    return random.Random(number).randbytes((150, 900, 5000)[number % 3])


@pytest.fixture(name="store")
def fixture_store(tmp_path):
    """A store of two directories."""
    for number in range(FILES):
        trees.write(tmp_path / "source" / f"D{number % 2}" / f"F{number}",
                    content(number))
    poctl("import", tmp_path / "store", tmp_path / "source")
    return tmp_path / "store"


def pages_of(data, kind):
    """The pages that are of this kind, or were."""
    for at in range(2 * PAGE, len(data), PAGE):
        number, _, flags = struct.unpack_from("<QHH", data, at)
        if (number, flags) == (at // PAGE, kind):
            yield at


def flip(path, at, bit=1):
    """Changes a bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= bit
    path.write_bytes(data)


def lost_of(store, target):
    """Exports what is left; returns which files are not there. All others are
    as they were."""
    done = poctl("export", "--salvage", store, target, check=False)
    assert done.returncode == FAILED, done
    found = {path.name: path.read_bytes() for path in target.rglob("F*")}
    for name, data in found.items():
        assert data == content(int(name[1:]))
    return {f"F{number}" for number in range(FILES)} - found.keys()


def findings_of(store):
    done = poctl("check", store, check=False)
    assert done.returncode == FAILED
    return done.stdout


def test_of_a_damaged_page_the_files_are_named(store, tmp_path):
    """Of every other leaf in turn: the header, so that none of it can be believed."""
    data = store / "data.mdb"
    sound = data.read_bytes()
    lost = set()
    leaves = list(pages_of(sound, LEAF))[::2]
    for number, at in enumerate(leaves):
        flip(data, at + 12, 2)
        if poctl("check", "--quiet", store, check=False).returncode:
            missing = lost_of(store, tmp_path / f"out{number}")
            told = findings_of(store)
            assert f"page {at // PAGE}: " in told
            for name in missing:
                assert name in told
            lost |= missing
        data.write_bytes(sound)
    assert lost
    assert "is sound" in poctl("check", store).stdout


def test_nothing_else_touches_a_damaged_database(store, tmp_path):
    data = store / "data.mdb"
    for at in pages_of(data.read_bytes(), LEAF):
        flip(data, at + 12, 2)
    before = data.read_bytes()
    for command in (["export", store, tmp_path / "out"],
                    ["backup", store, tmp_path / "backup"],
                    ["import", "--postoffice", "X", store,
                     tmp_path / "source"]):
        assert "damaged" in refuses(FAILED, *command)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "backup").exists()
    done = run(program("fs/pofs"), "-f", store, tmp_path / "source",
               check=False)
    assert done.returncode == 1 and "damaged" in done.stderr
    assert "poctl check" in done.stderr
    assert data.read_bytes() == before


def test_a_lost_content_is_one_lost_file(store, tmp_path):
    data = store / "data.mdb"
    at = next(pages_of(data.read_bytes(), OVERFLOW))
    flip(data, at + 1000)
    told = findings_of(store)
    assert len(told.splitlines()) == 1
    lost, = lost_of(store, tmp_path / "out")
    assert f"/{lost}" in told and "checksum" in told


def test_a_sound_store_is_salvaged_whole(store, tmp_path):
    poctl("export", "--salvage", store, tmp_path / "out")
    poctl("diff", store, tmp_path / "out")


@pytest.mark.parametrize("size", [0, 100, 2 * PAGE, 30 * PAGE])
def test_of_a_file_that_is_cut_off_the_rest_is_saved(store, tmp_path, size):
    data = store / "data.mdb"
    data.write_bytes(data.read_bytes()[:size])
    done = poctl("export", "--salvage", store, tmp_path / "out", check=False)
    assert done.returncode == FAILED and "poctl: " in done.stderr
    for path in (tmp_path / "out").rglob("F*"):
        assert path.read_bytes() == content(int(path.name[1:]))


def test_a_check_of_mail_alone_takes_its_options(store):
    assert "--mail" in refuses(USAGE, "check", "--postoffice", "NOPE", store)
