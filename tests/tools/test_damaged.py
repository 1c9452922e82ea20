# SPDX-License-Identifier: BSD-2-Clause
"""A database with pages that are not what was written there: every command
ends with words, and none by a signal.

LMDB itself, which looks at no page before it believes it, ends by an assertion
or a signal of the machine; test_salvage.py is about commands that look first.
"""

import json
import os
import random
import re
import shutil
import struct
import subprocess
import time

import pytest

from commands import COMMANDS, FAILED, OK
from harness import DEADLINE_S, poctl, program, run, tally
from mailtree import BAG, STEM, MailTree
from terminal import PROMPT, Terminal

PAGE = 4096
HEAD = 16  # bytes of what LMDB says of a page itself
LOWER = 12  # where in there it says how many records it has
BRANCH, LEAF = 1, 2

ARGUMENTS = {
    "backup": ["STORE", "OUT"],
    "break": ["STORE", "1"],
    "check": ["--mail", "STORE"],
    "create": ["STORE"],
    "diff": ["STORE", "TREE"],
    "explain": ["STORE", "21"],
    "export": ["STORE", "OUT"],
    "import": ["--postoffice", "NEW", "STORE", "TREE"],
    "learn": ["--report", "--notes", "OUT", "STORE"],
    "locks": ["STORE"],
    "log": ["STORE"],
    "message": ["STORE", STEM],
    "metrics": ["STORE"],
    "purge-orphans": ["--older-than", "1d", "STORE"],
    "quarantine discard": ["STORE", "UNDONE"],
    "quarantine list": ["STORE"],
    "quarantine restore": ["STORE", "UNDONE", "OUT"],
    "quarantine show": ["STORE", "UNDONE"],
    "queue": ["STORE", BAG],
    "rebuild": ["STORE", BAG],
    "repair": ["STORE", "all"],
    "requeue": ["STORE", BAG, "1"],
    "reset": ["--force", "STORE", BAG],
    "restore": ["--at", "0s", "STORE", f"MBG/{BAG}.MBG"],
    "sessions": ["STORE"],
    "set-counter": ["--auto", "STORE"],
    "set-owners": ["STORE", STEM],
    "show": ["STORE", "DONE"],
    "stat": ["STORE"],
    "status": ["STORE"],
    "top": ["--batch", "1", "STORE"],
    "trace show": ["STORE", "1"],
    "trace start": ["STORE", "1"],
    "trace stop": ["STORE", "1"],
    "undo": ["STORE", "DONE"],
    "verify": ["STORE/data.mdb"],
}
"""How each command is asked."""


SAID = re.compile("damaged|Input/output error|there is no entry")
"""What is said of a page that is damaged. Of what is no mail nobody proves
that it is not there (store/absence.c)."""

READS = 23
"""So many of them read a store that nobody serves."""

PAGES = int(os.environ.get("POFS_PAGES", "4"))
"""How many are damaged, one after the other, for each command."""


class Subject:
    """A store with mail, some past, and something undone, which is damaged;
    and the tree that it was made of."""

    def __init__(self, top):
        tree = MailTree(top)
        for number in range(40):
            tree.deliver(BAG, f"SUBJECT {number}", f"{number + 0x10:08X}")
        tree.deliver(BAG, "HELLO")
        tree.delete(BAG, 1)
        self.store = tree.store()
        for number in range(40):
            run(program("tests/tools/undo"), self.store, "smbd 1",
                "went away" if number % 2 else "",
                "write", f"P1/{number:08X}.P1", "x" * 100 * number)
        self._codes = {}
        self.data = self.store / "data.mdb"
        self.sound = self.data.read_bytes()
        self._words = {"STORE": self.store, "TREE": tree.office,
                       "OUT": top / "out", "STORE/data.mdb": self.data,
                       "DONE": self._last("log", "journal"),
                       "UNDONE": self._last("quarantine list", "quarantine")}

    def _last(self, command, name):
        done = poctl(*command.split(), "--json", self.store)
        return json.loads(done.stdout)[name][-1]["id"]

    def pages(self):
        """Where a branch or a leaf is, or was."""
        for at in range(2 * PAGE, len(self.sound), PAGE):
            number, _, flags = struct.unpack_from("<QHH", self.sound, at)
            if number == at // PAGE and flags in (BRANCH, LEAF):
                yield at

    def heal(self):
        """All is as it was."""
        self.data.write_bytes(self.sound)

    def code(self, command):
        """How a command ends while nothing is damaged."""
        if command not in self._codes:
            self.heal()
            self._codes[command] = self.ask(command).returncode
        return self._codes[command]

    def damage(self, at, content):
        """Has other bytes there, and the others as they were."""
        self.data.write_bytes(self.sound[:at] + content
                              + self.sound[at + len(content):])

    def ask(self, command):
        """Has poctl do it, which must not end by a signal and give a reason
        where it fails."""
        done = poctl(*command.split(),
                     *(self._words.get(word, word)
                       for word in ARGUMENTS[command]),
                     check=False, stdin=subprocess.DEVNULL, timeout=DEADLINE_S)
        remove(self._words["OUT"])
        lines = done.stderr.splitlines()
        assert done.returncode in (OK, FAILED), done
        assert lines or done.returncode == OK, done
        assert all(line.startswith("poctl: ") for line in lines), done
        return done


