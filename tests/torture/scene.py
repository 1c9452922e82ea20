# SPDX-License-Identifier: BSD-2-Clause
"""A recorded store with postoffices in it, and mail programs at work there."""

import collections
import contextlib
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

import load
from harness import (Mount, end_with_parent, is_mounted, poctl, program,
                     tally)
from powercut import MEMORY

SUBJECTS = ("PO", "P2")
PROGRAM = pathlib.Path(load.__file__)


class StoreAt:
    """A store that is there, as harness.Mount wants it."""

    def __init__(self, path):
        self.path = path

    @property
    def writer_pid(self):
        """Who has the store open for writing, or wrote last."""
        return int((self.path / "writer").read_text().split()[0])


def audit():
    """What the administrator's command says of a state."""
    return f"{program('tools/poctl')} check --mail --quiet store"


def make_ready(office):
    """An empty mailbag and room for numbers in a postoffice."""
    (office / load.KEY).write_bytes(bytes(560))
    (office / load.MBG).write_bytes(b"")
    (office / load.CONTROL).write_bytes(struct.pack("<II", 0x20, 0x10000))


def make_plain(top):
    """The postoffice of another store, as plain files."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        poctl("create", "--postoffice", "PO", f"{name}/store")
        poctl("export", f"{name}/store", top)
    make_ready(top / "PO")


def make_store(disk, subjects=SUBJECTS):
    """A store with a postoffice for each subject, on disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        tree = pathlib.Path(name) / "tree"
        make_plain(tree)
        for subject in subjects[1:]:
            shutil.copytree(tree / "PO", tree / subject)
        poctl("import", disk.path / "store", tree)
    return StoreAt(disk.path / "store")


@contextlib.contextmanager
def mounted(disk, store, *options, **more):
    """The store, mounted, and recorded from now on if there is a disk."""
    with tempfile.TemporaryDirectory(prefix="mnt-") as name:
        # A mount that a test has killed is gone by itself.
        env = disk.env() if disk is not None else None
        with Mount(store, *options, path=name, env=env, **more) as made:
            yield made
        assert not is_mounted(name)


def start(top, subject, seed, count, log, *options, env=None):
    """Sets a mail program to work in a postoffice below `top`."""
    return subprocess.Popen(
        [sys.executable, PROGRAM, *options, top / subject, subject, str(seed),
         str(count), log], env={**os.environ, **(env or {})},
        preexec_fn=end_with_parent)


def work(top, disk, seed, count, *options, subjects=SUBJECTS):
    """Lets a mail program work in each postoffice, all at once."""
    programs = [start(top, subject, seed + number, count, disk.log_path,
                      *options) for number, subject in enumerate(subjects)]
    codes = [one.wait() for one in programs]
    assert not any(codes), codes


def state_of_store(path, subject="."):
    """The word for all that is in a store, or in one directory of it."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        poctl("export", path, f"{name}/tree")
        return load.state_of(load.read_tree(f"{name}/tree/{subject}"))


def must_be_right(outcome):
    """No state was wrong, and there were some."""
    summary, faults = outcome
    assert summary["states"] > 0
    assert summary["right"] == summary["states"], "\n".join(
        [str(summary), *faults[:20]])
    tally("power cuts", summary["states"])


def must_be_wrong(disk, faults, seed, *arguments):
    """Cuts the power until each of these faults has been seen, which a word
    of replay's summary names, or several."""
    seen = collections.Counter()
    for round_ in range(200):
        summary, _ = disk.replay(5, seed + round_, *arguments)
        seen.update({word: summary[word] for word in ("lost", "torn",
                                                      "refused")})
        if all(any(seen[word] for word in fault.split(" or "))
               for fault in faults):
            return
    raise AssertionError(f"nothing but {seen} in {5 * (round_ + 1)} states")


def sync(top):
    """Waits until everything so far is on disk."""
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
