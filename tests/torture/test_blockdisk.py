# SPDX-License-Identifier: BSD-2-Clause
"""What blockdisk.py leaves behind when it is killed: nothing that a kernel
keeps."""

import os
import pathlib
import shutil
import subprocess
import sys

from harness import end_with_parent, wait_until
from powercut import MEMORY

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = """
from blockdisk import BlockDisk
from scene import make_store, mounted
with BlockDisk("ext4") as disk, mounted(disk, make_store(disk)):
    print(disk.path.parent, flush=True)
    input()
"""


def attached():
    """The files that loop devices are on."""
    for path in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            yield path.read_text().strip()
        except OSError:
            pass  # it has just gone


def has_device(top):
    return any(file.startswith(top) for file in attached())


def test_a_killed_test_leaves_no_mount_and_no_device():
    path = ":".join(map(str, (HERE, HERE.parent, HERE.parent / "demo")))
    with subprocess.Popen([sys.executable, "-c", PROGRAM], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env={**os.environ, "PYTHONPATH": path},
                          preexec_fn=end_with_parent) as victim:
        top = victim.stdout.readline().strip()
        assert top.startswith(MEMORY) and has_device(top)
        victim.kill()
    # The device is the last to go: it waits for the mount, and that for pofs.
    wait_until(lambda: not has_device(top), f"{top} is attached")
    shutil.rmtree(top)
