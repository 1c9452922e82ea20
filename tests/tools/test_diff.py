# SPDX-License-Identifier: BSD-2-Clause
"""poctl diff: what an import of a directory would change."""

import errno
import json
import os
import shutil

import pytest

import trees
from commands import FAILED, USAGE, refuses
from harness import poctl, program, run

READ_ONLY = 1
SYSTEM = 4


@pytest.fixture(name="store")
def fixture_store(source, tmp_path):
    """What was imported from the source."""
    trees.write(source / "GLB" / "LOCKED.GLB", b"r", mode=0o444)
    trees.write(source / "MAI" / "MA3" / "lower.mai", b"l")
    poctl("import", tmp_path / "store", source)
    return tmp_path / "store"


def differences(*arguments):
    """{(what, path): (in the store, in the directory)}"""
    done = poctl("diff", "--json", *arguments, check=False)
    rows = json.loads(done.stdout)["differences"]
    assert done.returncode == (FAILED if rows else 0)
    found = {(row["what"], row["path"]): (row["store"], row["directory"])
             for row in rows}
    assert len(found) == len(rows)
    return found


def dos_attribute(attributes):
    """As smbd keeps it: an old one, text."""
    return f"0x{attributes:x}".encode()


def test_what_was_imported_is_the_same(store, source):
    before = trees.describe(source)
    assert differences(store, source) == {}
    trees.assert_same(trees.describe(source), before)
    count = len([path for path in source.rglob("*") if path.is_file()])
    assert f"have the same {count} files" in poctl(
        "diff", store, source).stdout
    assert poctl("diff", "--quiet", store, source).stdout == ""


def test_what_was_exported_is_the_same(store, tmp_path):
    poctl("export", store, tmp_path / "out")
    assert differences(store, tmp_path / "out") == {}


def test_lock_files_are_no_difference(store, source):
    trees.write(source / "P1" / "INQUEUE.0LK")
    assert differences(store, source) == {}


def test_each_difference_is_told_with_its_place(store, source):
    key = source / "KEY" / "00000001.KEY"
    content = bytearray(key.read_bytes())
    content[300] = 0xA5
    trees.write(key, content)
    trees.write(source / "GLB" / "CONTROL.GLB", bytes(9))
    os.utime(source / "MBG" / "INQUEUE3.MBG", ns=(0, trees.TIME_NS + 1))
    os.setxattr(source / "GLB" / "LOCKED.GLB", "user.DOSATTRIB",
                dos_attribute(READ_ONLY | SYSTEM))
    os.setxattr(source / "INF", "user.DOSATTRIB", dos_attribute(SYSTEM))
    (source / "KEY" / "INQUEUE3.KEY").unlink()
    (source / "KEY" / "INQUEUE3.KEY").mkdir()
    shutil.rmtree(source / "ATT")
    trees.write(source / "NEW" / "below" / "file")
    trees.write(source / "MAI" / "MA1" / "NEW.MAI")
    (source / "link").symlink_to("KEY")

    found = differences(store, source)

    times = found.pop(("modified", "MBG/INQUEUE3.MBG"))
    assert times[0].endswith("456789012") and times[1].endswith("456789013")
    assert found == {
        ("content", "KEY/00000001.KEY"): ("00 at byte 300", "A5"),
        ("size", "GLB/CONTROL.GLB"): ("8", "9"),
        ("attributes", "GLB/LOCKED.GLB"): ("R", "RS"),
        ("attributes", "INF"): ("", "S"),
        ("type", "KEY/INQUEUE3.KEY"): ("file", "directory"),
        ("name", "ATT"): ("directory", ""),
        ("name", "NEW"): ("", "directory"),
        ("name", "MAI/MA1/NEW.MAI"): ("", "file"),
        ("name", "link"): ("", "refused: it is a symbolic link"),
    }
    reason = refuses(FAILED, "diff", store, source)
    assert reason == f"{store} and {source}: 10 differences"


def test_a_large_file_is_compared_to_its_end(tmp_path):
    trees.write(tmp_path / "source" / "BIG", bytes(3_000_000))
    poctl("import", tmp_path / "store", tmp_path / "source")
    assert differences(tmp_path / "store", tmp_path / "source") == {}
    trees.write(tmp_path / "source" / "BIG", bytes(2_999_999) + b"x")
    assert differences(tmp_path / "store", tmp_path / "source") == {
        ("content", "BIG"): ("00 at byte 2999999", "78")}


def test_a_part_can_be_compared(source, tmp_path):
    poctl("import", "--postoffice", "PO", tmp_path / "store", source)
    assert differences("--postoffice", "po", tmp_path / "store",
                       source) == {}
    assert differences("--postoffice", "PO/KEY", tmp_path / "store",
                       source / "KEY") == {}
    assert ("name", "PO") in differences(tmp_path / "store", source)
    reason = refuses(FAILED, "diff", "--postoffice", "NO", tmp_path / "store",
                     source)
    assert "has no folder NO" in reason


def test_it_works_beside_a_writer(store, source, holder):
    holder(store)
    assert differences(store, source) == {}


def test_what_was_undone_is_no_difference(store, source):
    run(program("tests/tools/undo"), store, "who", "why",
        "write", "GLB/CONTROL.GLB", "undone")
    assert differences(store, source) == {}


def test_what_cannot_be_read_is_an_error(store, tmp_path):
    assert os.strerror(errno.ENOENT) in refuses(
        FAILED, "diff", store, tmp_path / "nothing")
    assert "is not a directory" in refuses(
        FAILED, "diff", store, store / "data.mdb")
    refuses(FAILED, "diff", tmp_path / "nothing", tmp_path / "source")


@pytest.mark.parametrize("place", ["", "below"])
def test_a_store_inside_the_directory_is_a_mistake(store, tmp_path, place):
    """To read it as a tree would end what keeps others from writing over it."""
    directory = tmp_path / "top"
    (directory / place).parent.mkdir(parents=True, exist_ok=True)
    store.rename(directory / place)
    (tmp_path / "link").symlink_to(directory / place)
    for name in (directory / place, tmp_path / "link"):
        assert "inside" in refuses(USAGE, "diff", name, directory)
