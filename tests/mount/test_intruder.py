# SPDX-License-Identifier: BSD-2-Clause
"""What a local user gets at who has no business with the mail: nothing.

The server runs as it does under the shipped unit: as a user of its own. The
intruder is somebody else, or has become that user, as a broken smbd would.
"""

import contextlib
import errno
import json
import os
import pathlib
import re
import subprocess
import tempfile

import pytest

from actor import Actor
from harness import Mount, Store, build_dir, fails_with, program, run, tool

STRANGER, SHARE_USER = 4002, 65534


@pytest.fixture(scope="module")
def mount():
    """A mount for the share's user alone, in a place that all can reach."""
    with tempfile.TemporaryDirectory(prefix="public-") as name:
        os.chmod(name, 0o755)
        public = pathlib.Path(name)
        with Store(public / "store", "--owner", "nobody",
                   "--postoffice", "PO") as store, \
                Mount(store, "-o", f"user=nobody,uid={SHARE_USER},"
                      f"gid={SHARE_USER},umask=077") as made:
            made.content = made / "PO" / "content"
            made.content.write_bytes(b"mail")
            yield made


@pytest.fixture(scope="module")
def stranger(mount):
    with Actor(uid=STRANGER) as actor:
        yield actor


@pytest.fixture(scope="module")
def fallen(mount):
    """A process of the share's user that does what it should not."""
    with Actor(uid=SHARE_USER) as actor:
        yield actor


def status_of(path):
    """What the kernel says of a process, or a thread of it."""
    return dict(line.split(":\t", 1) for line in
                (path / "status").read_text().splitlines() if ":\t" in line)


def sandbox_mode():
    """That of a server which is filtered; sanitizers need more than that."""
    options = json.loads(run(tool("meson"), "introspect", "--buildoptions",
                             build_dir()).stdout)
    sanitizer, = (option["value"] for option in options
                  if option["name"] == "b_sanitize")
    return "2" if sanitizer == "none" else "0"


# ---- what the server still can ----------------------------------------------


def test_every_thread_of_the_server_has_nothing_to_give(mount):
    wanted = {"NoNewPrivs": "1", "Seccomp": sandbox_mode(),
              "Uid": "\t".join([str(SHARE_USER)] * 4),
              **dict.fromkeys(("CapPrm", "CapEff", "CapBnd", "CapAmb"),
                              "0" * 16)}
    threads = list(pathlib.Path(f"/proc/{mount.server_pid}/task").iterdir())
    assert len(threads) > 3
    for thread in threads:
        # One that has ended meanwhile has nothing to give either.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            status = status_of(thread)
            assert {key: status[key].strip() for key in wanted} == wanted


@pytest.mark.parametrize("owner", ["nobody", f"{STRANGER}:{STRANGER}"])
def test_the_stores_owner_serves_it(owner):
    """With or without a name, and though root started it."""
    with tempfile.TemporaryDirectory(prefix="public-") as name:
        os.chmod(name, 0o755)
        with Store(pathlib.Path(name) / "store", "--owner", owner) as store, \
                Mount(store) as mount:
            uid = store.path.stat().st_uid
            assert uid != 0
            status = status_of(pathlib.Path(f"/proc/{mount.server_pid}"))
            for key in ("Uid", "Gid"):
                assert status[key].split() == [str(uid)] * 4
            assert status["Groups"].split() in ([], [str(uid)])
            assert int(status["CapPrm"], 16) == 0
            (mount / "file").write_text("content")
            assert {path.stat().st_uid for path in store.path.iterdir()} == \
                {uid}


def test_the_sandbox_can_be_left_out(store):
    with Mount(store, "-o", "sandbox=false") as mount:
        status = status_of(pathlib.Path(f"/proc/{mount.server_pid}"))
        assert status["Seccomp"] == "0"
        (mount / "file").write_text("content")


def test_memory_never_reaches_a_disk(mount):
    process = pathlib.Path(f"/proc/{mount.server_pid}")
    limits = (process / "limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.M)
    # Its files are root's: it is not "dumpable".
    assert (process / "mem").stat().st_uid == 0


def test_no_program_and_no_device_of_a_client_is_one(mount):
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        line, = (line for line in table if f" {mount.path} " in line)
    assert {"nosuid", "nodev", "noexec"} <= set(line.split()[5].split(","))
    script = mount / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o4777)
    with fails_with(errno.EACCES):
        subprocess.run([script], check=False)


