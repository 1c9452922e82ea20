# SPDX-License-Identifier: BSD-2-Clause
"""A full disk (test_disk.py) whose file system writes nothing in its old place,
for the release tier: it takes btrfs, and Linux 6.16.
"""

import errno
import os

import pytest

import load
from blockdisk import keep_mounts_private
from harness import poctl, run, tally, tool, unmount_lazily, wait_until
from scene import mounted
from test_disk import attempt, is_well
from test_room import fill, fixture_log, fixture_template, fresh

__all__ = ["fixture_log", "fixture_template"]

FULL = int(os.environ.get("POFS_FULL", "3"))


@pytest.fixture(name="btrfs")
def fixture_btrfs(tmp_path):
    """It never writes a page where it was."""
    keep_mounts_private()
    image, top = tmp_path / "image", tmp_path / "btrfs"
    image.touch()
    os.truncate(image, 128 << 20)
    top.mkdir()
    run(tool("mkfs.btrfs"), "-q", image)
    run(tool("mount"), "-o", "loop", image, top)
    try:
        yield top
    finally:
        unmount_lazily(top)


def test_a_full_disk_that_copies_on_write(template, btrfs, seed, log):
    """Where even the table of LMDB's readers takes room each time that it is
    written; Linux before 6.16 has none for it then."""
    store = fresh(template, btrfs / "store")
    with mounted(None, store) as mount:
        client = load.Program(mount / "PO", "PO", seed, log)
        for _ in range(FULL):
            client.step(["deliver"])
            client.before_commit = lambda: fill(btrfs)
            assert attempt(client, "deliver") == errno.ENOSPC
            client.before_commit = lambda: None
            assert not client.resume()
            os.unlink(btrfs / "ballast")
            wait_until(lambda: is_well(mount.path), "there is room")
            tally("full disks")
        assert "event=store-failing" not in mount.stderr
        mount.unmount()
    poctl("check", "--mail", "--quiet", store.path)
