# SPDX-License-Identifier: BSD-2-Clause
"""Room that is not there where a full disk (test_disk.py) is not all: a quota,
no more files. The client is told that there is no room, nothing is half done,
what is there can be read, and the daemon goes on by itself when there is more.
"""

import contextlib
import errno
import os
import shutil

import pytest

import load
from harness import poctl, program, run, tally, tool, unmount_lazily
from powercut import Disk, Log
from scene import StoreAt, make_store, mounted
from test_disk import attempt, goes_on, is_well, programs

PUT = 16  # what writes to the store's files (pcut.h)


@pytest.fixture(scope="module", name="template")
def fixture_template():
    """A store to begin with."""
    with Disk() as disk:
        yield make_store(disk, ["PO"])


def fill(top):
    """Leaves nothing of it, and has what is to be written, written."""
    with open(top / "ballast", "wb", buffering=0) as file:
        for size in (16 << 20, 1 << 20, 64 << 10, 4 << 10):
            with contextlib.suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), file.seek(0, 2), size)
    run(tool("sync"), "-f", top)


def fresh(template, path):
    """A store that has been opened by nobody at that place."""
    return StoreAt(shutil.copytree(template.path, path,
                                   ignore=lambda *_: ["lock.mdb", "writer"]))


@pytest.fixture(name="log")
def fixture_log(tmp_path):
    with contextlib.closing(Log(tmp_path / "log")) as made:
        yield made


# ---- a quota ----------------------------------------------------------------


def quota_at(number, kind, template, seed):
    """From write `number` of a step on it is reached; returns whether there
    was one, and what the client was told."""
    with Disk() as disk:
        with programs(disk, template, seed) as (mount, client):
            disk.control.fault_code = errno.EDQUOT
            disk.control.fault_kinds = PUT
            disk.control.is_sticky = 1
            disk.control.faults = 0
            disk.control.fault_at = number
            answer = attempt(client, kind)
            is_well(mount.path)
            is_reached = disk.control.faults >= number
            assert (mount / "PO" / load.KEY).read_bytes()
            disk.control.fault_kinds = 0
            goes_on(mount, client)
        tally("quotas", int(is_reached))
        return is_reached, answer


@pytest.mark.parametrize("kind", ["deliver", "pickup"])
def test_a_quota(kind, template, seed):
    """Of a write of LMDB's first pages that fails, nobody knows what it has
    done: that is an error of the disk."""
    answers, number, is_reached = [], 0, True
    while is_reached:
        number += 1
        is_reached, answer = quota_at(number, kind, template, seed)
        answers.append(answer)
    assert number > 2 and answers.pop() == 0
    assert set(answers) <= {0, errno.ENOSPC, errno.EIO}
    assert errno.ENOSPC in answers and answers.count(errno.EIO) <= 1, answers


# ---- no more files, and no room for the first -------------------------------


@contextlib.contextmanager
def small_tmpfs(top, *options):
    top.mkdir()
    run(tool("mount"), "-t", "tmpfs", "-o", ",".join(options), "tmpfs", top)
    try:
        yield top
    finally:
        unmount_lazily(top)


def take_all_names(top):
    """Makes files until there are no more."""
    for number in range(100):
        try:
            (top / f"ballast{number}").touch()
        except OSError as error:
            assert error.errno == errno.ENOSPC
            return
    raise AssertionError("there is no end of files")


def says_that_there_is_no_room(*command):
    """In a sentence, and leaves nothing behind."""
    done = run(*command, check=False)
    assert done.returncode == 1, done
    line, = done.stderr.splitlines()
    assert "No space left on device" in line, line


def test_no_more_files(template, seed, log, tmp_path):
    """Who serves makes none; all others say so."""
    with small_tmpfs(tmp_path / "disk", "size=8m", "nr_inodes=20") as top:
        store = fresh(template, top / "store")
        with mounted(None, store) as mount:
            client = load.Program(mount / "PO", "PO", seed, log)
            take_all_names(top)
            names = sorted(os.listdir(top))
            client.step(["deliver"])
            client.do_deliver_large()
            for words in (["backup", store.path, top / "backup"],
                          ["create", top / "new"],
                          ["trace", "start", store.path, "1"]):
                says_that_there_is_no_room(program("tools/poctl"), *words)
            assert sorted(os.listdir(top)) == names
            mount.unmount()
        poctl("check", "--mail", "--quiet", store.path)


def test_no_more_files_for_who_starts(template, point, tmp_path):
    with small_tmpfs(tmp_path / "disk", "size=8m", "nr_inodes=20") as top:
        store = fresh(template, top / "store")
        take_all_names(top)
        # One for who writes, one for LMDB's readers, and the socket.
        for number in range(2):
            says_that_there_is_no_room(program("fs/pofs"), "-f", store.path,
                                       point)
            (top / f"ballast{number}").unlink()
        with mounted(None, store) as mount:
            assert "event=trouble what=control" in mount.stderr
            mount.unmount()


def test_a_full_disk_to_who_has_never_started(template, point, tmp_path):
    """Who only reads needs the table of readers, too."""
    with small_tmpfs(tmp_path / "disk", "size=2m") as top:
        store = fresh(template, top / "store")
        fill(top)
        says_that_there_is_no_room(program("tools/poctl"), "log", store.path)
        says_that_there_is_no_room(program("fs/pofs"), "-f", store.path, point)
        (top / "ballast").unlink()
        poctl("check", store.path)