# ---- what others can do about it --------------------------------------------


def test_the_store_is_closed(mount, stranger):
    store = mount.store.path
    assert store.stat().st_mode & 0o7777 == 0o700
    names = os.listdir(store)
    assert {"data.mdb", "control"} <= set(names)
    for name in names:
        assert (store / name).stat().st_mode & 0o077 == 0
        for flags in (os.O_RDONLY, os.O_WRONLY):
            with fails_with(errno.EACCES):
                stranger.call("os.open", store / name, flags)
        with fails_with(errno.EACCES):
            stranger.call("os.rename", store / name, store.parent / name)
    with fails_with(errno.EACCES):
        stranger.call("os.listdir", store)
    with fails_with(errno.EACCES):
        stranger.call("os.open", store / "new", os.O_CREAT | os.O_WRONLY)


def test_nobody_else_is_answered(mount, stranger, fallen):
    with fails_with(errno.EACCES):
        stranger.call("intrusion.ask", mount.store.path / "control")
    assert fallen.call("intrusion.ask", mount.store.path / "control") != b""


def test_poctl_gives_nothing_away(mount):
    store = mount.store.path
    for command in (("status", store), ("log", store), ("backup", store, "-"),
                    ("trace", "start", "--peer", "192.0.2.1", store),
                    ("trace", "show", store, "1"), ("break", store, "1")):
        done = run(tool("setpriv"), f"--reuid={STRANGER}", "--clear-groups",
                   f"--regid={STRANGER}", program("tools/poctl"), *command,
                   check=False)
        assert done.returncode == 1
        assert done.stdout == ""
        assert "Permission denied" in done.stderr


@pytest.mark.parametrize("who", ["stranger", "fallen"])
def test_the_server_cannot_be_looked_into(mount, who, request):
    actor = request.getfixturevalue(who)
    pid = mount.server_pid
    with fails_with(errno.EPERM):
        actor.call("intrusion.trace", pid)
    with fails_with(errno.EPERM):
        actor.call("intrusion.take_descriptor", pid, 0)
    for name in ("mem", "maps", "environ", "auxv"):
        with fails_with(errno.EACCES):
            actor.call("intrusion.read", f"/proc/{pid}/{name}")
    with fails_with(errno.EACCES):
        actor.call("os.listdir", f"/proc/{pid}/fd")


def test_the_server_cannot_be_ended_by_a_stranger(mount, stranger):
    for pid in (mount.server_pid, mount.launcher.pid):
        with fails_with(errno.EPERM):
            stranger.call("os.kill", pid, 15)


def test_the_mount_is_the_shares_users(mount, stranger, fallen):
    for call in (("os.listdir", mount.path),
                 ("intrusion.read", mount.content),
                 ("os.open", mount.content, os.O_WRONLY),
                 ("os.open", mount / "new", os.O_CREAT | os.O_WRONLY),
                 ("os.unlink", mount.content),
                 ("os.rename", mount.content, mount / "other"),
                 ("os.mkdir", mount / "directory"),
                 ("os.chmod", mount.path, 0o777)):
        with pytest.raises(OSError) as raised:
            stranger.call(*call)
        assert raised.value.errno in (errno.EACCES, errno.EPERM), call
    fallen.call("intrusion.read", mount.content)
    assert mount.content.read_bytes() == b"mail"


@pytest.mark.parametrize("who", ["stranger", "fallen"])
def test_nobody_else_unmounts_it(mount, who, request):
    actor = request.getfixturevalue(who)
    with fails_with(errno.EPERM):
        actor.call("intrusion.unmount", mount.path)
    uid = STRANGER if who == "stranger" else SHARE_USER
    done = run(tool("setpriv"), f"--reuid={uid}", "--clear-groups",
               tool("fusermount3"), "-u", mount.path, check=False)
    assert done.returncode != 0
    assert mount.content.read_bytes() == b"mail"
