# SPDX-License-Identifier: BSD-2-Clause
"""What every suite shares: a clean end, and stores and mounts by name."""

import os
import pathlib
import signal
import tempfile

import pytest

from harness import Mount, Store, unmount_lazily


def pytest_configure(config):
    """Lets a test runner's time limit unwind the fixtures, mounts and all."""
    def end(*_):
        pytest.exit("ended by SIGTERM", 128 + signal.SIGTERM)
    signal.signal(signal.SIGTERM, end)


@pytest.fixture
def store(tmp_path):
    """A store with one postoffice, PO, and room beside it."""
    with Store(tmp_path / "store", "--postoffice", "PO") as made:
        yield made


@pytest.fixture
def mount(store):
    """That store, mounted."""
    with Mount(store) as made:
        yield made


@pytest.fixture
def point(tmp_path):
    """An empty mount point, free again afterwards."""
    path = tmp_path / "point"
    path.mkdir()
    yield path
    unmount_lazily(path)


@pytest.fixture
def public_path():
    """A directory that every user may walk through."""
    with tempfile.TemporaryDirectory(prefix="public-") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)
