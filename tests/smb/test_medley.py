# SPDX-License-Identifier: BSD-2-Clause
"""Client machines and a local program do at once whatever one may with two
postoffices and with what lies beside them. What they do makes no sense, so what
comes of it is not looked at, but that pofs answers, that who is not answered
waits for a lock, that others are served on, and that the store is sound.

POFS_CALLS says how many calls, POFS_SEED which.
"""

import itertools
import json
import os
import pathlib
import random
import sys
import time
import types

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "mount"))

import medley
from actor import Actor
from delivery import deliver, is_delivered
from harness import HarnessError, poctl, tally, wait_until
from place import ONLY_POFS
from smb1 import Access, Attr, Deny, Mode

CALLS = int(os.environ.get("POFS_CALLS", "300"))

MACHINES = 3

ANSWER_S = 20
"""Whoever is not told to wait is answered sooner: smbd gives up after 70 s."""

DELETE_ON_CLOSE = 0x1000
MODES = (Mode.OPEN, Mode.OPEN, Mode.TRUNCATE, Mode.CREATE,
         Mode.CREATE | Mode.OPEN, Mode.CREATE | Mode.TRUNCATE)

pytestmark = ONLY_POFS


def by_name(rand, file, directory):
    """A call, of those that say a name; the others give one."""
    name = file()
    return rand.choice((
        *6 * [("open", name, rand.choice(list(Access)),
               rand.choice(list(Deny)), rand.choice(MODES))],
        *2 * [("open_nt", name, rand.choice((0x12019F, 0x1301FF, 0x80)),
               rand.randrange(8), rand.randrange(6),
               rand.choice((0, DELETE_ON_CLOSE)))],
        *4 * [("rename", name, file())],
        ("rename", directory(), directory()),
        ("create", name),
        ("create_new", name),
        *2 * [("delete", name)],
        ("mkdir", rand.choice((name, directory()))),
        ("rmdir", rand.choice((name, directory()))),
        ("info", name),
        ("set_info", name, rand.choice((Attr.NORMAL, Attr.READ_ONLY,
                                        Attr.ARCHIVE)), rand.choice((0, 9))),
        ("search", directory() + r"\*.*"),
        ("find", directory() + r"\*"),
        ("disk",)))


def by_fid(rand):
    """A call, of those that say an open file."""
    size = rand.choice((0, 5))
    return rand.choice((
        *2 * [("close", rand.choice((0, 9)))],
        *3 * [("write", rand.choice((0, 10, 4000)),
               b"x" * rand.choice((0, 1, 100, 5000)))],
        ("read", 0, 100),
        ("truncate", size),
        ("flush",),
        *2 * [("lock", rand.randrange(3), rand.randrange(1, 3))],
        ("unlock", rand.randrange(3), rand.randrange(1, 3))))


class Machine:
    """A client machine. It may go on waiting, or be switched off."""

    _count = itertools.count()

    def __init__(self, server, place, rand, names):
        self._server, self._place = server, place
        self._random, self._names = rand, names
        self._fids = []
        self._call = None  # unanswered
        self._actor = Actor()
        self._peer = types.SimpleNamespace(address=self._actor.call(
            "machine_calls.connect", server.port,
            f"127.0.2.{next(self._count) % 250 + 1}"))

    def die(self):
        """Its connection ends without a word."""
        self._actor.kill()

    def _name(self, path):
        return str(path.relative_to(self._place.path)).replace("/", "\\")

    def _file(self):
        return self._name(self._names.file())

    def _directory(self):
        return self._name(self._names.directory())

    def _ask(self, command):
        told = poctl(command, "--json", self._place.store.path).stdout
        return json.loads(told)[command]

    def _waits(self):
        """Whether pofs knows that it does."""
        pid = self._server.process_of(self._peer)
        ids = [row["id"] for row in self._ask("sessions")
               if row["pid"] == pid]
        return any(waiter["session"] in ids for lock in self._ask("locks")
                   for waiter in lock["waiters"])

    def _await(self):
        try:
            fid = self._actor.result(medley.PATIENCE_S)
        except HarnessError:
            self._see_that_it_waits()
            return
        if fid is not None:
            self._fids.append(fid)
        self._call = None

    def _see_that_it_waits(self):
        try:
            wait_until(lambda: self._actor.is_done() or self._waits(),
                       "an answer", ANSWER_S)
        except HarnessError:
            pytest.fail(f"{self._call}: no answer, and no lock to wait for")

    def _begin(self, name, *arguments):
        self._call = name, *arguments
        self._actor.start(f"machine_calls.{name}", *arguments)

    def _begin_with_file(self, fid, name, *arguments):
        if name == "close":
            self._fids.remove(fid)
        self._begin("call_file", fid, name, *arguments)

    def _begin_any(self):
        rand = self._random
        if len(self._fids) > medley.OPEN_MAX:
            self._begin_with_file(self._fids[0], "close")
        elif self._fids and rand.random() < 0.35:
            self._begin_with_file(rand.choice(self._fids), *by_fid(rand))
        elif rand.random() < 0.01:
            self._fids = []
            self._begin("leave_drive")
        else:
            self._begin("call", *by_name(rand, self._file, self._directory))

    def step(self):
        """Any call, or a moment of waiting for its answer."""
        if self._call is None:
            self._begin_any()
        elif self._random.random() < 0.1:
            raise HarnessError("switched off")
        self._await()


def test_whatever_is_called_is_answered(place, server, machines, mail):
    seed = int(os.environ.get("POFS_SEED", time.time_ns() % 1_000_000))
    print(f"POFS_SEED={seed}")
    rand = random.Random(seed)
    names = medley.Names(place.path / "G", rand)
    medley.run(rand, [lambda: medley.Program(rand, names)] + MACHINES * [
        lambda: Machine(server, place, rand, names)], CALLS)
    deliver(machines.new(), mail).close()
    assert is_delivered(machines.new(), mail)
    tally("calls", CALLS)
