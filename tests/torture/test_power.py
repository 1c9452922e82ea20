# SPDX-License-Identifier: BSD-2-Clause
"""The power is cut at any moment: what was acknowledged is there, each once,
and nothing is half done; nor is what is kept of transactions that were undone,
nor half gone once that is discarded.

POFS_CUTS says how many states are judged of each recording, POFS_SEED repeats
a recording's mail and its cuts, though not what ran at once with what.
"""

import os

import pytest

from scene import (audit, make_plain, make_store, mounted, must_be_right,
                   must_be_wrong, start, work)

CUTS = int(os.environ.get("POFS_CUTS", "100"))
STEPS = int(os.environ.get("POFS_STEPS", "40"))

pofs_names = pytest.mark.parametrize("names", [(), ("--strict",)],
                                     ids=["journal", "strict"])


# ---- under load -------------------------------------------------------------


@pofs_names
def test_what_was_acknowledged_is_there(disk, seed, names):
    store = make_store(disk)
    with mounted(disk, store) as mount:
        work(mount.path, disk, seed, STEPS, "--store", store.path)
    assert any(number > 0 for subject, number, _ in disk.begun()
               if subject.startswith("quarantine/"))
    must_be_right(disk.replay(3 * CUTS, seed, "--store", "store", *names))
    must_be_right(disk.replay(max(CUTS // 5, 1), seed + 1, "--store", "store",
                              "--audit", audit(), *names))


def test_what_is_too_large_for_memory_is_there(disk, seed):
    """Its content is on the disk before the commit that names it."""
    store = make_store(disk, ["PO"])
    with mounted(disk, store, "-o", "staged-limit-mib=1") as mount:
        work(mount.path, disk, seed, 2, "--sync", "--kinds", "deliver_large",
             subjects=["PO"])
    must_be_right(disk.replay(max(CUTS // 10, 1), seed, "--store", "store",
                              "--audit", audit()))


def test_what_is_too_large_for_memory_and_undone_is_there(disk, seed):
    """That content is the quarantine's then, until it is discarded."""
    store = make_store(disk, ["PO"])
    with mounted(disk, store, "-o", "staged-limit-mib=1") as mount:
        work(mount.path, disk, seed, 3, "--kinds", "die_large", "--store",
             store.path, subjects=["PO"])
    must_be_right(disk.replay(max(CUTS // 5, 1), seed, "--store", "store",
                              "--audit", audit()))


def test_a_disk_that_lies_is_caught(disk, seed):
    """The same where a sync does nothing, as with MDB_NOSYNC: the judge must
    find losses."""
    disk.control.is_lying = 1
    store = make_store(disk)
    with mounted(disk, store) as mount:
        work(mount.path, disk, seed, STEPS)
    must_be_wrong(disk, disk.LIES_SHOW, seed, "--store", "store")


# ---- a plain directory ------------------------------------------------------


def work_on_plain_files(disk, seed, *options):
    make_plain(disk.path)
    disk.settle()
    one = start(disk.path, "PO", seed, STEPS, disk.log_path, *options,
                env=disk.env())
    assert one.wait() == 0


def test_plain_files_lose_what_was_acknowledged(disk, seed):
    work_on_plain_files(disk, seed)
    must_be_wrong(disk, ("lost",), seed)


def test_plain_files_that_are_synced_are_torn(disk, seed):
    """All that a program can do for itself is not enough."""
    work_on_plain_files(disk, seed, "--sync")
    must_be_wrong(disk, ("torn",), seed)
