# SPDX-License-Identifier: BSD-2-Clause
"""The journal, as the administrator reads it."""

import fcntl
import json
import os
import pathlib
import pty
import subprocess
import termios
import time

import pytest

from commands import FAILED, USAGE, Existing, refuses
from harness import (DEADLINE_S, Mount, Store, end_with_parent, poctl,
                     program, run, wait_until)

WHO = "smbd 4711 of 10.0.0.7"
REASON = "the client went away"


@pytest.fixture(name="store")
def fixture_store(tmp_path, source):
    """A postoffice that has seen some mail."""
    poctl("import", tmp_path / "store", source)
    with Existing(tmp_path / "store") as store:
        yield store


def commit(store, *steps, who=WHO, reason=""):
    """Has a transaction do these steps; returns the number of its entry."""
    run(program("tests/tools/undo"), store.path, who, reason, *steps)
    return journal(store)[-1]["id"]


def journal(store, *options):
    """The entries of the journal, but for that of the import."""
    done = poctl("log", "--json", *options, store.path)
    return [entry for entry in json.loads(done.stdout)["journal"]
            if entry["who"] != "poctl import"]


def ids(store, *options):
    """Their numbers."""
    return [entry["id"] for entry in journal(store, *options)]


def commit_all_kinds(store):
    """One transaction that did a bit of everything."""
    return commit(store, "write", "P1/NEW.P1", "a new one",
                  "write", "KEY/00000001.KEY", "changed",
                  "move", "MBG/00000001.MBG", "MBG/COPY.MBG",
                  "remove", "GLB/CONTROL.GLB", "-")


def test_what_a_new_store_has_is_an_entry_too(tmp_path):
    with Store(tmp_path / "store") as store:
        entry, = journal(store)
        assert entry["who"] == "poctl create"
        assert journal(store, "--undone") == []
        assert poctl("log", "--undone", store.path).stdout == ""


def test_a_line_says_what_was_done(store):
    before = time.time()
    number = commit_all_kinds(store)
    entry, = journal(store)
    assert (entry["id"], entry["outcome"], entry["who"]) == (
        number, "committed", WHO)
    assert entry["has_past"] and entry["past_bytes"] > 560
    assert "quarantine" not in entry
    line = poctl("log", store.path).stdout.splitlines()[-1]
    words = line.split()
    assert words[0] == str(number) and words[3] == "committed"
    told = time.mktime(time.strptime(" ".join(words[1:3]),
                                     "%Y-%m-%d %H:%M:%S"))
    assert before - 2 < told < before + 300
    for text in (WHO, "KEY/00000001.KEY", "MBG/COPY.MBG", "P1 +1", "GLB -1"):
        assert text in line


def test_show_says_what_each_file_was_and_is(store):
    number = commit_all_kinds(store)
    told = json.loads(poctl("show", "--json", store.path, number).stdout)
    assert told["id"] == number
    files = {file["what"]: file for file in told["files"]}
    assert files == {
        "created": {"what": "created", "new_path": "/P1/NEW.P1",
                    "new_size": 9},
        "changed": {"what": "changed", "old_path": "/KEY/00000001.KEY",
                    "new_path": "/KEY/00000001.KEY", "old_size": 560,
                    "new_size": 560},
        "renamed": {"what": "renamed", "old_path": "/MBG/00000001.MBG",
                    "new_path": "/MBG/COPY.MBG", "old_size": 116,
                    "new_size": 116},
        "removed": {"what": "removed", "old_path": "/GLB/CONTROL.GLB",
                    "old_size": 8}}
    text = poctl("show", store.path, number).stdout
    for word in (WHO, "renamed", "/MBG/COPY.MBG", "committed"):
        assert word in text


def test_what_was_undone_says_why_and_where_it_is(store):
    done = commit(store, "write", "P1/A.P1", "x")
    undone = commit(store, "write", "P1/B.P1", "y", reason=REASON)
    assert ids(store) == [done, undone]
    entry, = journal(store, "--undone")
    assert (entry["id"], entry["reason"]) == (undone, REASON)
    listed = json.loads(poctl("quarantine", "list", "--json",
                              store.path).stdout)["quarantine"]
    assert entry["quarantine"] == listed[0]["id"]
    line, = poctl("log", "--undone", store.path).stdout.splitlines()
    assert line.endswith(f"P1 +1: {REASON}")


