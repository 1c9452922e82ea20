# SPDX-License-Identifier: BSD-2-Clause
"""kill -9 of the server at random instants under load, many times over.

After each crash `poctl check` must be clean, the store must mount again, and
every writer's directory must hold what history.py says it may. kill -9 leaves
the page cache alone: this proves order and atomicity, not that the disk was
told; that a sync reaches the disk is for the power-cut tests.

POFS_CRASH_CYCLES sets how many crashes, POFS_SEED repeats a failure's
changes (not its timing).
"""

import os
import pathlib
import pickle
import random
import select
import subprocess
import sys
import time

import pytest

from harness import (DEADLINE_S, HarnessError, Mount, Store, end_with_parent,
                     tally)
from history import judge

CYCLES = int(os.environ.get("POFS_CRASH_CYCLES", "300"))
LOAD_MAX_S = 0.08

# Directory, suffix, and whether the kernel caches what is in such files.
PLACES = [("MBG", ".MBG", False), ("KEY", ".KEY", False),
          ("W2", ".DAT", True), ("W3", ".DAT", True)]


class Writer:
    """A writer.py that lives through all crashes."""

    def __init__(self, hasty):
        self._hasty = hasty
        self._process = subprocess.Popen(
            [sys.executable, pathlib.Path(__file__).with_name("writer.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, preexec_fn=end_with_parent)

    def start(self, directory, seed, suffix):
        """Sets it to work in `directory`."""
        self._process.stdin.write(
            f"{directory}\t{seed}\t{suffix}\t{int(self._hasty)}\n".encode())
        self._process.stdin.flush()

    def history(self):
        """What it did until the file system died."""
        if not select.select([self._process.stdout], [], [], DEADLINE_S)[0]:
            raise HarnessError("a writer did not notice the crash")
        return pickle.load(self._process.stdout)

    def close(self):
        """Ends it."""
        self._process.kill()
        self._process.communicate()


def content(directory):
    """What a directory holds: name -> bytes."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


class Torture:
    """One store through many crashes."""

    def __init__(self, store, seed, options=(), hasty=False):
        self._store = store
        self._random = random.Random(seed)
        self._options = options
        self._writers = [Writer(hasty) for _ in PLACES]
        self._mount = Mount(store, *options)
        self._number = 0
        self.survivors = {}  # directory below the mount -> content
        self.crashes = 0
        self.changes = 0
        self.syncs = 0

    def close(self):
        """Leaves nothing behind."""
        self._mount.close()
        for writer in self._writers:
            writer.close()

    def _load(self):
        """Lets all writers loose; returns their directories."""
        self._number += 1
        base = self._mount / f"C{self._number}"
        names = []
        for place, _, _ in PLACES:
            (base / place).mkdir(parents=True)
            names.append(f"{base.name}/{place}")
        fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)
        for writer, name, (_, suffix, _) in zip(self._writers, names, PLACES):
            writer.start(self._mount / name, self._random.getrandbits(32),
                         suffix)
        return names

    def crash(self, in_order=False):
        """One cycle; returns what is wrong afterwards, a sentence each.

        `in_order` ends the daemon with SIGTERM: then everything that was done
        must be there.
        """
        names = self._load()
        time.sleep(self._random.random() * LOAD_MAX_S)  # the random instant
        if in_order:
            self._mount.unmount()
        else:
            self._mount.kill()
        histories = [writer.history() for writer in self._writers]
        if in_order:
            for history in histories:
                history.syncs.append((float("-inf"), len(history.done)))
        self._store.check()
        self._mount.close()
        self._mount = Mount(self._store, *self._options)

        wrong = []
        for name, history, (_, _, is_cached) in zip(names, histories, PLACES):
            found = content(self._mount / name)
            answer = judge(history, histories, found, is_cached)
            if isinstance(answer, str):
                wrong.append(f"{name}: {answer}")
            self.survivors[name] = found
            self.changes += len(history.done)
            self.syncs += len(history.syncs)
        self.crashes += 1
        return wrong

    def check_survivors(self):
        """What survived one crash must survive all that follow."""
        for name, wanted in self.survivors.items():
            assert content(self._mount / name) == wanted, name

    def unmount(self):
        """An end in order."""
        self._mount.unmount()


@pytest.fixture
def seed():
    """Shown with a failure."""
    value = int(os.environ.get("POFS_SEED", time.time_ns()))
    print(f"POFS_SEED={value}")
    return value


def test_nothing_acknowledged_is_lost_and_the_order_is_kept(store, seed):
    torture = Torture(store, seed)
    try:
        for number in range(CYCLES):
            wrong = torture.crash()
            assert not wrong, f"crash {number + 1}: " + "\n".join(wrong)
            if number % 50 == 49:
                torture.check_survivors()
        torture.check_survivors()
        torture.unmount()
        # A run in which nobody did anything would prove nothing.
        assert torture.changes > 20 * CYCLES
        assert torture.syncs > 2 * CYCLES
        tally("crashes", torture.crashes)
    finally:
        torture.close()
    store.check()


def test_an_end_in_order_loses_nothing(store, seed):
    torture = Torture(store, seed)
    try:
        for _ in range(max(CYCLES // 10, 1)):
            wrong = torture.crash(in_order=True)
            assert not wrong, "\n".join(wrong)
        torture.check_survivors()
        tally("ends in order", torture.crashes)
    finally:
        torture.close()


def test_a_writer_that_lies_is_caught(store, seed):
    """The same with acknowledgements before the sync: it must go red."""
    torture = Torture(store, seed, options=("-o", "sync-ms=60000"), hasty=True)
    try:
        assert any(torture.crash() for _ in range(5))
    finally:
        torture.close()


def test_a_daemon_that_dies_while_it_starts_changes_nothing(tmp_path, seed):
    """Recovery itself may be cut off, as often as one likes."""
    rand = random.Random(seed)
    with Store(tmp_path / "store") as store:
        with Mount(store) as mount:
            (mount / "file").write_bytes(b"content" * 10_000)
            fd = os.open(mount / "orphan", os.O_CREAT | os.O_RDWR)
            os.write(fd, b"x" * 1_000_000)
            os.unlink(mount / "orphan")
            os.fsync(fd)
            mount.kill()
            try:
                os.close(fd)
            except OSError:
                pass  # its file system is gone
        for _ in range(20):
            with Mount(store) as mount:
                assert (mount / "file").read_bytes() == b"content" * 10_000
                time.sleep(rand.random() * 0.02)  # the random instant
                mount.kill()
            store.check()
