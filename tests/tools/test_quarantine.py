# SPDX-License-Identifier: BSD-2-Clause
"""What was undone: looked at, restored, discarded."""

import datetime
import json
import os
import stat

import pytest

from commands import FAILED, USAGE, Existing, refuses
from harness import Mount, poctl, program, run

WHO = "smbd 4711 of 10.0.0.7"
REASON = "the client went away"


@pytest.fixture(name="store")
def fixture_store(tmp_path, source):
    """A postoffice that has seen some mail."""
    poctl("import", tmp_path / "store", source)
    with Existing(tmp_path / "store") as store:
        yield store


def undo(store, *steps, who=WHO, reason=REASON):
    """Leaves a transaction of these steps in the quarantine."""
    run(program("tests/tools/undo"), store.path, who, reason, *steps)


def entries(store):
    """What is in the quarantine."""
    done = poctl("quarantine", "list", "--json", store.path)
    return json.loads(done.stdout)["quarantine"]


def undo_all_kinds(store):
    """One transaction that did a bit of everything; returns its number."""
    undo(store, "write", "P1/NEW.P1", "a new one",
         "write", "KEY/00000001.KEY", "changed",
         "move", "MBG/00000001.MBG", "MBG/COPY.MBG",
         "remove", "GLB/CONTROL.GLB", "-")
    return entries(store)[-1]["id"]


def contents(top):
    """{path below the top: its bytes}"""
    return {str(path.relative_to(top)): path.read_bytes()
            for path in top.rglob("*") if path.is_file()}


def test_an_empty_quarantine(store):
    assert entries(store) == []
    text = poctl("quarantine", "list", store.path).stdout
    assert text.split() == ["ENTRY", "UNDONE", "FILES", "BYTES", "SESSION",
                            "REASON"]


def test_the_list_says_what_was_undone(store):
    before = datetime.datetime.now().astimezone()
    undo(store, "write", "P1/A.P1", "x" * 100)
    undo(store, "write", "P1/B.P1", "y", who="second", reason="broken")
    first, second = entries(store)
    assert first["id"] < second["id"]
    assert (first["who"], first["reason"]) == (WHO, REASON)
    assert (first["files"], first["bytes"]) == (1, 100)
    assert datetime.datetime.fromisoformat(
        first["begun"]).timestamp() == 791604123
    undone = datetime.datetime.fromisoformat(first["undone"])
    assert abs((undone - before).total_seconds()) < 300
    lines = poctl("quarantine", "list", store.path).stdout.splitlines()
    assert len(lines) == 3
    assert undone.strftime("%F %T") in lines[1]
    assert first["undone"] in poctl("quarantine", "list", "--iso",
                                    store.path).stdout
    assert first["undone"] in poctl("quarantine", "show", "--iso", store.path,
                                    first["id"]).stdout
    assert lines[1].endswith(f"{WHO}  {REASON}")


def test_show_says_what_happened_to_each_file(store):
    number = undo_all_kinds(store)
    told = json.loads(
        poctl("quarantine", "show", "--json", store.path, number).stdout)
    assert told["id"] == number and told["reason"] == REASON
    files = {file.pop("path"): file for file in told["files"]}
    assert {path: (file["what"], file["size"])
            for path, file in files.items()} == {
        "/P1/NEW.P1": ("created", 9),
        "/KEY/00000001.KEY": ("changed", 560),
        "/MBG/COPY.MBG": ("renamed", 116),
        "/GLB/CONTROL.GLB": ("removed", 8)}
    assert files["/P1/NEW.P1"]["staged"] == 9
    text = poctl("quarantine", "show", store.path, number).stdout
    for word in (WHO, REASON, "renamed", "/MBG/COPY.MBG"):
        assert word in text


def test_show_describes_the_entry_that_was_asked_for(store):
    for who in ("first", "second", "third"):
        undo(store, "write", f"P1/{who}.P1", "x", who=who)
    for entry in entries(store):
        told = json.loads(poctl("quarantine", "show", "--json", store.path,
                                entry["id"]).stdout)
        assert told["who"] == entry["who"]
        assert [file["path"] for file in told["files"]] == [
            f"/P1/{entry['who']}.P1".upper()]


def test_what_a_client_chose_is_harmless_on_a_terminal(store):
    undo(store, "write", "P1/A.P1", "x", who="evil \x1b[31m",
         reason="\x07ding")
    number = entries(store)[0]["id"]
    for command in (["list", store.path], ["show", store.path, number]):
        text = poctl("quarantine", *command).stdout
        assert "\x1b" not in text and "\x07" not in text
        assert "evil \\033[31m" in text


