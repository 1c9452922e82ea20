# SPDX-License-Identifier: BSD-2-Clause
"""Windows programs under Wine: what pofs and Wine's server make of each other.

What a test shows that does not hold is in mount-examples/clients.md.
"""

import contextlib
import itertools
import os
import signal

import pytest

from harness import run, wait_until
from local_client import CallError, refused
from postoffice import HEADER, MESSAGE
from smb1 import Access, Deny, Error, Mode
from wine import WINE

KEY, MBG = r"PO\KEY\A.KEY", r"PO\MBG\A.MBG"
PLAIN = r"PO\GLB\NETWORK.GLB"
LOCK_FILE = r"PO\P1\0000000E.0LK"


# ---- locks ------------------------------------------------------------------


def is_allowed(access, deny, others_access, others_deny):
    """What DOS says of a second opener."""
    def denies(mode, wanted):
        return mode == Deny.ALL or \
            mode == Deny.WRITE and wanted != Access.READ or \
            mode == Deny.READ and wanted != Access.WRITE
    return not denies(deny, others_access) and \
        not denies(others_deny, access)


def is_opened(program, name, *how):
    """Opens and closes a file; False if that is a sharing violation."""
    try:
        program.open(name, *how).close()
    except CallError as error:
        assert error.code == Error.SHARING_VIOLATION
        return False
    return True


HOWS = list(itertools.product(
    (Access.READ, Access.BOTH),
    (Deny.NONE, Deny.WRITE, Deny.READ, Deny.ALL)))


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("name", [PLAIN, KEY])
def test_deny_modes_hold_between_the_programs_of_a_prefix(start, name):
    prefix = start.prefix()
    first, second = start.windows(prefix), start.windows(prefix)
    for mine in HOWS:
        with first.open(name, *mine):
            for others in HOWS:
                assert is_opened(second, name, *others) == \
                    is_allowed(*mine, *others), (mine, others)


@pytest.mark.usefixtures("plain")
def test_deny_modes_of_plain_files_do_not_reach_other_prefixes(start):
    with start.windows().open(PLAIN, deny=Deny.ALL):
        start.windows().open(PLAIN, deny=Deny.ALL).close()


@pytest.mark.parametrize("lock_wait_s", [1])
@pytest.mark.usefixtures("office")
def test_a_mailbag_in_use_is_a_sharing_violation_in_the_end(start):
    with start.windows().open(KEY, deny=Deny.NONE), \
            refused(Error.SHARING_VIOLATION):
        start.windows().open(MBG)


@pytest.mark.parametrize("lock_wait_s", [1])
@pytest.mark.usefixtures("office")
def test_one_process_files_are_one_programs(start):
    with start.windows().open(r"PO\GLB\CONTROL.GLB", deny=Deny.NONE), \
            refused(Error.SHARING_VIOLATION):
        start.windows().open(r"PO\GLB\CONTROL.GLB", deny=Deny.NONE)


@pytest.mark.usefixtures("plain")
def test_ranges_are_kept_from_lockers_but_not_from_writers(start):
    prefix = start.prefix()
    first, second = start.windows(prefix), start.windows(prefix)
    third = start.windows()
    with first.open(PLAIN) as file:
        file.lock(10, 5)
        for other in second, third:
            with other.open(PLAIN) as its:
                with refused(Error.LOCK_VIOLATION):
                    its.lock(12, 1)
                its.lock(15, 5)
                its.write(12, b"x")  # under Windows a lock violation
        file.unlock(10, 5)
        with third.open(PLAIN) as its:
            its.lock(12, 1)


def created(program):
    """Creates the lock file; None if it is there already."""
    with contextlib.suppress(CallError):
        return program.create_new(LOCK_FILE)


@pytest.mark.usefixtures("office")
def test_lock_files(start):
    first, second = start.windows(), start.windows()
    file = first.open(LOCK_FILE, deny=Deny.ALL, mode=Mode.CREATE)
    for attempt, code in (
            (lambda: second.create_new(LOCK_FILE), Error.FILE_EXISTS),
            (lambda: second.open(LOCK_FILE), Error.SHARING_VIOLATION),
            (lambda: second.delete(LOCK_FILE), Error.SHARING_VIOLATION)):
        with refused(code):
            attempt()
    assert second.search(LOCK_FILE)
    file.close()
    first.delete(LOCK_FILE)
    # Wine looks for a file before its server does as it was told, and who looks
    # for a lock file has a place in the line for half a second.
    wait_until(lambda: created(second), "the lock file is gone")


@pytest.mark.usefixtures("office")
def test_a_lock_file_of_a_killed_program_goes_with_its_wineserver(start):
    prefix = start.prefix()
    first, second = start.windows(prefix), start.windows()
    first.create_new(LOCK_FILE).close()
    first.kill()
    with refused(Error.FILE_EXISTS):
        second.create_new(LOCK_FILE)
    prefix.kill()
    wait_until(lambda: created(second), "the lock file is gone")


def test_a_delete_that_is_refused_is_said_to_be_done(start, plain):
    """Wine removes a file when it closes it, and then tells nobody."""
    with start.windows().open(PLAIN):
        start.windows().delete(PLAIN)
    assert plain.exists()


# ---- transactions -----------------------------------------------------------


def deliver(program):
    """Puts a message and its header; the KEY stays open."""
    file = program.open(KEY)
    program.write_file(r"PO\MAI\MA7\00000017.MAI", MESSAGE)
    with program.open(MBG) as mbg:
        mbg.write(0, HEADER)
    file.write(0, b"\1")
    return file


def is_delivered(office):
    """Whether all of it is seen, or nothing; waits for who delivers it."""
    with open(office.key("A"), "r+b") as file:
        seen = {file.read(1) == b"\1", office.mai.exists(),
                office.mbg("A").read_bytes() == HEADER}
    assert len(seen) == 1
    return seen.pop()


def test_the_programs_of_a_prefix_are_one_session(start, office, store):
    prefix = start.prefix()
    first, second = start.windows(prefix), start.windows(prefix)
    file = deliver(first)
    with second.open(MBG) as other:
        assert other.read(0, 116) == HEADER
    assert office.mbg("A").read_bytes() == b""
    # One's death undoes what the other one did.
    second.open(MBG).write(116, HEADER)
    second.kill()
    wait_until(store.undone, "it is undone")
    with contextlib.suppress(CallError):
        file.close()
    assert not is_delivered(office)


@pytest.mark.parametrize("code", [0, 3])
def test_a_program_that_ends_without_closing_has_closed(start, office, code):
    """Wine's server closes for it."""
    program = start.windows()
    deliver(program)
    assert program.exit(code) == code
    assert is_delivered(office)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_wineserver_that_is_ended_publishes_nothing(
        start, office, store, signum):
    prefix = start.prefix()
    deliver(start.windows(prefix))
    os.kill(prefix.server.pid, signum)
    prefix.server.wait()
    assert not is_delivered(office)
    wait_until(store.undone, "it is in the quarantine")


def test_wineserver_k_closes_for_its_programs_what_they_had_open(
        start, office):
    """As Windows's task manager does: it cannot be told from a close."""
    prefix = start.prefix()
    deliver(start.windows(prefix))
    run(WINE / "wineserver64", "-k", env=prefix.environment, check=False)
    prefix.server.wait()
    assert is_delivered(office)
