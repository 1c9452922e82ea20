# SPDX-License-Identifier: BSD-2-Clause
"""Removing what somebody has open: refused between sessions, as on DOS."""

import errno
import json
import os

import pytest

import syscalls
from actor import Actor
from harness import Mount, fails_with, poctl


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
def test_what_another_session_has_open_stays(target, a, flags):
    fd = a.call("os.open", target, flags)
    side = target.parent / "SIDE"
    side.write_bytes(b"side")
    for attempt in (
            lambda: os.unlink(target),
            lambda: os.unlink(target.parent / target.name.lower()),
            lambda: os.rename(target, target.parent / "NEW"),
            lambda: os.rename(side, target),
            lambda: syscalls.renameat2(side, target,
                                       syscalls.RENAME_EXCHANGE),
            lambda: syscalls.renameat2(target, side,
                                       syscalls.RENAME_EXCHANGE)):
        with fails_with(errno.ETXTBSY):
            attempt()
    assert target.read_bytes() == b"content"
    assert side.read_bytes() == b"side"
    a.call("os.close", fd)
    os.rename(side, target)
    assert target.read_bytes() == b"side"
    os.unlink(target)
    assert not target.exists()


def test_the_death_of_the_other_session_frees_the_file(target):
    with Actor() as other:
        other.call("os.open", target, os.O_RDWR)
        with fails_with(errno.ETXTBSY):
            os.unlink(target)
        other.kill()
    os.unlink(target)
    assert not target.exists()


def test_ones_own_open_file_may_go(target):
    fd = os.open(target, os.O_RDWR)
    os.unlink(target)
    assert not target.exists()
    assert os.pread(fd, 100, 0) == b"content"
    os.pwrite(fd, b"CONTENT and more", 0)
    assert os.pread(fd, 100, 0) == b"CONTENT and more"
    assert os.fstat(fd).st_nlink == 0
    target.write_bytes(b"another")
    assert os.pread(fd, 100, 0) == b"CONTENT and more"
    assert target.read_bytes() == b"another"
    os.close(fd)
    assert target.read_bytes() == b"another"


def test_ones_own_open_file_may_be_replaced(target):
    fd = os.open(target, os.O_RDONLY)
    (target.parent / "NEW").write_bytes(b"new")
    os.rename(target.parent / "NEW", target)
    assert os.pread(fd, 100, 0) == b"content"
    assert target.read_bytes() == b"new"
    os.close(fd)


def test_an_open_directory_may_be_listed_and_moved(place, a):
    (place / "dir").mkdir()
    a.call("os.open", place / "dir", os.O_RDONLY | os.O_DIRECTORY)
    os.rename(place / "dir", place / "moved")
    os.rmdir(place / "moved")


def test_many_handles_count(target, a):
    first = a.call("os.open", target, os.O_RDONLY)
    second = a.call("os.open", target, os.O_RDWR)
    a.call("os.close", first)
    with fails_with(errno.ETXTBSY):
        os.unlink(target)
    a.call("os.close", second)
    os.unlink(target)


def test_without_dos_sharing_posix_rules(store):
    with Mount(store, "-o", "dos-sharing=false") as mount, Actor() as other:
        target = mount / "FILE"
        target.write_bytes(b"content")
        fd = other.call("os.open", target, os.O_RDWR)
        os.unlink(target)
        assert not target.exists()
        assert other.call("os.pread", fd, 100, 0) == b"content"
        target.write_bytes(b"second")
        fd = other.call("os.open", target, os.O_RDWR)
        (mount / "NEW").write_bytes(b"new")
        os.rename(mount / "NEW", target)
        assert other.call("os.pread", fd, 100, 0) == b"second"
        assert target.read_bytes() == b"new"


def orphans(store):
    """How many files are removed but not swept yet."""
    return json.loads(poctl("stat", "--json", store.path).stdout)["orphans"]


def test_unlinked_files_live_until_the_last_close(store):
    with Mount(store) as mount:
        (mount / "FILE").write_bytes(b"x" * 100_000)
        first = os.open(mount / "FILE", os.O_RDWR)
        second = os.open(mount / "FILE", os.O_RDONLY)
        os.unlink(mount / "FILE")
        os.close(first)
        assert os.pread(second, 100_001, 0) == b"x" * 100_000
        os.close(second)
        mount.unmount()
    store.check()
    assert orphans(store) == 0


def test_a_crash_sweeps_unlinked_files(store):
    with Mount(store) as mount:
        fd = os.open(mount / "FILE", os.O_CREAT | os.O_RDWR)
        os.write(fd, b"x" * 1_000_000)
        os.unlink(mount / "FILE")
        os.write(fd, b"y" * 1_000_000)
        os.fsync(fd)
        mount.kill()
        with fails_with(errno.ENOTCONN):
            os.close(fd)
    assert orphans(store) == 1
    store.check()
    with Mount(store) as mount:
        assert "FILE" not in os.listdir(mount.path)
        mount.unmount()
    store.check()
    assert orphans(store) == 0
