# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of torture share."""

import os
import pathlib
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "demo"),
                str(HERE.parent / "tools")]

from powercut import Disk  # noqa: E402


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
