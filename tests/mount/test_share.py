# SPDX-License-Identifier: BSD-2-Clause
"""What the share-mode bridge tells pofs (fs/bridge/record.h), from programs
that need not be what they say."""

import errno
import fcntl
import itertools
import os
import random
import struct

import pytest

from actor import Actor
from harness import Mount, Store, fails_with, poctl
from postoffice import session_of

READ, WRITE, DELETE = 1, 2, 4


def request(number, size):
    """The number of an ioctl that passes `size` bytes in (_IOW)."""
    return 1 << 30 | size << 16 | 0xE8 << 8 | number


HELLO = request(0x50, 56)
SHARE = request(0x51, 8)


def declare(fd, access, deny):
    fcntl.ioctl(fd, SHARE, struct.pack("=II", access, deny))


def hello(directory, client=b"127.0.0.7:1234"):
    """Says that this process will declare the share mode of each open."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(fd, HELLO, client.ljust(56, b"\0"))
    finally:
        os.close(fd)


@pytest.fixture
def path(place):
    file = place / "FILE.GLB"
    file.write_bytes(b"content")
    return file


@pytest.fixture
def b():
    """A second program."""
    with Actor() as actor:
        yield actor


def test_a_declared_mode_ends_with_the_last_copy(a, path):
    fd = a.call("os.open", path, os.O_RDWR)
    a.call("test_share.declare", fd, READ | WRITE, READ)
    copy = a.call("os.dup", fd)
    a.call("os.close", fd)
    with fails_with(errno.ETXTBSY):
        os.open(path, os.O_RDONLY)
    a.call("os.close", copy)
    assert path.read_bytes() == b"content"


def test_a_mode_may_be_declared_anew(a, path):
    fd = a.call("os.open", path, os.O_RDWR)
    a.call("test_share.declare", fd, READ, READ | WRITE | DELETE)
    with fails_with(errno.ETXTBSY):
        os.open(path, os.O_RDONLY)
    a.call("test_share.declare", fd, READ, WRITE)
    assert path.read_bytes() == b"content"


def test_a_refused_declaration_denies_nothing(a, b, path):
    reader = os.open(path, os.O_RDONLY)
    fd = a.call("os.open", path, os.O_RDWR)
    with fails_with(errno.ETXTBSY):
        a.call("test_share.declare", fd, READ, READ)
    b.call("os.open", path, os.O_RDWR)
    os.close(reader)


def test_who_declares_is_in_nobody_s_way_before(a, place, path):
    a.call("test_share.hello", place)
    fd = a.call("os.open", path, os.O_RDWR)
    mine = os.open(path, os.O_RDONLY)
    declare(mine, READ, READ | WRITE)
    with fails_with(errno.ETXTBSY):
        a.call("test_share.declare", fd, WRITE, 0)
    os.close(mine)
    a.call("test_share.declare", fd, WRITE, 0)


def test_a_new_file_is_its_creator_s_until_then(a, place):
    path = place / "NEW.GLB"
    a.call("test_share.hello", place)
    fd = a.call("os.open", path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    with fails_with(errno.ETXTBSY):
        os.open(path, os.O_RDONLY)
    a.call("test_share.declare", fd, READ | WRITE, 0)
    os.close(os.open(path, os.O_RDWR))


def test_dos_sharing_may_be_off(tmp_path, a):
    with Store(tmp_path / "store") as store, \
            Mount(store, "-o", "dos-sharing=false") as mount:
        path = mount / "FILE"
        path.write_bytes(b"content")
        fd = a.call("os.open", path, os.O_RDWR)
        a.call("test_share.declare", fd, READ | WRITE, READ | WRITE)
        assert path.read_bytes() == b"content"
        a.call("os.close", fd)


# ---- mailbags ----------------------------------------------------------------


def test_who_opens_a_declared_mailbag_to_write_waits(a, b, office):
    fd = a.call("os.open", office.key("A"), os.O_RDONLY)
    a.call("test_share.declare", fd, READ, WRITE)
    b.start("os.open", office.key("A"), os.O_RDWR)
    b.wait_blocked()
    a.call("os.close", fd)
    b.result()


def test_who_looks_at_mail_keeps_nobody_from_it(a, office, path):
    with open(office.key("A"), "rb"), open(path, "rb"):
        fd = a.call("os.open", office.key("A"), os.O_RDWR)
        a.call("test_share.declare", fd, READ | WRITE, READ | WRITE)
        with fails_with(errno.ETXTBSY):
            a.call("test_share.declare", a.call("os.open", path, os.O_RDWR),
                   READ | WRITE, READ | WRITE)


def test_the_lock_is_kept_until_the_close(a, b, office):
    """The bridge may clear a mode before; the close says what becomes of what
    was staged."""
    fd = a.call("os.open", office.key("A"), os.O_RDONLY)
    a.call("test_share.declare", fd, READ, READ)
    a.call("client.put", office.mbg("A"), b"staged")
    a.call("test_share.declare", fd, 0, 0)
    assert office.mbg("A").read_bytes() == b""
    a.kill()
    assert office.mbg("A").read_bytes() == b""


def test_a_declaration_is_traced(a, path, shared_mount):
    store = shared_mount.store
    fd = a.call("os.open", path, os.O_RDWR)
    session = session_of(store, a)
    poctl("trace", "start", store.path, session)
    a.call("test_share.declare", fd, READ | WRITE, READ)
    poctl("trace", "stop", store.path, session)
    told = poctl("trace", "show", store.path, session).stdout
    line, = [line for line in told.splitlines() if " share " in line]
    assert path.name in line and "access=read+write deny=read " in line


def test_breaking_a_session_ends_its_mode(a, office, shared_mount):
    fd = a.call("os.open", office.key("A"), os.O_RDONLY)
    a.call("test_share.declare", fd, READ, READ | WRITE)
    with fails_with(errno.ETXTBSY):
        os.open(office.key("A"), os.O_RDONLY)
    poctl("break", shared_mount.store.path, session_of(shared_mount.store, a))
    assert office.key("A").read_bytes() == bytes(560)
    with fails_with(errno.EIO):
        a.call("test_share.declare", fd, READ, READ | WRITE)


# ---- hostile -----------------------------------------------------------------


def test_only_who_opened_it_declares(path):
    fd = os.open(path, os.O_RDWR)
    child = os.fork()
    if child == 0:
        try:
            declare(fd, READ, READ)
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EPERM
    os.close(fd)


@pytest.mark.parametrize("access, deny", [
    (DELETE, 0), (0, 8), (1 << 31, 0), (READ, 0xFFFFFFFF), (0xFFFFFFFF, READ)])
def test_unknown_bits_are_refused(a, path, access, deny):
    fd = os.open(path, os.O_RDWR)
    with fails_with(errno.EINVAL):
        declare(fd, access, deny)
    assert a.call("os.open", path, os.O_RDWR)
    os.close(fd)


def test_a_request_is_for_a_file_or_for_a_directory(place, path):
    directory = os.open(place, os.O_RDONLY)
    file = os.open(path, os.O_RDONLY)
    with fails_with(errno.ENOTTY):
        declare(directory, READ, 0)
    with fails_with(errno.ENOTTY):
        fcntl.ioctl(file, HELLO, bytes(56))
    os.close(directory)
    os.close(file)


@pytest.mark.parametrize("client", [b"x", b"1" * 56, b"1\n2", b"\x1b[2J",
                                    b"127.0.0.1:1;", b"\xff"])
def test_an_address_is_one(place, client):
    with fails_with(errno.EINVAL):
        hello(place, client)


def test_other_requests_are_of_other_file_systems(place, path):
    chance = random.Random(5)
    directory = os.open(place, os.O_RDONLY)
    file = os.open(path, os.O_RDONLY)
    sizes = [0, 1, 7, 9, 55, 57, 128, 4096]
    for fd, number, size in itertools.product(
            (directory, file), (0x4F, 0x50, 0x51, 0x52), sizes):
        with fails_with(errno.ENOTTY):
            fcntl.ioctl(fd, request(number, size), chance.randbytes(1024))
    os.close(directory)
    os.close(file)