def remove(path):
    """What a command may have made."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


@pytest.fixture(name="dice")
def fixture_dice():
    """Its seed is shown with a failure; POFS_SEED repeats it."""
    seed = int(os.environ.get("POFS_SEED", time.time_ns() % 1_000_000))
    print(f"POFS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(scope="module", name="subject")
def fixture_subject(tmp_path_factory):
    """The store that is damaged."""
    return Subject(tmp_path_factory.mktemp("store"))


def test_every_command_is_asked(subject):
    """In a way that it understands, so that what it says of a damaged store is
    that."""
    assert ARGUMENTS.keys() == COMMANDS.keys()
    done = [command for command in COMMANDS if subject.code(command) == OK]
    assert len(done) >= READS, done


@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_page_ends_no_command_without_words(command, subject, dice):
    """Zeros, or other bytes behind a head that LMDB believes."""
    code = subject.code(command)
    pages = list(subject.pages())
    for number, at in enumerate(dice.sample(pages, min(PAGES, len(pages)))):
        head = HEAD * (number % 2)
        content = bytes(PAGE) if head == 0 else dice.randbytes(PAGE - head)
        subject.damage(at + head, content)
        done = subject.ask(command)
        if done.returncode != code:
            assert SAID.search(done.stderr), (at // PAGE, done)
        tally("damaged pages")


@pytest.mark.parametrize("command", COMMANDS)
def test_nor_does_a_file_that_is_cut_off(command, subject):
    code = subject.code(command)
    subject.data.write_bytes(subject.sound[:len(subject.sound) // 2])
    done = subject.ask(command)
    assert done.returncode == FAILED
    assert "damaged" in done.stderr or code == FAILED


def test_a_store_whose_format_is_lost_is_no_foreign_one(subject):
    """Its record is in a leaf that says that it has none."""
    lost = 0
    for at in subject.pages():
        if b"format" in subject.sound[at:at + PAGE]:
            subject.damage(at + LOWER, struct.pack("<H", HEAD))
            done = subject.ask("stat")
            lost += done.returncode == FAILED
            assert done.returncode == OK or "damaged" in done.stderr, done
    assert lost


def ending_pages(subject, command):
    """Pages that, damaged as they are now, end the process that reads them."""
    for at in subject.pages():
        subject.damage(at + HEAD, bytes([0xff] * (PAGE - HEAD)))
        if "reading it ended with" in subject.ask(command).stderr:
            yield at


def test_where_reading_it_ends_the_process(subject):
    """There are such pages: the test above is about something."""
    assert any(ending_pages(subject, "stat"))


def test_a_check_of_that_tells_what_is_left(subject):
    """For all others say that it does, also where it is ended as they are."""
    for _ in ending_pages(subject, "stat"):
        done = subject.ask("check")
        assert "see poctl check" not in done.stderr, done
        assert "restore a backup" in done.stderr, done


def test_the_live_screen_gives_its_terminal_back(subject):
    for _ in ending_pages(subject, "top"):
        break
    damaged = subject.data.read_bytes()
    subject.heal()
    with Terminal(200) as terminal, open(subject.data, "r+b") as file:
        terminal.enter(program("tools/poctl"), "top", "-d", "0.1",
                       subject.store)
        terminal.wait_for("Sessions: ")
        file.write(damaged)
        file.flush()
        terminal.wait_for("reading it ended with")
        terminal.wait_for(PROMPT)
