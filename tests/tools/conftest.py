# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of poctl share."""

import subprocess

import pytest

import trees
from harness import program


@pytest.fixture
def source(tmp_path):
    """A postoffice's files, outside any store."""
    top = tmp_path / "source"
    trees.make_postoffice(top)
    trees.set_directory_times(top)
    return top


@pytest.fixture
def holder():
    """Opens a store for writing, as a daemon does, for as long as the test
    runs; returns the process."""
    started = []

    def hold(path):
        process = subprocess.Popen(
            [program("tests/tools/hold_store"), path], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield hold
    for process in started:
        process.communicate(timeout=30)
