# SPDX-License-Identifier: BSD-2-Clause
"""A disk that is full or fails: the client is told which of the two, nothing
is half done, no wrong byte is handed out, and the daemon goes on by itself when
the disk does. What was acknowledged then survives a power cut, too.
"""

import contextlib
import errno
import os
import shutil

import pytest

import load
from harness import poctl, run, tally, tool, unmount_lazily, wait_until
from powercut import Disk, Log
from scene import (StoreAt, make_plain, make_store, mounted, must_be_right,
                   sync)

IS_ALL = os.environ.get("POFS_KILLS") == "all"
CUTS = int(os.environ.get("POFS_CUTS", "100"))
KINDS = load.KINDS if IS_ALL else ("deliver", "pickup", "lock_file")
PAGE = 4096
PAGES_MAX = 40
"""More than any of them takes."""


@pytest.fixture(scope="module", name="template")
def fixture_template():
    """A store to begin with."""
    with Disk() as disk:
        yield make_store(disk, ["PO"])


@contextlib.contextmanager
def programs(disk, template, seed):
    """The store, mounted, and a mail program that has delivered a message."""
    shutil.copytree(template.path, disk.path / "store")
    store = StoreAt(disk.path / "store")
    with disk.log() as log, mounted(disk, store) as mount:
        program = load.Program(mount / "PO", "PO", seed, log)
        program.step(["deliver"])
        yield mount, program
        mount.unmount()
    poctl("check", "--mail", "--quiet", store.path)


def is_well(top):
    """Whether a sync succeeds."""
    try:
        sync(top)
    except OSError as error:
        assert error.errno in (errno.EIO, errno.ENOSPC)
        return False
    return True


def attempt(program, kind):
    """One step; returns the errno that it failed with, or 0."""
    try:
        program.step([kind])
    except OSError as error:
        return error.errno
    return 0


def goes_on(mount, program):
    """The disk is well again: so is everything, without a restart."""
    wait_until(lambda: is_well(mount.path), "the store recovers")
    is_done = program.resume()
    for _ in range(3):
        program.step(["deliver"])
    return is_done


# ---- a sync that fails ------------------------------------------------------


