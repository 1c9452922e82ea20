# SPDX-License-Identifier: BSD-2-Clause
"""poctl check and stat: what state a store is in."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess

import trees
from commands import FAILED, refuses
from harness import DEADLINE_S, poctl, program, run, tool, wait_until


def test_a_new_store_is_sound(tmp_path):
    poctl("create", tmp_path / "store")
    done = poctl("check", tmp_path / "store")
    assert "is sound" in done.stdout
    assert poctl("check", "--quiet", tmp_path / "store").stdout == ""
    result = json.loads(poctl("check", "--json", tmp_path / "store").stdout)
    assert result == {"findings": [], "count": 0}


def test_both_work_beside_a_writer(tmp_path, holder):
    poctl("create", tmp_path / "store")
    holder(tmp_path / "store")
    poctl("check", tmp_path / "store")
    poctl("stat", tmp_path / "store")


def test_stat_counts_what_was_imported(source, tmp_path):
    poctl("import", tmp_path / "store", source)
    result = json.loads(poctl("stat", "--json", tmp_path / "store").stdout)
    files = [p for p in source.rglob("*") if p.is_file()]
    assert result["files"] == len(files)
    assert result["bytes"] == sum(p.stat().st_size for p in files)
    assert result["disk_used"] >= result["bytes"]
    assert result["clean"] is True
    assert result["orphans"] == 0
    assert len(result["uuid"]) == 36
    text = poctl("stat", tmp_path / "store").stdout
    assert result["uuid"] in text


def damage(path, content):
    """Changes `content` wherever the database has it."""
    data = path.read_bytes()
    assert content in data, "the content is not in the database as it is"
    path.write_bytes(data.replace(content, content.swapcase()))


def test_damaged_content_is_found(tmp_path):
    marker = b"the one and only letter"
    trees.write(tmp_path / "source" / "LETTER", marker * 10)
    poctl("import", tmp_path / "store", tmp_path / "source")
    damage(tmp_path / "store" / "data.mdb", marker)

    reason = refuses(FAILED, "check", tmp_path / "store")
    assert reason.endswith("findings") or reason.endswith("1 finding")
    done = poctl("check", "--json", tmp_path / "store", check=False)
    result = json.loads(done.stdout)
    assert result["count"] == len(result["findings"]) >= 1


def test_an_export_of_damaged_content_fails(tmp_path):
    marker = b"the one and only letter"
    trees.write(tmp_path / "source" / "LETTER", marker * 10)
    poctl("import", tmp_path / "store", tmp_path / "source")
    damage(tmp_path / "store" / "data.mdb", marker)

    reason = refuses(FAILED, "export", tmp_path / "store", tmp_path / "out")
    assert "is incomplete" in reason


def each_refuses(store, *arguments):
    """The sentences of all commands that need a whole store."""
    out = store.parent / "out"
    for command in (["check", store], ["stat", store], ["export", store, out]):
        yield refuses(FAILED, *command, *arguments)
        assert not out.exists()


def test_a_missing_store_is_refused(tmp_path):
    for reason in each_refuses(tmp_path / "store"):
        assert str(tmp_path / "store") in reason
    assert os.listdir(tmp_path) == []


def test_something_else_is_no_store(tmp_path):
    trees.write(tmp_path / "store" / "letter", b"mine")
    before = trees.describe_unread(tmp_path / "store")
    for reason in each_refuses(tmp_path / "store"):
        assert str(tmp_path / "store") in reason
    trees.assert_same(trees.describe_unread(tmp_path / "store"), before)


def test_a_broken_database_is_refused(tmp_path):
    poctl("create", tmp_path / "store")
    path = tmp_path / "store" / "data.mdb"
    whole = path.read_bytes()
    for content in (b"", b"x" * 100, bytes(len(whole)), whole[:20_000],
                    os.urandom(len(whole))):
        path.write_bytes(content)
        for reason in each_refuses(tmp_path / "store"):
            assert str(tmp_path / "store") in reason
        assert path.read_bytes() == content


def test_no_damaged_page_ends_the_check_without_words(tmp_path):
    """Each page in turn is lost; LMDB itself stops at some of them."""
    for number in range(40):
        trees.write(tmp_path / "source" / f"F{number}", b"x" * 150 * number)
    poctl("import", tmp_path / "store", tmp_path / "source")
    path = tmp_path / "store" / "data.mdb"
    whole = path.read_bytes()
    told = 0
    for page in range(len(whole) // 4096):
        data = bytearray(whole)
        data[page * 4096:page * 4096 + 4096] = bytes(4096)
        path.write_bytes(data)
        done = poctl("check", tmp_path / "store", check=False)
        assert done.returncode in (0, FAILED), (page, done)
        if done.returncode == FAILED:
            told += 1
            assert "poctl: " in done.stderr
    assert told >= 10


def test_a_check_that_was_ended_has_found_nothing(tmp_path):
    """As where memory is short: that is no damage, and no store to restore."""
    poctl("create", tmp_path / "store")
    reader, writer = os.pipe()
    with contextlib.closing(os.fdopen(reader)), os.fdopen(writer, "wb") as pipe:
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, bytes(4096))
        os.set_blocking(writer, True)
        # It can say nothing, and so does not end.
        check = subprocess.Popen(
            [program("tools/poctl"), "check", str(tmp_path / "store")],
            stdout=pipe, stderr=subprocess.PIPE, text=True)
        children = pathlib.Path(f"/proc/{check.pid}/task/{check.pid}/children")
        os.kill(int(wait_until(children.read_text, "it has a child")),
                signal.SIGKILL)
        _, told = check.communicate(timeout=DEADLINE_S)
    assert check.returncode == FAILED
    assert told == "poctl: the check could not be finished: Killed\n"


def test_a_check_tells_who_waits_for_no_child(tmp_path):
    """What is ignored by who starts a program is ignored by that, too."""
    poctl("create", tmp_path / "store")
    (tmp_path / "store" / "data.mdb").write_bytes(bytes(65536))
    done = run(tool("env"), "--ignore-signal=CHLD", program("tools/poctl"),
               "check", tmp_path / "store", check=False)
    assert done.returncode == FAILED, done
