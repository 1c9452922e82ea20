# SPDX-License-Identifier: BSD-2-Clause
"""Who may do what, by the owner, group and other bits."""

import errno
import os
import pathlib
import tempfile

import pytest

from actor import Actor
from harness import Mount, Store, fails_with, wait_until

OWNER, STRANGER = 4001, 4002

# As smbd keeps the DOS attribute R: "0x1" and version 3, in its old text form
# and in its new one (hex string, version 5, valid members, attributes, time).
READ_ONLY = b"0x1\0" + b"\0\0" + b"\x05\0\0\0" + b"\x11\0\0\0" + (
    b"\x01\0\0\0") + bytes(8)


@pytest.fixture(scope="module")
def public():
    """A directory that every user may walk through."""
    with tempfile.TemporaryDirectory(prefix="public-") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


@pytest.fixture(scope="module")
def open_mount(public):
    """A mount that every user can reach."""
    with Store(public / "store") as store, Mount(store) as mount:
        os.chmod(mount.path, 0o755)
        yield mount


@pytest.fixture
def home(open_mount):
    """A directory of OWNER's with a file of his, new for each test."""
    path = pathlib.Path(tempfile.mkdtemp(dir=open_mount.path))
    (path / "file").write_text("content")
    for found in (path, path / "file"):
        os.chown(found, OWNER, OWNER)
    os.chmod(path, 0o755)
    os.chmod(path / "file", 0o644)
    return path


@pytest.fixture
def owner():
    """A process of the owner's."""
    with Actor(uid=OWNER) as actor:
        yield actor


@pytest.fixture
def stranger():
    """A process of somebody else's."""
    with Actor(uid=STRANGER) as actor:
        yield actor


def test_a_stranger_may_read_but_not_change(home, stranger):
    fd = stranger.call("os.open", home / "file", os.O_RDONLY)
    assert stranger.call("os.read", fd, 100) == b"content"
    assert stranger.call("os.listdir", home) == ["file"]
    for call in (("os.open", home / "file", os.O_RDWR),
                 ("os.open", home / "new", os.O_CREAT | os.O_RDWR),
                 ("os.unlink", home / "file"),
                 ("os.mkdir", home / "dir"),
                 ("os.rename", home / "file", home / "other"),
                 ("os.truncate", home / "file", 0),
                 ("os.setxattr", home / "file", "user.a", b"x")):
        with fails_with(errno.EACCES):
            stranger.call(*call)
    for call in (("os.chmod", home / "file", 0o777),
                 ("os.chown", home / "file", STRANGER, STRANGER),
                 ("os.utime", home / "file", (1, 1))):
        with fails_with(errno.EPERM):
            stranger.call(*call)
    assert (home / "file").read_text() == "content"
    assert (home / "file").stat().st_mode & 0o777 == 0o644