def fails_at(number, kind, template, seed):
    """One life; returns whether sync `number` of a step was reached."""
    with Disk() as disk:
        with programs(disk, template, seed) as (mount, program):
            disk.control.syncs = 0
            disk.control.fail_at = number
            answer = attempt(program, kind)
            answer = answer or (0 if is_well(mount.path) else errno.EIO)
            is_reached = disk.control.syncs >= number
            disk.control.fail_at = 0
            tally("failed syncs", int(is_reached))
            assert answer in ((0, errno.EIO) if is_reached else (0,))
            goes_on(mount, program)
        # What a failed write left on the disk is another with each seed.
        for number in range(3 if is_reached else 0):
            must_be_right(disk.replay(max(CUTS // 2, 1), seed + number,
                                      "--store", "store"))
        return is_reached


@pytest.mark.parametrize("kind", KINDS)
def test_any_sync_may_fail(kind, template, seed):
    number = 1
    while fails_at(number, kind, template, seed):
        number += 1
    assert number > 2


def test_while_all_syncs_fail_nothing_is_acknowledged(disk, template, seed):
    with programs(disk, template, seed) as (mount, program):
        disk.control.syncs = 0
        disk.control.is_sticky = 1
        disk.control.fail_at = 1
        for _ in range(5):
            before = program.acknowledged
            assert attempt(program, "deliver") == errno.EIO
            program.resume()
            assert program.acknowledged == before
        assert not is_well(mount.path)
        disk.control.fail_at = 0
        goes_on(mount, program)
    must_be_right(disk.replay(CUTS, seed, "--store", "store"))


# ---- writes that are cut short ----------------------------------------------


@pytest.mark.parametrize("every", range(2, 51) if IS_ALL else (2, 3, 7))
def test_short_writes(disk, template, seed, every):
    with programs(disk, template, seed) as (mount, program):
        disk.control.short_every = every
        answers = [attempt(program, "deliver")]
        while not answers[-1] and len(answers) < 2 * every:
            answers.append(attempt(program, "deliver"))
        disk.control.short_every = 0
        assert answers[-1] == errno.EIO
        goes_on(mount, program)
    must_be_right(disk.replay(max(CUTS // 5, 1), seed, "--store", "store"))


# ---- a full disk ------------------------------------------------------------


@contextlib.contextmanager
def small_disk(tmp_path, mib=8):
    """A file system that can be filled."""
    top = tmp_path / "disk"
    top.mkdir()
    run(tool("mount"), "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", top)
    try:
        yield top
    finally:
        unmount_lazily(top)


def leave(top, pages):
    """Fills it up to so many pages."""
    with open(top / "ballast", "ab", buffering=0) as file:
        found = os.statvfs(top)
        size = found.f_bavail * found.f_frsize - pages * PAGE
        if size > 0:
            os.posix_fallocate(file.fileno(), file.tell(), size)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "number"])
def test_a_full_disk(kind, template, seed, tmp_path):
    """Whatever little is left of it, to the page."""
    with small_disk(tmp_path) as top, \
            contextlib.closing(Log(tmp_path / "log")) as log:
        store = StoreAt(shutil.copytree(template.path, top / "store"))
        with mounted(None, store) as mount:
            program = load.Program(mount / "PO", "PO", seed, log)
            program.step(["deliver"])
            answers = []
            for pages in range(PAGES_MAX):
                # While there is little, nothing is staged: somebody else
                # takes the room before the commit.
                program.before_commit = lambda: leave(top, pages)
                answers.append(attempt(program, kind))
                tally("full disks")
                program.before_commit = lambda: None
                assert answers[-1] in (0, errno.ENOSPC)
                assert program.resume() == (answers[-1] == 0)
                os.unlink(top / "ballast")
                wait_until(lambda: is_well(mount.path), "there is room")
                program.step(["deliver"])
            assert answers[-1] == 0
            # What a removal takes may be free in the database.
            assert kind == "pickup" or errno.ENOSPC in answers
            mount.unmount()
        poctl("check", "--mail", "--quiet", store.path)


def test_a_full_disk_to_a_daemon_that_starts(template, seed, tmp_path):
    with small_disk(tmp_path) as top, \
            contextlib.closing(Log(tmp_path / "log")) as log:
        store = StoreAt(shutil.copytree(template.path, top / "store"))
        with mounted(None, store) as mount:
            program = load.Program(mount / "PO", "PO", seed, log)
            program.step(["deliver"])
            mount.kill()
        leave(top, 0)
        with mounted(None, store) as mount:
            program.move_to(mount / "PO")
            assert program.resume()
            assert attempt(program, "deliver") == errno.ENOSPC
            assert not program.resume()
            os.unlink(top / "ballast")
            wait_until(lambda: is_well(mount.path), "there is room")
            program.step(["deliver"])
            mount.unmount()
        poctl("check", "--mail", "--quiet", store.path)


def test_on_plain_files_a_full_disk_leaves_half_a_message(seed, tmp_path):
    half_done = 0
    make_plain(tmp_path / "plain")
    with small_disk(tmp_path) as top, \
            contextlib.closing(Log(tmp_path / "log")) as log:
        for pages in range(PAGES_MAX):
            shutil.copytree(tmp_path / "plain", top / "plain")
            program = load.Program(top / "plain" / "PO", "PO", seed, log)
            leave(top, pages)
            assert attempt(program, "deliver") in (0, errno.ENOSPC)
            os.unlink(top / "ballast")
            try:
                program.resume()
            except AssertionError:
                half_done += 1
            shutil.rmtree(top / "plain")
    assert half_done > 0