def test_only_those_that_are_asked_for(store):
    key = commit(store, "write", "KEY/00000001.KEY", "x")
    mail = commit(store, "write", "P1/A.P1", "x")
    assert ids(store, "--mailbag", "00000001") == [key]
    assert ids(store, "--mailbag", "00000002") == []
    assert ids(store, "--session", "1") == []
    assert ids(store, "--since", "1h") == [key, mail]
    assert ids(store, "--since", "2100-01-01") == []
    assert ids(store, "--since", "2020-01-01 05:06") == [key, mail]


def test_what_a_client_chose_is_harmless_on_a_terminal(store):
    number = commit(store, "write", "P1/A.P1", "x", who="evil \x1b[31m",
                    reason="\x07ding")
    for command in (["log", store.path], ["show", store.path, number]):
        text = poctl(*command).stdout
        assert "\x1b" not in text and "\x07" not in text
        assert "evil \\033[31m" in text


@pytest.mark.parametrize("arguments", [
    ["--since", "yesterday"], ["--since", "2900-01-01"], ["--session", "x"]])
def test_what_makes_no_sense_is_refused(store, arguments):
    refuses(USAGE, "log", *arguments, store.path)


def test_an_entry_that_is_not_there(store):
    commit(store, "write", "P1/A.P1", "x")
    assert refuses(FAILED, "show", store.path, "1") == \
        "there is no entry 1 in the journal"
    refuses(USAGE, "show", store.path, "--", "-1")


def test_who_follows_is_told_of_what_comes(store):
    """Beside a daemon, which is not asked."""
    commit(store, "write", "P1/A.P1", "x")
    with Mount(store) as mount, subprocess.Popen(
            [program("tools/poctl"), "log", "--follow", "--json",
             "--mailbag", "00000001", store.path],
            stdout=subprocess.PIPE, text=True,
            preexec_fn=end_with_parent) as follower:
        try:
            for text in (b"one", b"two"):
                (mount.path / "KEY" / "00000001.KEY").write_bytes(text)
                # communicate() would wait for its end; a line comes or the
                # test's own time runs out.
                entry = json.loads(follower.stdout.readline())
                assert entry["outcome"] == "committed"
                assert entry["mailbags"] == "/00000001"
                assert [file["new_size"] for file in entry["files"]] == [3]
        finally:
            follower.terminate()
            follower.communicate(timeout=DEADLINE_S)
    assert len(journal(store, "--mailbag", "00000001")) == 2
    store.check()


@pytest.mark.parametrize("arguments", [["log"], ["log", "--follow"],
                                       ["queue", "--json"]])
def test_a_pager_keeps_no_store_open(tmp_path, arguments):
    """As long as it is, the daemon cannot use again what it replaces."""
    folders = [word for i in range(40)
               for word in ("--postoffice", f"FOLDER{i}")]
    poctl("create", *folders, tmp_path / "store")
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with open(reader, "rb") as pipe:
        command = subprocess.Popen(
            [program("tools/poctl"), *arguments, str(tmp_path / "store")],
            stdout=writer, stderr=subprocess.DEVNULL)
        os.close(writer)
        os.read(pipe.fileno(), 1)
        maps = pathlib.Path(f"/proc/{command.pid}/maps")
        wait_until(lambda: "data.mdb" not in maps.read_text(), "it is closed")
        assert command.poll() is None
    assert command.wait() == FAILED


def test_a_terminal_that_stands_still_keeps_no_journal_open(tmp_path):
    """That of a laptop which was closed, for instance."""
    poctl("create", tmp_path / "store")
    master, slave = pty.openpty()
    termios.tcflow(slave, termios.TCOOFF)
    with subprocess.Popen(
            [program("tools/poctl"), "log", "--follow", tmp_path / "store"],
            stdout=slave, preexec_fn=end_with_parent) as follower:
        proc = pathlib.Path(f"/proc/{follower.pid}")
        wait_until(lambda: (proc / "syscall").read_text().split()[1:2] ==
                   ["0x1"], "it writes to its standard output")
        maps = (proc / "maps").read_text()
        follower.kill()
    os.close(master)
    os.close(slave)
    assert "data.mdb" not in maps
