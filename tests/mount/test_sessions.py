# SPDX-License-Identifier: BSD-2-Clause
"""Processes as the daemon tells them apart; many of them at once."""

import collections
import errno
import fcntl
import json
import os
import subprocess

import pytest

from actor import Actor
from harness import HarnessError, Mount, poctl, wait_until


@pytest.mark.parametrize("how", ["open_here_remove_in_thread",
                                 "open_in_thread_remove_here"])
def test_the_threads_of_a_process_are_one_session(target, a, how):
    assert a.call("client." + how, target) == 0
    assert not target.exists()


def test_a_forked_child_is_another_session(target, a):
    assert a.call("client.remove_in_child", target) == errno.ETXTBSY
    assert target.read_bytes() == b"content"
    os.unlink(target)


def open_files(pid):
    """How many descriptors a process has."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_sessions_that_end_leave_nothing_behind(mount):
    plain, mailbag = mount / "file", mount / "PO" / "KEY" / "A.KEY"
    plain.write_text("x")
    before = open_files(mount.server_pid)
    for number in range(300):
        mailbag.write_text(str(number))
        done = subprocess.run(["cat", plain, mailbag], check=True,
                              capture_output=True, text=True)
        assert done.stdout == f"x{number}"
    wait_until(lambda: open_files(mount.server_pid) <= before + 2,
               "the daemon lets ended processes go")


@pytest.mark.parametrize("end", ["unmount", "kill"])
def test_an_end_answers_those_who_wait(store, end):
    with Mount(store) as mount, Actor() as other:
        path = mount / "FILE"
        path.write_bytes(bytes(560))
        mine = os.open(path, os.O_RDWR)
        theirs = other.call("os.open", path, os.O_RDWR)
        fcntl.flock(mine, fcntl.LOCK_EX)
        other.start("fcntl.flock", theirs, fcntl.LOCK_EX)
        other.wait_blocked()
        getattr(mount, end)()
        # In order, it may still be granted; to use it is too late.
        with pytest.raises(OSError):
            other.result()
            other.call("os.pread", theirs, 1, 0)
        try:
            os.close(mine)
        except OSError:
            pass  # its file system is gone
    store.check()


def is_removable(path):
    """Removes a file; False if somebody still has it open."""
    try:
        os.unlink(path)
    except OSError as e:
        assert e.errno == errno.ETXTBSY
        return False
    return True


def test_thousands_of_open_files(place, a):
    a.call("resource.setrlimit", 7, (20_000, 20_000))  # RLIMIT_NOFILE
    for number in range(3000):
        (place / f"f{number}").write_text(str(number))
    fds = [a.call("os.open", place / f"f{number}", os.O_RDONLY)
           for number in range(3000)]
    for number in (0, 1500, 2999):
        assert a.call("os.pread", fds[number], 10, 0) == (
            str(number).encode())
    a.kill()
    # The kernel tells of a few closed files at a time.
    for number in range(3000):
        wait_until(lambda: is_removable(place / f"f{number}"),
                   "the file is free")


def test_a_storm_of_processes_on_the_same_names(store):
    """And a tool that checks the live store meanwhile."""
    with Mount(store) as mount:
        directory = mount / "storm"
        directory.mkdir()
        actors = [Actor() for _ in range(6)]
        try:
            for number, actor in enumerate(actors):
                actor.start("client.storm", directory, number, 1500)
            checks = 0
            while not all(actor.is_done() for actor in actors):
                poctl("check", "--quiet", store.path)
                checks += 1
            assert checks > 0
            answers = sum((actor.result() for actor in actors),
                          collections.Counter())
            assert answers["done"] > 1000
            assert answers["ESTALE"] < 10, answers
        finally:
            for actor in actors:
                actor.kill()
        listed = {path: path.stat() for path in directory.rglob("*")}
        mount.unmount()
    store.check()
    with Mount(store) as mount:
        assert {path.name for path in (mount / "storm").rglob("*")} == {
            path.name for path in listed}


def test_of_many_daemons_at_once_one_wins(store, tmp_path):
    points = [tmp_path / f"p{number}" for number in range(5)]
    for point in points:
        point.mkdir()
    won, lost = [], []
    for point in points:
        try:
            won.append(Mount(store, path=point))
        except HarnessError as e:
            lost.append(str(e))
    try:
        assert len(won) == 1 and len(lost) == 4
        assert all(str(won[0].server_pid) in text for text in lost)
    finally:
        for mount in won:
            mount.close()


def files_on_disk(store):
    """How many files a reader of the database sees, as after a crash."""
    return json.loads(poctl("stat", "--json", store.path).stdout)["files"]


def test_plain_changes_are_on_disk_within_a_second(store):
    """Nobody syncs."""
    before = files_on_disk(store)
    with Mount(store) as mount:
        (mount / "file").write_bytes(b"x" * 50_000)
        os.rename(mount / "file", mount / "renamed")
        wait_until(lambda: files_on_disk(store) > before,
                   "the change is on disk", 3)
        mount.kill()
    with Mount(store) as mount:
        assert (mount / "renamed").read_bytes() == b"x" * 50_000
        assert not (mount / "file").exists()
