# SPDX-License-Identifier: BSD-2-Clause
"""The manual page and the completion say what the program does."""

import pathlib
import re

import pytest

from harness import poctl, run, tool

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
COMMANDS = ("create", "import", "export", "check", "stat", "status",
            "sessions", "locks", "break")


def options_of(command):
    return set(re.findall(r"--[a-z-]+", poctl(command, "--help").stdout))


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


@pytest.mark.parametrize("command", COMMANDS)
def test_the_completion_has_every_option(command):
    script = (
        f'. "{TOOLS}/poctl.bash"; COMP_WORDS=(poctl {command} --);'
        "COMP_CWORD=2; _poctl; printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = run(tool("bash"), "-c", script)
    assert set(done.stdout.split()) == options_of(command)


def test_the_completion_has_every_command():
    script = (f'. "{TOOLS}/poctl.bash"; COMP_WORDS=(poctl "");'
              "COMP_CWORD=1; _poctl; printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = run(tool("bash"), "-c", script)
    assert set(COMMANDS) <= set(done.stdout.split())
