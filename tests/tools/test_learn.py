# SPDX-License-Identifier: BSD-2-Clause
"""How KEY files lie: learnt from a mailbag that is watched."""

import json
import os

import pytest

from commands import FAILED, USAGE, calls_of, refuses
from harness import poctl
from licensed import Licensed

MAILBAG = "0000000A"
NOBODY = 65534


def steps_of(tmp_path, **layout):
    """The arguments for a whole lesson with such a mailbag."""
    copy = Licensed(tmp_path / "live", MAILBAG, **layout)
    words = []

    def keep(deleted=""):
        to = tmp_path / f"step{len(words) // 2}"
        for kind in ("KEY", "MBG"):
            (to / kind).mkdir(parents=True)
            name = f"{kind}/{MAILBAG}.{kind}"
            (to / name).write_bytes((copy.top / name).read_bytes())
        words.extend(["--after" if words else "--before", f"{to}{deleted}"])
    keep()
    copy.deliver(4)
    keep()
    for record in (1, 9, 17, 33):
        copy.delete(record)
        keep(f":{record}")
        if record < 33:
            copy.deliver({1: 10, 9: 18, 17: 34}[record] -
                         len(copy.slots) + 1)
            keep()
    return ["--mailbag", MAILBAG, *words]


@pytest.mark.parametrize("layout", [
    {}, {"offset": 0}, {"order": "msb"}, {"deleted": 0},
    {"offset": 17, "order": "msb", "deleted": 0}, {"word": 2},
    {"offset": 5, "order": "msb", "deleted": 0, "word": 4}], ids=str)
def test_a_layout_is_learnt_and_written(store, tmp_path, layout):
    words = steps_of(tmp_path, **layout)
    config = store.path / "pofs.conf"
    config.write_text("# mine\n[mount]\nuid = 5\n")
    told = json.loads(poctl("learn", "--json", *words, store.path).stdout)
    wanted = {"offset": 48, "order": "lsb", "deleted": 1, "word": 1,
              **layout}
    assert told == {"settled": True, "left": 1, "candidates": [wanted],
                    "written": str(config)}
    text = config.read_text()
    assert text.startswith("# mine\n") and "[mount]\nuid=5\n" in text
    lines = text.split("[key-layout]\n")[1].split()
    assert lines == [f"{key}={value}" for key, value in wanted.items()] + [
        "confirmed=yes"]


def test_a_dry_run_and_another_file(store, tmp_path):
    words = steps_of(tmp_path)
    text = poctl("learn", "-n", *words, store.path).stdout
    assert "offset=48 order=lsb deleted=1 confirmed=yes" in text
    assert "KEY 0x030: 00 -> 02" in text
    assert not (store.path / "pofs.conf").exists()
    poctl("learn", "--config", tmp_path / "other", *words, store.path)
    assert "confirmed=yes" in (tmp_path / "other").read_text()
    assert not (store.path / "pofs.conf").exists()


def test_a_layout_belongs_to_the_stores_owner(store, tmp_path):
    """What root has written is given away before it has its name: by then the
    owner of the directory may have put a link there."""
    words = steps_of(tmp_path)
    os.chown(store.path, NOBODY, NOBODY)
    calls = calls_of(tmp_path / "calls", "/chown,/^rename", "learn", *words,
                     store.path)
    assert [call.split("(")[0] for call in calls if "(" in call] == [
        "fchown", "rename"]
    config = store.path / "pofs.conf"
    assert "confirmed=yes" in config.read_text()
    assert (config.stat().st_uid, config.stat().st_gid) == (NOBODY, NOBODY)
    assert config.stat().st_mode & 0o777 == 0o600


def test_no_link_is_followed_to_what_is_not_the_owners(store, tmp_path):
    words = steps_of(tmp_path)
    os.chown(store.path, NOBODY, NOBODY)
    secret = tmp_path / "secret"
    secret.write_text("[secret]\nword=sesame\n")
    config = store.path / "pofs.conf"
    config.symlink_to(secret)
    assert refuses(FAILED, "learn", *words, store.path) == \
        f"{config} is a symbolic link"
    assert config.is_symlink() and secret.stat().st_uid == 0
    assert sorted(os.listdir(store.path)) == [
        "data.mdb", "lock.mdb", "pofs.conf", "writer"]


def test_nothing_is_written_of_what_is_not_settled(store, tmp_path):
    words = steps_of(tmp_path)
    for kept, sentence in ((6, "whose record is 0 to 7"),
                           (10, "whose record is 8 to 15"),
                           (14, "whose record is 16 to 31"),
                           (18, "whose record is 32 to 4095")):
        assert sentence in refuses(
            FAILED, "learn", *words[:kept], store.path)
    told = json.loads(poctl("learn", "--json", *words[:6], store.path,
                            check=False).stdout)
    assert not told["settled"] and len(told["candidates"]) == told["left"] > 1
    # The wrong record is said to be deleted.
    assert "no layout that is known" in refuses(
        FAILED, "learn", *words[:-1], words[-1].replace(":33", ":32"),
        store.path)
    assert not (store.path / "pofs.conf").exists()


def test_what_makes_no_sense_is_refused(store, tmp_path):
    words = steps_of(tmp_path)
    for given, sentence in (
            ([], "needs --mailbag"),
            (["--mailbag", MAILBAG], "on a terminal"),
            (words[:4], "need each other"),
            (["--mailbag", "../X", *words[2:]], "is no mailbag"),
            ([*words[:-1], words[-1] + "x"], "is no record's number")):
        assert sentence in refuses(USAGE, "learn", *given, store.path)
    assert "no record 99" in refuses(
        FAILED, "learn", *words[:-1], words[-1].replace(":33", ":99"),
        store.path)
    assert "cannot read" in refuses(
        FAILED, "learn", *words[:-1], tmp_path / "none", store.path)
    (tmp_path / "step0" / "KEY" / f"{MAILBAG}.KEY").write_bytes(b"short")
    assert "has not 560 bytes" in refuses(
        FAILED, "learn", *words, store.path)


def test_what_was_confirmed_is_not_replaced(store, tmp_path):
    words = steps_of(tmp_path)
    config = store.path / "pofs.conf"
    config.write_text("[key-layout]\noffset=3\nconfirmed=yes\n")
    before = config.read_bytes()
    assert "offset=3 order=lsb deleted=1 confirmed=yes\", which " \
        "contradicts" in refuses(FAILED, "learn", *words, store.path)
    assert config.read_bytes() == before
    config.write_text("[key-layout]\noffset=3\n")
    poctl("learn", *words, store.path)
    before = config.read_bytes()
    assert b"offset=48" in before
    poctl("learn", *words, store.path)
    assert config.read_bytes() == before
