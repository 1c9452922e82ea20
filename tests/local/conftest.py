# SPDX-License-Identifier: BSD-2-Clause
"""A mount, a postoffice on it, and programs of other systems."""

import contextlib
import itertools
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / part) for part in ("demo", "smb", "mail", "mount")]

from dosbox import DosBox, compile_for_dos  # noqa: E402
from harness import Mount  # noqa: E402
from history import History  # noqa: E402
from postoffice import Office  # noqa: E402
from solo import Solo  # noqa: E402
from wine import Prefix, compile_for_windows  # noqa: E402


@pytest.fixture(scope="session")
def windows_program(tmp_path_factory):
    """The path of the program for Windows."""
    return compile_for_windows(tmp_path_factory.mktemp("windows"))


@pytest.fixture(scope="session")
def dos_program(tmp_path_factory):
    """The path of the program for DOS."""
    return compile_for_dos(tmp_path_factory.mktemp("dos"))


@pytest.fixture
def lock_wait_s():
    """How long pofs lets a program wait for a lock, unless a test says
    otherwise: @pytest.mark.parametrize("lock_wait_s", [1])."""
    return 30


@pytest.fixture
def mount(store, lock_wait_s):
    """The store, mounted. However slow the machine is, no open mailbag is taken
    for idle."""
    with Mount(store, "-o", "idle-open-s=3600",
               "-o", f"lock-wait-s={lock_wait_s}") as made:
        yield made


@pytest.fixture
def office(mount):
    """A postoffice with the mailbags A and B."""
    return Office(mount.path / "PO")


@pytest.fixture
def plain(office):
    """The path of a plain file."""
    path = office.path / "GLB/NETWORK.GLB"
    path.write_bytes(bytes(122))
    return path


class Starter:
    """Starts programs of both systems, and ends them all."""

    def __init__(self, directory, mount, windows_program, dos_program):
        self._directory = directory
        self._mount = mount
        self._windows_program = windows_program
        self._dos_program = dos_program
        self._numbers = itertools.count(1)
        self._stack = contextlib.ExitStack()

    def _place(self):
        return self._directory / f"machine{next(self._numbers)}"

    def prefix(self):
        """A wineserver of its own."""
        return self._stack.enter_context(
            Prefix(self._place(), self._mount.path))

    def windows(self, prefix=None):
        """A Windows program, unless told otherwise in a prefix of its own."""
        return (prefix or self.prefix()).start(self._windows_program)

    def dos(self):
        """A DOS program in a DOSBox of its own."""
        return self._stack.enter_context(
            DosBox(self._place(), self._mount.path, self._dos_program))

    def end(self):
        """Leaves no process behind."""
        self._stack.close()


@pytest.fixture
def start(tmp_path, mount, windows_program, dos_program):
    """Starts programs; see Starter."""
    starter = Starter(tmp_path, mount, windows_program, dos_program)
    yield starter
    starter.end()


@pytest.fixture
def program():
    """Makes a mail program of one of ../mail's classes run on a client."""
    history = History()
    return lambda kind, client, player=None: kind(
        client, player or Solo("LOCAL"), history, "PO")
