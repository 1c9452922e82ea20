# SPDX-License-Identifier: BSD-2-Clause
"""A daemon that is killed in the middle of a commit, and a newer program that
goes on with what it left, whose format is an older one; and an older program
that finds a newer store.

POFS_UPGRADES says how often.
"""

import contextlib
import os
import random
import signal

import load
from harness import is_mounted, poctl, program, run, tally
from scene import make_store, mounted, sync

UPGRADES = int(os.environ.get("POFS_UPGRADES", "20"))
CALLS_MAX = 8
"""So many of a commit's calls write something, or a few more."""


def set_format(store, *number):
    """Makes it one of another format, the oldest if none is named; returns
    what it was of."""
    done = run(program("tests/torture/older"), store.path, *number)
    return int(done.stdout)


def end_in_a_commit(disk, mount, client, kind, number):
    """Kills the daemon before one of the calls of a step, or behind them."""
    disk.control.calls = 0
    disk.control.kill_at = number
    with contextlib.suppress(OSError):
        client.step([kind])
        sync(mount.path)
    client.give_up()
    with contextlib.suppress(ProcessLookupError):
        os.kill(mount.server_pid, signal.SIGKILL)
    mount.wait()
    disk.control.kill_at = 0


def test_what_a_killed_one_left_is_upgraded_in_place(disk, seed):
    store = make_store(disk, ["PO"])
    newest = set_format(store)
    dice = random.Random(seed)
    client = None
    with disk.log() as log:
        for _ in range(UPGRADES):
            with mounted(disk, store) as mount:
                client = client or load.Program(mount / "PO", "PO", seed, log)
                client.move_to(mount / "PO")
                is_done = client.resume()
                assert is_done or client.number > client.acknowledged
                client.step(["deliver"])
                end_in_a_commit(disk, mount, client,
                                dice.choice(("deliver", "pickup")),
                                dice.randint(1, CALLS_MAX))
            assert set_format(store) == newest > 1
            poctl("check", store.path)
            tally("upgrades")
    with mounted(disk, store) as mount:
        client.move_to(mount / "PO")
        client.resume()
        mount.unmount()
    assert set_format(store) == newest
    poctl("check", "--mail", "--quiet", store.path)


def test_a_newer_store_is_left_alone(disk, tmp_path):
    store = make_store(disk, ["PO"])
    newest = set_format(store)
    set_format(store, newest + 1)
    before = (store.path / "data.mdb").read_bytes()
    words = f"format {newest + 1} is newer than this program's ({newest})"
    for command in ((program("fs/pofs"), "-f", store.path, tmp_path),
                    (program("tools/poctl"), "queue", store.path),
                    (program("tools/poctl"), "import", "--postoffice", "NEW",
                     store.path, tmp_path)):
        done = run(*command, check=False)
        line, = done.stderr.splitlines()
        assert done.returncode == 1 and words in line
        assert not is_mounted(tmp_path)
    assert (store.path / "data.mdb").read_bytes() == before
