# SPDX-License-Identifier: BSD-2-Clause
"""A DOS program under DOSBox: what it can rely on, and what DOSBox changes.

What a test shows that does not hold is in mount-examples/clients.md.
"""

import os

import pytest

from harness import wait_until
from local_client import CallError, refused
from smb1 import Access, Deny, Error, Mode

KEY = r"PO\KEY\A.KEY"
PLAIN = r"PO\GLB\NETWORK.GLB"
CONTROL = r"PO\GLB\CONTROL.GLB"
LOCK_FILE = r"PO\P1\0000000E.0LK"

INVALID_FUNCTION = 1


@pytest.mark.parametrize("lock_wait_s", [1])
def test_what_is_in_use_is_refused_with_other_errors(start, office, plain):
    program = start.dos()
    lock_file = os.open(office.lock_file("0000000E.0LK"),
                        os.O_RDWR | os.O_CREAT | os.O_EXCL)
    with open(office.key("A"), "r+b"), open(plain, "r+b"):
        # DOS: 32.
        with refused(Error.ACCESS_DENIED):
            program.open(KEY)
        # DOS: 80.
        with refused(Error.FILE_NOT_FOUND):
            program.create_new(LOCK_FILE)
        # DOS: 32 or 5.
        for attempt in (lambda: program.open(LOCK_FILE),
                        lambda: program.delete(LOCK_FILE),
                        lambda: program.delete(PLAIN),
                        lambda: program.rename(PLAIN, r"PO\GLB\N.GLB")):
            with refused(Error.FILE_NOT_FOUND):
                attempt()
    os.close(lock_file)
    assert plain.exists()


@pytest.mark.usefixtures("plain")
def test_dosbox_knows_neither_deny_modes_nor_ranges(start):
    program = start.dos()
    for name in PLAIN, KEY:
        with program.open(name, deny=Deny.ALL) as file:
            with program.open(name, deny=Deny.ALL):
                with refused(INVALID_FUNCTION):
                    file.lock(0, 10)


def test_what_is_written_arrives_with_the_close(start, office):
    program = start.dos()
    with program.open(CONTROL) as file:
        file.write(4, b"\5")
        assert office.control.read_bytes()[4] == 0
    assert office.control.read_bytes()[4] == 5


def test_a_file_that_stays_open_is_read_once(start, plain):
    program = start.dos()
    with program.open(PLAIN, Access.READ) as file:
        assert file.read(0, 4) == bytes(4)
        plain.write_bytes(b"x" * 122)
        assert file.read(0, 4) == bytes(4)
    assert program.read_file(PLAIN) == b"x" * 122


def test_new_names_are_opened_but_not_found(start, office):
    program = start.dos()
    assert not program.search(PLAIN)
    (office.path / "GLB/NETWORK.GLB").write_bytes(b"new")
    assert not program.search(PLAIN)
    assert program.read_file(PLAIN) == b"new"


def created(program):
    """Creates the lock file; None if it is there already."""
    try:
        return program.open(LOCK_FILE, mode=Mode.CREATE)
    except CallError:
        return None


@pytest.mark.usefixtures("office")
def test_lock_files(start):
    first, second = start.dos(), start.windows()
    first.create_new(LOCK_FILE).close()
    assert second.search(LOCK_FILE)
    with refused(Error.FILE_EXISTS):
        second.create_new(LOCK_FILE)
    first.kill()
    wait_until(lambda: created(second), "the lock file is gone")


@pytest.mark.parametrize("code", [0, 3])
def test_a_program_that_ends_without_closing_has_closed(start, office, code):
    """DOS closes for it, and DOSBox knows no exit code."""
    program = start.dos()
    program.open(KEY).write(0, b"\1")
    with open(office.key("A"), "rb") as file:
        assert file.read(1) == b"\0"
    assert program.exit(code) == 0
    with open(office.key("A"), "rb") as file:
        assert file.read(1) == b"\1"


def test_who_reads_takes_no_lock(start, office):
    program = start.dos()
    with open(office.key("A"), "r+b") as file:
        file.write(b"\1")
        file.flush()
        with program.open(KEY, Access.READ) as other:
            assert other.read(0, 1) == b"\0"
