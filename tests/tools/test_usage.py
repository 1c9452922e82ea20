# SPDX-License-Identifier: BSD-2-Clause
"""The command line of poctl."""

import os
import re

import pytest

from commands import COMMANDS, FAILED, USAGE, refuses
from harness import poctl, program, run, tool


def test_no_command_is_a_usage_error():
    assert "no command" in refuses(USAGE)


def test_unknown_words_are_usage_errors():
    assert "unknown command frobnicate" in refuses(USAGE, "frobnicate")
    assert "unknown command quarantine" in refuses(USAGE, "quarantine")
    assert "unknown command quarantine" in refuses(USAGE, "quarantine", "x")
    assert "unknown option --frobnicate" in refuses(USAGE, "--frobnicate")


def test_the_help_names_every_command():
    text = poctl("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", text, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_version(command):
    text = poctl(*command.split(), "--help").stdout
    assert f"poctl {command}" in text
    for option in ("--json", "--quiet", "--help", "--version"):
        assert option in text
    assert poctl(*command.split(), "--version").stdout == \
        poctl("--version").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_what_it_does_not_know(command, tmp_path):
    words = command.split()
    reason = refuses(USAGE, *words, "--frobnicate", tmp_path / "a")
    assert "--frobnicate" in reason
    refuses(USAGE, *words)
    refuses(USAGE, *words, *[tmp_path / name for name in "abcd"])
    refuses(USAGE, *words, *[""] * COMMANDS[command], cwd=tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_store_may_be_called_like_an_option(tmp_path):
    poctl("create", "--", "--quiet", cwd=tmp_path)
    poctl("check", "--", "--quiet", cwd=tmp_path)
    assert os.listdir(tmp_path) == ["--quiet"]


def test_the_store_may_be_in_the_environment(tmp_path):
    store, other = tmp_path / "store", tmp_path / "other"
    named = {**os.environ, "POFS_STORE": str(store)}
    for command in (["create"], ["stat"], ["queue"], ["queue", "INQUEUE"],
                    ["explain", "21"], ["log"], ["export", tmp_path / "tree"],
                    ["diff", tmp_path / "tree"], ["backup", tmp_path / "file"],
                    ["verify", tmp_path / "file"]):
        poctl(*command, env=named)
    assert os.listdir(store)
    # What is on the command line counts more.
    poctl("create", "--postoffice", "LAB", other, env=named)
    assert "LAB" in poctl("queue", other, env=named).stdout
    assert poctl("stat", other, env=named).stdout != \
        poctl("stat", env=named).stdout
    poctl("restore", tmp_path / "new", tmp_path / "file", env=named)
    assert "needs FILE" in refuses(USAGE, "verify", env=named)
    refuses(USAGE, "diff", env={**named, "POFS_STORE": ""})


def test_names_in_messages_are_harmless(tmp_path):
    reason = refuses(FAILED, "export", tmp_path / "no\x1b[31mstore", "out")
    assert "\x1b" not in reason


TARGETS = (
    ("backup", "--force", "STORE", "TARGET"),
    ("export", "STORE", "TARGET"),
    ("metrics", "--output", "TARGET", "STORE"),
    ("quarantine", "restore", "STORE", "1", "TARGET"),
    ("set-counter", "--letter", "0x200", "--snapshot", "TARGET", "STORE"),
    ("purge-orphans", "--older-than", "1d", "--snapshot", "TARGET", "STORE"),
    ("learn", "--mailbag", "INQUEUE", "--config", "TARGET", "--before",
     "STORE", "--after", "STORE", "STORE"),
)


@pytest.mark.parametrize("words", TARGETS, ids=lambda words: words[0])
def test_nothing_is_written_among_the_files_of_a_store(words, tmp_path):
    """One of them could be replaced."""
    store, link = tmp_path / "store", tmp_path / "link"
    poctl("create", store)
    link.symlink_to(store)

    def files():
        return (store / "data.mdb").read_bytes(), sorted(os.listdir(store))

    before = files()
    for path in (store / "data.mdb", store / "new", f"{store}/new/",
                 link / "new", "new"):
        reason = refuses(
            USAGE, *[{"STORE": store, "TARGET": path}.get(word, word)
                     for word in words], cwd=store)
        assert reason == f"{path} would be among the store's own files: " \
            "name another directory"
        assert files() == before


def test_notes_are_not_among_the_files_of_a_store(tmp_path):
    poctl("create", tmp_path / "store")
    assert "would be among the store's own files" in refuses(
        USAGE, "learn", "--mailbag", "INQUEUE", "--notes", tmp_path / "store",
        "--before", tmp_path, "--after", tmp_path, tmp_path / "store")


def test_a_full_standard_output_is_an_error(tmp_path):
    poctl("create", tmp_path / "store")
    done = run("sh", "-c", 'exec "$0" stat "$1" >/dev/full',
               program("tools/poctl"), tmp_path / "store", check=False)
    assert done.returncode == FAILED
    assert "cannot write the standard output" in done.stderr


def test_what_of_a_long_output_is_lost_is_an_error(tmp_path):
    """It is written while it is made; what fails then is not tried again."""
    folders = [word for i in range(40)
               for word in ("--postoffice", f"FOLDER{i}")]
    poctl("create", *folders, tmp_path / "store")
    done = run("sh", "-c", 'exec "$0" queue --json "$1" >/dev/full',
               program("tools/poctl"), tmp_path / "store", check=False)
    assert done.returncode == FAILED
    assert "cannot write the standard output" in done.stderr


def test_a_terminal_sees_progress_and_a_pipe_does_not(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for number in range(20):
        (source / f"{number}").write_bytes(bytes(1000))
    command = f"{program('tools/poctl')} import STORE {source} >/dev/null"
    typescript = tmp_path / "typescript"
    run(tool("script"), "--quiet", "--return", "--command",
        command.replace("STORE", str(tmp_path / "a")), typescript)
    assert b"importing [" in typescript.read_bytes()
    done = poctl("import", tmp_path / "b", source)
    assert done.stderr == ""
