# SPDX-License-Identifier: BSD-2-Clause
"""The daemon is killed before each of the calls that a commit is made of: what
was acknowledged is there, the rest wholly or not at all, and it goes on.

Two kinds of steps change no mail: a program that dies is undone, and what the
quarantine has of it is discarded. An entry is there as a whole, or not at all.

With POFS_KILLS=all before each call that writes anything, the answers to
clients included, and in each kind of step.
"""

import contextlib
import os
import shutil
import signal

import pytest

import load
from harness import HarnessError, poctl, tally
from powercut import Disk
from scene import StoreAt, make_plain, make_store, mounted, start, sync

IS_ALL = os.environ.get("POFS_KILLS") == "all"
KINDS = load.KINDS if IS_ALL else ("deliver", "pickup", "lock_file")
STEPS = [*(("deliver", kind) for kind in (*KINDS, "die")), ("die", "discard")]
"""Kinds: of a step, and of the one in which it is killed."""
if IS_ALL:
    STEPS += [("deliver", "deliver_large"), ("deliver", "die_large"),
              ("die_large", "discard")]
OPTIONS = ("-o", "staged-limit-mib=1")
"""What is large is on the disk before the commit."""


@pytest.fixture(scope="module", name="template")
def fixture_template():
    """A store to begin with."""
    with Disk() as disk:
        yield make_store(disk, ["PO"])


def killed_at(number, before, kind, template, seed):
    """One life; returns whether it ended before call `number` of a step."""
    with Disk() as disk:
        shutil.copytree(template.path, disk.path / "store")
        store = StoreAt(disk.path / "store")
        with disk.log() as log:
            with mounted(disk, store, *OPTIONS) as mount:
                program = load.Program(mount / "PO", "PO", seed, log,
                                       store=store.path)
                program.step([before])
                disk.control.is_wide = IS_ALL
                disk.control.calls = 0
                disk.control.kill_at = number
                try:
                    program.step([kind])
                    sync(mount.path)
                    is_killed = False
                except OSError:
                    is_killed = True
                except HarnessError:
                    # poctl had asked it: it has died, or else this fails.
                    mount.wait()
                    is_killed = True
                program.give_up()
                # In any case, for it may be about to reach that call.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(mount.server_pid, signal.SIGKILL)
                mount.wait()
                disk.control.kill_at = 0
            poctl("check", store.path)
            with mounted(disk, store) as mount:
                program.move_to(mount / "PO")
                is_done = program.resume()
                assert is_done or program.number > program.acknowledged
                program.step(["deliver"])
        poctl("check", "--mail", "--quiet", store.path)
        tally("kills", int(is_killed))
        return is_killed


@pytest.mark.parametrize("before, kind", STEPS)
def test_killed_before_any_call(before, kind, template, seed):
    number = 1
    while killed_at(number, before, kind, template, seed):
        number += 1
    assert number > 4


def test_on_plain_files_the_same_is_half_done(seed, tmp_path):
    """There, who is killed is the mail program."""
    make_plain(tmp_path / "plain")
    half_done, is_killed, number = 0, True, 0
    while is_killed:
        number += 1
        with Disk() as disk:
            shutil.copytree(tmp_path / "plain", disk.path / "plain")
            disk.control.kill_at = number
            one = start(disk.path / "plain", "PO", seed, 1, disk.log_path,
                        "--kinds", "deliver", env=disk.env())
            is_killed = one.wait() == -signal.SIGKILL
            states = [state for _, _, state in disk.begun()]
            found = load.read_tree(disk.path / "plain" / "PO")
            half_done += load.state_of(found) not in states
    assert half_done > 2