def test_a_stranger_may_not_change_a_lock_file(home, owner, stranger):
    for name in ("KEY", "MBG", "P1"):
        (home / name).mkdir()
        os.chown(home / name, OWNER, OWNER)
    lock = home / "P1" / "INQUEUE.0LK"
    owner.call("os.open", lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    for call in (("os.open", lock, os.O_RDWR), ("os.truncate", lock, 1),
                 ("os.setxattr", lock, "user.a", b"x")):
        with pytest.raises(OSError):
            stranger.call(*call)
    for call in (("os.chmod", lock, 0), ("os.utime", lock, (1, 1)),
                 ("os.chown", lock, STRANGER, STRANGER)):
        with fails_with(errno.EPERM):
            stranger.call(*call)
    assert lock.stat().st_mode & 0o777 == 0o644
    assert lock.stat().st_size == 0
    owner.call("os.utime", lock, (1, 1))
    owner.call("os.chmod", lock, 0o600)
    owner.call("os.truncate", lock, 1)
    owner.call("os.unlink", lock)


def test_the_owner_may(home, owner):
    fd = owner.call("os.open", home / "file", os.O_RDWR)
    owner.call("os.pwrite", fd, b"CHANGED", 0)
    owner.call("os.fchmod", fd, 0o600)
    owner.call("os.close", fd)
    owner.call("os.utime", home / "file", (1, 1))
    owner.call("os.mkdir", home / "dir")
    owner.call("os.rename", home / "file", home / "dir" / "moved")
    owner.call("os.setxattr", home / "dir" / "moved", "user.a", b"x")
    with fails_with(errno.EPERM):
        owner.call("os.chown", home / "dir" / "moved", STRANGER, -1)
    assert (home / "dir").stat().st_uid == OWNER
    assert (home / "dir" / "moved").read_text() == "CHANGED"
    owner.call("os.unlink", home / "dir" / "moved")


def test_a_closed_file_is_closed_to_others(home, owner, stranger):
    os.chmod(home / "file", 0o600)
    with fails_with(errno.EACCES):
        stranger.call("os.open", home / "file", os.O_RDONLY)
    assert not stranger.call("os.access", home / "file", os.R_OK)
    assert owner.call("os.access", home / "file", os.R_OK | os.W_OK)
    assert not owner.call("os.access", home / "file", os.X_OK)
    fd = owner.call("os.open", home / "file", os.O_RDONLY)
    assert owner.call("os.read", fd, 100) == b"content"


def test_a_closed_directory_hides_what_is_in_it(home, owner, stranger):
    os.chmod(home, 0o700)
    for call in (("os.stat", home / "file"),
                 ("os.stat", home / "none"),
                 ("os.listdir", home),
                 ("os.open", home / "file", os.O_RDONLY)):
        with fails_with(errno.EACCES):
            stranger.call(*call)
    assert owner.call("os.listdir", home) == ["file"]


def test_closing_a_directory_shuts_out_who_was_in_it(home, stranger):
    """The kernel is told to forget the names; that it has been, nobody says."""
    stranger.call("os.stat", home / "file")
    os.chmod(home, 0o700)

    def is_shut_out():
        try:
            stranger.call("os.stat", home / "file")
        except PermissionError:
            return True
        return False
    wait_until(is_shut_out, "the stranger is shut out", 5)
    with fails_with(errno.EACCES):
        stranger.call("os.open", home / "file", os.O_RDONLY)


def test_an_open_mode_lets_strangers_in(home, stranger):
    """So that a share of many users works: rwx for all, as DOS has it."""
    os.chmod(home, 0o777)
    os.chmod(home / "file", 0o666)
    fd = stranger.call("os.open", home / "file", os.O_RDWR)
    stranger.call("os.pwrite", fd, b"X", 0)
    stranger.call("os.close", fd)
    stranger.call("os.unlink", home / "file")
    fd = stranger.call("os.open", home / "mine", os.O_CREAT | os.O_RDWR, 0o644)
    stranger.call("os.close", fd)
    assert (home / "mine").stat().st_uid == STRANGER


def test_uid_gid_and_umask_decide_what_is_reported(public):
    with Store(public / "fixed") as store:
        with Mount(store, "-o", "uid=4001,gid=4001,umask=007") as mount, \
                Actor(uid=OWNER) as owner, Actor(uid=STRANGER) as stranger:
            found = mount.path.stat()
            assert (found.st_uid, found.st_gid) == (OWNER, OWNER)
            assert found.st_mode & 0o777 == 0o770
            fd = owner.call("os.open", mount / "file",
                            os.O_CREAT | os.O_RDWR, 0o600)
            owner.call("os.write", fd, b"x")
            owner.call("os.close", fd)
            found = (mount / "file").stat()
            assert (found.st_uid, found.st_mode & 0o777) == (OWNER, 0o770)
            with fails_with(errno.EACCES):
                stranger.call("os.listdir", mount.path)
            with fails_with(errno.EACCES):
                stranger.call("os.open", mount / "file", os.O_RDONLY)


def test_the_dos_attribute_r_protects_a_file(home, owner):
    path = home / "file"
    os.setxattr(path, "user.DOSATTRIB", READ_ONLY)
    for call in (("os.open", path, os.O_RDWR),
                 ("os.truncate", path, 0),
                 ("os.unlink", path)):
        with fails_with(errno.EACCES):
            owner.call(*call)
    (home / "other").write_text("x")
    os.chown(home / "other", OWNER, OWNER)
    with fails_with(errno.EACCES):
        owner.call("os.rename", home / "other", path)
    assert path.read_text() == "content"
    owner.call("os.removexattr", path, "user.DOSATTRIB")
    owner.call("os.unlink", path)
