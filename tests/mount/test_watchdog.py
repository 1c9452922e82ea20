# SPDX-License-Identifier: BSD-2-Clause
"""A daemon that hangs, and mounts whose every process was killed: nobody hangs
with them, and the next start is like any other.

Without pofs's own watch a stopped daemon keeps everybody waiting who looks at
the mount, until it goes on.
"""

import contextlib
import errno
import os
import pathlib
import signal
import socket
import tempfile

import pytest

from actor import Actor
from events import events
from harness import (DEADLINE_S, Mount, Store, fails_with, is_mounted,
                     program, run, under_a_manager, unmount_lazily, wait_until)
from postoffice import Office, deliver, is_delivered

SOON = ("-o", "watchdog-s=2")
SHARE_UID = 65534


@pytest.fixture
def store():
    with tempfile.TemporaryDirectory(prefix="watchdog-") as name:
        os.chmod(name, 0o711)
        with Store(f"{name}/store", "--postoffice", "PO") as made:
            yield made


@pytest.fixture
def point(store):
    """A mount point that outlives its mounts."""
    path = store.path.with_name("point")
    path.mkdir()
    yield path
    unmount_lazily(path)


def stop(pid):
    """Returns when none of its threads takes a request any more."""
    os.kill(pid, signal.SIGSTOP)
    tasks = pathlib.Path(f"/proc/{pid}/task")
    wait_until(lambda: all(") T " in (task / "stat").read_text()
                           for task in tasks.iterdir()), "it has stopped")


def write(path, content):
    """So that it survives whatever comes."""
    with open(path, "w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


# ---- a daemon that hangs


def test_a_hung_daemon_ends_with_all_who_wait(store, point, a, b):
    with Mount(store, *SOON, path=point) as mount:
        office = Office(mount / "PO")
        a.call("os.close", deliver(a, office))
        fd = deliver(a, office, "B")
        stop(mount.server_pid)
        a.start("os.pread", fd, 560, 0)
        b.start("os.listdir", mount.path)
        assert mount.wait() == 1
        assert not is_mounted(point)
        for actor in (a, b):
            with pytest.raises(OSError) as error:
                actor.result()
            assert error.value.errno in (errno.ECONNABORTED, errno.ENOTCONN)
        hung, killed = events(mount, "hung", "killed")
        assert int(hung["silent-s"]) >= 2 and killed["signal"] == "9"
    store.check()
    with Mount(store, path=point) as mount, Actor() as d:
        office = Office(mount / "PO", create=False)
        assert is_delivered(d, office)
        assert office.key("B").read_bytes() == bytes(560)


def test_a_daemon_that_goes_on_in_time_is_let_live(store, b):
    with Mount(store) as mount:
        write(mount / "f", "x")
        stop(mount.server_pid)
        b.start("os.listdir", mount / "PO")
        b.wait_blocked()
        os.kill(mount.server_pid, signal.SIGCONT)
        assert "KEY" in b.result()
        write(mount / "f", "y")
        assert not events(mount, "hung")


def test_the_service_manager_hears_that_it_lives(store, point):
    with under_a_manager(store, point, *SOON) as (process, notify):
        heard = [notify.recv(4096) for _ in range(3)]
        assert heard == [b"READY=1"] + [b"WATCHDOG=1"] * 2
        process.terminate()
        while heard[-1] != b"STOPPING=1":
            heard.append(notify.recv(4096))
        assert process.wait(DEADLINE_S) == 0


def test_it_hears_so_too_where_nobody_is_killed(store, point):
    """It watches the first process, which waits for as long as it is told."""
    with under_a_manager(store, point, "-o", "watchdog-s=0") as (_, notify):
        assert notify.recv(4096) == b"READY=1"
        stop(store.writer_pid)
        try:
            heard = [notify.recv(4096) for _ in range(3)]
        finally:
            os.kill(store.writer_pid, signal.SIGCONT)
        assert heard == [b"WATCHDOG=1"] * 3


def test_of_a_hung_daemon_it_hears_no_more(store, point):
    with under_a_manager(store, point, *SOON) as (process, notify):
        assert notify.recv(4096) == b"READY=1"
        stop(store.writer_pid)
        assert process.wait(DEADLINE_S) == 1
        notify.settimeout(0)
        heard = set()
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.add(notify.recv(4096))
        # What it had said before.
        assert heard <= {b"WATCHDOG=1"}


def fill(notify):
    """As a service manager's queue is while it is stopped, or busy."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        other.connect(notify.getsockname())
        with contextlib.suppress(BlockingIOError):
            while True:
                other.send(b"other=1")


def test_a_service_manager_that_hears_nothing_keeps_no_hung_daemon(store,
                                                                   point):
    with under_a_manager(store, point, *SOON) as (process, notify):
        assert notify.recv(4096) == b"READY=1"
        fill(notify)
        stop(store.writer_pid)
        assert process.wait(DEADLINE_S) == 1
        assert not is_mounted(point)


def test_nor_does_it_keep_the_end(store, point):
    with under_a_manager(store, point) as (process, notify):
        assert notify.recv(4096) == b"READY=1"
        fill(notify)
        process.terminate()
        assert process.wait(DEADLINE_S) == 0


# ---- mounts that nobody serves any more


def test_a_dead_mount_is_in_nobodys_way(store, point):
    with Mount(store, path=point) as mount:
        write(mount / "f", "x")
        server = os.pidfd_open(mount.server_pid)
        mount.launcher.kill()
        signal.pidfd_send_signal(server, signal.SIGKILL)
        mount.launcher.wait()
        wait_until(lambda: _is_gone(server), "the server ends")
        with fails_with(errno.ENOTCONN):
            os.statvfs(point)
        with Mount(store, path=point) as again:
            assert (again / "f").read_text() == "x"
        assert not is_mounted(point)
        os.close(server)


def test_a_killed_launcher_of_a_user_is_in_nobodys_way(store, point):
    """Whose server may not unmount."""
    os.chown(store.path, SHARE_UID, SHARE_UID)
    for file in store.path.iterdir():
        os.chown(file, SHARE_UID, SHARE_UID)
    with Mount(store, path=point) as mount:
        write(mount / "f", "x")
        server = os.pidfd_open(mount.server_pid)
        mount.launcher.kill()
        mount.launcher.wait()
        wait_until(lambda: _is_gone(server), "the server ends")
        assert is_mounted(point)
        with Mount(store, path=point) as again:
            assert (again / "f").read_text() == "x"
        os.close(server)


def _is_gone(pidfd):
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_mount_that_merely_hangs_is_not_taken_away(store, point, tmp_path):
    with Store(tmp_path / "second") as second, Mount(store,
                                                     path=point) as mount:
        write(mount / "f", "x")
        stop(mount.server_pid)
        done = run(program("fs/pofs"), "-f", second.path, point, check=False)
        assert done.returncode == 1 and "in use" in done.stderr
        os.kill(mount.server_pid, signal.SIGCONT)
        assert (mount / "f").read_text() == "x"
