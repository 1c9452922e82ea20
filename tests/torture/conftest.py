# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of torture share.

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

from powercut import Disk  # noqa: E402


def pytest_collection_modifyitems(items):
    if os.environ.get("POFS_CONTROLS") == "no":
        items[:] = [item for item in items if "plain_files" not in item.name]


@pytest.fixture
def disk():
    """A recorded directory."""
    with Disk() as made:
        yield made


@pytest.fixture
def seed():
    """Shown with a failure; POFS_SEED repeats it."""
    value = int(os.environ.get("POFS_SEED", time.time_ns() % 1_000_000))
    print(f"POFS_SEED={value}")
    return value
