# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of torture share.

POFS_FILE_SYSTEM names a file system, ext4, xfs or btrfs: then what is recorded
is not the calls of our programs, but the blocks that it writes to its disk.
POFS_CONTROLS=no leaves those of plain files out: they say nothing of a build
of pofs that they do not use, a sanitized one for instance.
"""

import os
import pathlib
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "demo"),
                str(HERE.parent / "tools")]

from blockdisk import BlockDisk  # noqa: E402
from powercut import Disk  # noqa: E402

FILE_SYSTEM = os.environ.get("POFS_FILE_SYSTEM")


def pytest_collection_modifyitems(items):
    if os.environ.get("POFS_CONTROLS") == "no":
        items[:] = [item for item in items if "plain_files" not in item.name]
    if FILE_SYSTEM:
        # It has its own way with names.
        items[:] = [item for item in items if "strict" not in item.name]


@pytest.fixture
def disk():
    """A recorded directory."""
    with BlockDisk(FILE_SYSTEM) if FILE_SYSTEM else Disk() as made:
        yield made


@pytest.fixture
def seed():
    """Shown with a failure; POFS_SEED repeats it."""
    value = int(os.environ.get("POFS_SEED", time.time_ns() % 1_000_000))
    print(f"POFS_SEED={value}")
    return value