def test_restore_writes_the_files_as_the_transaction_saw_them(
        store, source, tmp_path):
    number = undo_all_kinds(store)
    out = tmp_path / "out"
    done = poctl("quarantine", "restore", store.path, number, out)
    assert done.stdout == f"Restored 3 files with {9 + 560 + 116} bytes " \
        f"to {out}.\n"
    key = (source / "KEY" / "00000001.KEY").read_bytes()
    assert contents(out) == {
        "P1/NEW.P1": b"a new one",
        "KEY/00000001.KEY": b"changed" + key[7:],
        "MBG/COPY.MBG": (source / "MBG" / "00000001.MBG").read_bytes()}
    for path in [out, *out.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert [entry["id"] for entry in entries(store)] == [number]


def test_restore_changes_nothing_in_the_postoffice(store, tmp_path):
    def exported(name):
        poctl("export", store.path, tmp_path / name)
        return contents(tmp_path / name)

    before = exported("before")
    number = undo_all_kinds(store)
    poctl("quarantine", "restore", store.path, number, tmp_path / "out")
    assert exported("after") == before


def test_restore_of_a_big_file(store, tmp_path):
    text = "0123456789" * 12000
    undo(store, "write", "P1/BIG.P1", text)
    number = entries(store)[0]["id"]
    (tmp_path / "out").mkdir()
    told = json.loads(poctl("quarantine", "restore", "--json", store.path,
                            number, tmp_path / "out").stdout)
    assert told == {"files": 1, "bytes": len(text)}
    assert (tmp_path / "out" / "P1" / "BIG.P1").read_text() == text


def test_restore_writes_over_nothing(store, tmp_path):
    number = undo_all_kinds(store)
    (tmp_path / "MINE").write_text("mine")
    assert "is not empty" in refuses(
        FAILED, "quarantine", "restore", store.path, number, tmp_path)
    assert (tmp_path / "MINE").read_text() == "mine"


def test_a_full_disk_is_said(store, tmp_path):
    undo(store, "write", "P1/BIG.P1", "x" * 100000)
    number = entries(store)[0]["id"]
    done = run("sh", "-c",
               'ulimit -f 8; exec "$0" quarantine restore "$@"',
               program("tools/poctl"), store.path, number, tmp_path / "out",
               check=False)
    assert done.returncode == FAILED
    assert "is incomplete" in done.stderr and "too large" in done.stderr


def test_discard_without_a_daemon(store):
    number = undo_all_kinds(store)
    undo(store, "write", "P1/B.P1", "y")
    assert poctl("quarantine", "discard", store.path, number).stdout == \
        f"Discarded entry {number} of the quarantine.\n"
    assert [entry["id"] != number for entry in entries(store)] == [True]
    store.check()


def test_everything_beside_a_daemon(store, tmp_path):
    number = undo_all_kinds(store)
    with Mount(store) as mount:
        (mount.path / "KEY" / "00000001.KEY").read_bytes()
        assert [entry["id"] for entry in entries(store)] == [number]
        poctl("quarantine", "show", store.path, number)
        poctl("quarantine", "restore", store.path, number, tmp_path / "out")
        assert (tmp_path / "out" / "P1" / "NEW.P1").exists()
        told = json.loads(poctl("quarantine", "discard", "--json",
                                store.path, number).stdout)
        assert told == {"discarded": number}
        assert "no entry" in refuses(
            FAILED, "quarantine", "discard", store.path, number)
    assert entries(store) == []
    store.check()


@pytest.mark.parametrize("action", ["show", "discard"])
def test_an_entry_that_is_not_there(store, action):
    assert refuses(FAILED, "quarantine", action, store.path, "7777") == \
        "there is no entry 7777 in the quarantine"


def test_restore_of_an_entry_that_is_not_there_makes_nothing(
        store, tmp_path):
    assert "no entry" in refuses(FAILED, "quarantine", "restore", store.path,
                                 "7777", tmp_path / "out")
    assert not os.path.lexists(tmp_path / "out")


@pytest.mark.parametrize("word", ["x", "-1", "1x", ""])
def test_an_entry_is_a_number(store, word):
    refuses(USAGE, "quarantine", "show", store.path, "--", word)
