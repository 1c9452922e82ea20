# SPDX-License-Identifier: BSD-2-Clause
"""The manual page and the completion say what the program does."""

import os
import pathlib
import re

import pytest

from commands import COMMANDS
from harness import build_dir, poctl, run, tool

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"


def options_of(command):
    text = poctl(*command.split(), "--help").stdout
    return set(re.findall(r"--[a-z-]+", text))


def test_the_manual_page_is_sound():
    run(tool("mandoc"), "-T", "lint", "-W", "warning", TOOLS / "poctl.8")
    done = run(tool("groff"), "-mdoc", "-ww", "-T", "utf8", TOOLS / "poctl.8")
    assert done.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_the_manual_page_has_every_option(command):
    page = (TOOLS / "poctl.8").read_text(encoding="ascii")
    page = page.split("\n.Sh DESCRIPTION\n")[1].replace("\\-", "-")
    common, *sections = re.split(r"^\.Ss ", page, flags=re.MULTILINE)
    own = next(s for s in sections if s.startswith(command + "\n"))
    documented = set(re.findall(r"Fl (-[a-z-]+)", common + own))
    assert {option[1:] for option in options_of(command)} <= documented


def completions_of(*words):
    """What the shell offers for the last of these words."""
    script = (f'. "{TOOLS}/poctl.bash"; COMP_WORDS=(poctl "$@");'
              "COMP_CWORD=$#; _poctl; printf '%s\\n' \"${COMPREPLY[@]}\"")
    path = f"{build_dir() / 'tools'}:{os.environ['PATH']}"
    return set(run(tool("bash"), "-c", script, "bash", *words,
                   env={**os.environ, "PATH": path}).stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_completion_has_every_option(command):
    assert completions_of(*command.split(), "--") == options_of(command)


def test_the_completion_has_every_command():
    firsts = {command.split()[0] for command in COMMANDS}
    assert firsts == {word for word in completions_of("") if word[0] != "-"}
    for first in firsts:
        seconds = {command.split()[1] for command in COMMANDS
                   if command.startswith(f"{first} ")}
        assert not seconds or completions_of(first, "") == seconds


def test_the_completion_knows_the_mailbags(tmp_path):
    poctl("create", tmp_path / "one")
    assert "INQUEUE3" in completions_of("reset", tmp_path / "one", "")
    poctl("create", "--postoffice", "LAB", "--postoffice", "SALES",
          tmp_path / "two")
    assert {"LAB/INQUEUE3", "SALES/SYSTEM"} <= completions_of(
        "queue", tmp_path / "two", "")
