# SPDX-License-Identifier: BSD-2-Clause
"""A call fails, the n-th of its kind, for n = 1 until there is none: one that
opens something, maps memory, makes a thread, reads, writes or renames. Whoever
is at it says so and ends, or goes on; nothing is half done, no descriptor is
lost, and the next attempt succeeds.

With POFS_KILLS=all each n, else one of so many, from a random one on.
"""

import dataclasses
import errno
import os
import random
import re
import shutil

import pytest

import load
from harness import HarnessError, poctl, program, run, tally, wait_until
from powercut import Disk
from scene import StoreAt, make_store, mounted
from test_disk import attempt, goes_on, is_well

IS_ALL = os.environ.get("POFS_KILLS") == "all"
POCTL = program("tools/poctl")
OPEN, MAP, THREAD, READ, PUT, NAME = 1, 2, 4, 8, 16, 32


@dataclasses.dataclass
class Fault:
    """What fails, and how."""

    kinds: int
    code: int

    def plan(self, disk, number):
        """From now on they are counted."""
        disk.control.fault_code = self.code
        disk.control.fault_kinds = self.kinds
        disk.control.faults = 0
        disk.control.fault_at = number

    @staticmethod
    def end(disk):
        """Returns whether it has happened."""
        is_reached = disk.control.faults >= disk.control.fault_at
        disk.control.fault_kinds = 0
        tally("failed calls", int(is_reached))
        return is_reached


SAID = re.compile("^(pofs: |event=killed )", re.MULTILINE)
DEADLINE_S = 10

FAULTS = {
    "descriptors": Fault(OPEN, errno.EMFILE),
    "memory": Fault(MAP, errno.ENOMEM),
    "threads": Fault(THREAD, errno.EAGAIN),
    "interrupted": Fault(OPEN | READ | PUT, errno.EINTR),
    "unreadable": Fault(READ, errno.EIO),
    "unwritable": Fault(PUT | NAME, errno.EIO),
}

each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


def sweep(attempt_at, seed, step):
    """Attempts it with each failure until there is none any more."""
    number = 1 if IS_ALL else random.Random(seed).randint(1, step)
    count = 0
    while attempt_at(number):
        number += 1 if IS_ALL else step
        count += 1
        assert number < 10_000
    return count


@pytest.fixture(scope="module", name="template")
def fixture_template():
    """A store to begin with."""
    with Disk() as disk:
        yield make_store(disk, ["PO"])


def start_at(number, fault, template):
    """Starts the daemon once."""
    with Disk() as disk:
        shutil.copytree(template.path, disk.path / "store")
        store = StoreAt(disk.path / "store")
        with disk.log():
            fault.plan(disk, number)
            try:
                with mounted(disk, store, deadline=DEADLINE_S) as mount:
                    (mount / "PO" / "x").write_text("x")
                    is_reached = fault.end(disk)
                    mount.unmount()
            except (HarnessError, OSError) as error:
                is_reached = fault.end(disk)
                assert is_reached, error
                # In words, or killed, of which the launcher tells.
                assert "exit" in str(error) and SAID.search(str(error)), (
                    number, error)
        poctl("check", store.path)
        return is_reached


@each_fault
def test_a_start(fault, template, seed):
    sweep(lambda number: start_at(number, fault, template), seed, 15)


# ---- a delivery -------------------------------------------------------------


def descriptors_of(mount):
    return len(os.listdir(f"/proc/{mount.server_pid}/fd"))


def deliver_at(number, fault, template, seed):
    """Delivers one message."""
    with Disk() as disk:
        shutil.copytree(template.path, disk.path / "store")
        store = StoreAt(disk.path / "store")
        with disk.log() as log, mounted(disk, store) as mount:
            client = load.Program(mount / "PO", "PO", seed, log)
            client.step(["deliver"])
            before = descriptors_of(mount)
            fault.plan(disk, number)
            answer = attempt(client, "deliver")
            is_well(mount.path)
            is_reached = fault.end(disk)
            assert answer in ((0, errno.EIO) if is_reached else (0,))
            goes_on(mount, client)
            wait_until(lambda: descriptors_of(mount) <= before,
                       "no descriptor is lost")
            mount.unmount()
        poctl("check", "--mail", "--quiet", store.path)
        return is_reached


@pytest.mark.parametrize("name", ["descriptors", "memory", "threads",
                                  "interrupted", "unwritable"])
def test_a_delivery(name, template, seed):
    sweep(lambda number: deliver_at(number, FAULTS[name], template, seed),
          seed, 12)


# ---- the administrator's commands -------------------------------------------


def test_an_edit_needs_no_more_threads(template):
    """Its thread is there from the start: without one, nobody would ever let
    go of the locks that the edit has."""
    with Disk() as disk:
        shutil.copytree(template.path, disk.path / "store")
        store = StoreAt(disk.path / "store")
        with disk.log(), mounted(disk, store) as mount:
            FAULTS["threads"].plan(disk, 1)
            poctl("set-counter", "--letter", "0x20", "--postoffice", "PO",
                  store.path, timeout=DEADLINE_S)
            assert not FAULTS["threads"].end(disk)
            mount.unmount()
        poctl("check", store.path)


VERIFY = {"import": ("check", "store"), "backup": ("verify", "backup"),
          "restore": ("check", "new")}
"""How what a command has made is looked at."""


def command_at(number, fault, template, *arguments):
    """Runs a command, and once more if that has failed: then all of it is
    done, or was already, for what failed may have been the last sync."""
    with Disk() as disk:
        shutil.copytree(template.path, disk.path / "store")
        words = [str(word).replace("DISK", str(disk.path))
                 for word in arguments]
        with disk.log():
            fault.plan(disk, number)
            done = run(POCTL, *words, check=False,
                       env={**os.environ, **disk.env()})
            is_reached = fault.end(disk)
        if done.returncode != 0:
            assert is_reached, done
            assert done.returncode == 1 and "poctl: " in done.stderr, (
                number, done)
            poctl("check", disk.path / "store")
            again = poctl(*words, check=False)
            assert again.returncode == 0 or re.search(
                "already|exists", again.stderr), (number, again)
        verb, what = VERIFY[words[0]]
        poctl(verb, disk.path / what)
        return is_reached


@each_fault
@pytest.mark.parametrize("command", VERIFY)
def test_a_command(command, fault, template, seed, tmp_path):
    poctl("backup", template.path, tmp_path / "backup")
    poctl("export", template.path, tmp_path / "tree")
    words = {"import": ("--postoffice", "P2", "DISK/store",
                        tmp_path / "tree" / "PO"),
             "backup": ("DISK/store", "DISK/backup"),
             "restore": ("DISK/new", tmp_path / "backup")}[command]
    sweep(lambda number: command_at(number, fault, template, command, *words),
          seed, 150)
