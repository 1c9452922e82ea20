# SPDX-License-Identifier: BSD-2-Clause
"""Bytes, sizes, times, modes and attributes of one file."""

import errno
import mmap
import os
import stat
import struct
import time

import pytest

import syscalls
from actor import Actor
from harness import Mount, fails_with

GIB = 1 << 30
LARGEST = 4 * GIB - 1


@pytest.fixture(params=["plain", "mailbag"])
def target(request, place, post):
    """A path for a plain file, and for one that each session sees its own
    way (which the kernel must not cache)."""
    if request.param == "plain":
        return place / "file"
    return post / "MBG" / "A.MBG"


# What a session does to a mailbag is for itself until it lets go of it, and a
# write that is refused is the end of it all.
plain_only = pytest.mark.parametrize("target", ["plain"], indirect=True)


def test_write_and_read_back(target):
    target.write_bytes(b"hello")
    assert target.read_bytes() == b"hello"
    assert target.stat().st_size == 5


def test_open_flags(target):
    with fails_with(errno.ENOENT):
        os.open(target, os.O_RDWR)
    fd = os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640)
    os.write(fd, b"content")
    os.close(fd)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    with fails_with(errno.EEXIST):
        os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR)
    with fails_with(errno.ENOTDIR):
        os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    with fails_with(errno.EISDIR):
        os.open(target.parent, os.O_RDWR)
    fd = os.open(target, os.O_RDONLY)
    with fails_with(errno.EBADF):
        os.write(fd, b"x")
    os.close(fd)
    fd = os.open(target, os.O_RDWR | os.O_TRUNC)
    assert os.fstat(fd).st_size == 0
    os.close(fd)
    assert target.read_bytes() == b""


def test_every_size_around_the_chunks(target):
    """Inline contents, one chunk, many, and the steps between."""
    for size in (0, 1, 511, 1023, 1024, 1025, 4079, 4080, 4081, 8160, 16367,
                 16368, 16369, 65536, 131072, 1_000_003):
        content = os.urandom(size)
        target.write_bytes(content)
        assert target.stat().st_size == size
        assert target.read_bytes() == content, size


def test_big_requests(target):
    content = os.urandom(5 << 20)
    fd = os.open(target, os.O_CREAT | os.O_RDWR)
    assert os.write(fd, content) == len(content)
    assert os.pread(fd, len(content), 0) == content
    assert os.pread(fd, 100, len(content) - 50) == content[-50:]
    assert os.pread(fd, 100, len(content)) == b""
    assert os.pread(fd, 100, LARGEST) == b""
    os.close(fd)


def test_gaps_read_as_zeros(target):
    fd = os.open(target, os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"end", 100_000)
    assert os.fstat(fd).st_size == 100_003
    assert os.pread(fd, 100_003, 0) == bytes(100_000) + b"end"
    os.close(fd)


def test_truncate_both_ways(target):
    target.write_bytes(b"x" * 20_000)
    os.truncate(target, 5_000)
    assert target.read_bytes() == b"x" * 5_000
    os.truncate(target, 30_000)
    assert target.read_bytes() == b"x" * 5_000 + bytes(25_000)
    fd = os.open(target, os.O_RDWR)
    os.ftruncate(fd, 3)
    assert os.fstat(fd).st_size == 3
    os.ftruncate(fd, 5)
    assert os.pread(fd, 10, 0) == b"xxx\0\0"
    os.close(fd)


@plain_only
def test_the_largest_file_is_4_gib_less_one(target):
    fd = os.open(target, os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, LARGEST)
    os.pwrite(fd, b"Z", LARGEST - 1)
    assert os.fstat(fd).st_size == LARGEST
    assert os.pread(fd, 10, LARGEST - 2) == b"\0Z"
    with fails_with(errno.EFBIG):
        os.pwrite(fd, b"x", LARGEST)
    with fails_with(errno.EFBIG):
        os.ftruncate(fd, LARGEST + 1)
    with fails_with(errno.EFBIG):
        os.truncate(target, 1 << 50)
    with fails_with(errno.EFBIG):
        os.pwrite(fd, b"x", 1 << 60)
    with fails_with(errno.EFBIG):
        syscalls.fallocate(fd, 0, 0, LARGEST + 1)
    assert os.fstat(fd).st_size == LARGEST
    os.close(fd)


@plain_only
def test_append_from_two_processes_loses_nothing(target):
    target.write_bytes(b"")
    records = 500
    with Actor() as one, Actor() as two:
        fds = [other.call("os.open", target, os.O_WRONLY | os.O_APPEND)
               for other in (one, two)]
        for number in range(records):
            one.start("os.write", fds[0], b"1:%06d\n" % number)
            two.start("os.write", fds[1], b"2:%06d\n" % number)
            assert one.result() == two.result() == 9
    lines = target.read_bytes().split(b"\n")[:-1]
    for who in (b"1", b"2"):
        assert [line for line in lines if line.startswith(who)] == [
            b"%s:%06d" % (who, number) for number in range(records)]


@plain_only
def test_what_one_writes_the_other_reads_at_once(target):
    target.write_bytes(b"old")
    with Actor() as other:
        fd = other.call("os.open", target, os.O_RDWR)
        assert other.call("os.pread", fd, 10, 0) == b"old"
        mine = os.open(target, os.O_RDWR)
        os.pwrite(mine, b"newer", 0)
        assert other.call("os.pread", fd, 10, 0) == b"newer"
        assert other.call("os.lseek", fd, 0, os.SEEK_END) == 5
        other.call("os.pwrite", fd, b"!", 5)
        assert os.pread(mine, 10, 0) == b"newer!"
        assert os.fstat(mine).st_size == 6
        other.call("os.ftruncate", fd, 2)
        assert os.fstat(mine).st_size == 2
        assert os.pread(mine, 10, 0) == b"ne"
        os.close(mine)


# ---- mmap -------------------------------------------------------------------


def test_shared_mapping_reads_and_writes(place):
    path = place / "mapped"
    path.write_bytes(b"a" * 10_000)
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 10_000, mmap.MAP_SHARED) as view:
        assert view[:3] == b"aaa"
        view[5_000:5_005] = b"BBBBB"
        view.flush()
    os.close(fd)
    with Actor() as other:
        fd = other.call("os.open", path, os.O_RDONLY)
        assert other.call("os.pread", fd, 7, 4_999) == b"aBBBBBa"


def test_a_mapping_sees_what_is_written(place):
    path = place / "mapped"
    path.write_bytes(b"a" * 8192)
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 8192, mmap.MAP_SHARED) as view:
        os.pwrite(fd, b"new", 4096)
        assert view[4096:4099] == b"new"
    os.close(fd)


def test_a_private_mapping_works_on_a_mailbag(post):
    """Direct I/O rules out shared mappings that write, not reading."""
    path = post / "MBG" / "A.MBG"
    path.write_bytes(b"record" * 1000)
    fd = os.open(path, os.O_RDONLY)
    with mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as view:
        assert view[:12] == b"recordrecord"
    os.close(fd)


# ---- holes and allocation ---------------------------------------------------


def test_seek_data_and_hole(target):
    fd = os.open(target, os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"x" * 10, 1_000_000)
    os.ftruncate(fd, 2_000_000)
    data = os.lseek(fd, 0, os.SEEK_DATA)
    assert 0 < data <= 1_000_000
    hole = os.lseek(fd, data, os.SEEK_HOLE)
    assert 1_000_010 <= hole < 2_000_000
    assert os.lseek(fd, 0, os.SEEK_HOLE) == 0
    assert os.lseek(fd, 1_000_005, os.SEEK_DATA) == 1_000_005
    with fails_with(errno.ENXIO):
        os.lseek(fd, hole, os.SEEK_DATA)
    with fails_with(errno.ENXIO):
        os.lseek(fd, 2_000_000, os.SEEK_DATA)
    with fails_with(errno.ENXIO):
        os.lseek(fd, 2_000_000, os.SEEK_HOLE)
    os.close(fd)
    target.write_bytes(b"full" * 10_000)
    fd = os.open(target, os.O_RDONLY)
    assert os.lseek(fd, 0, os.SEEK_HOLE) == 40_000
    os.close(fd)


def test_fallocate_modes(target):
    target.write_bytes(b"x" * 10_000)
    fd = os.open(target, os.O_RDWR)
    syscalls.fallocate(fd, 0, 0, 12_000)
    assert os.pread(fd, 20_000, 0) == b"x" * 10_000 + bytes(2_000)
    syscalls.fallocate(fd, syscalls.FALLOC_KEEP_SIZE, 0, 50_000)
    assert os.fstat(fd).st_size == 12_000
    syscalls.fallocate(fd, syscalls.FALLOC_PUNCH_HOLE
                       | syscalls.FALLOC_KEEP_SIZE, 1_000, 5_000)
    assert os.pread(fd, 10_000, 0) == (b"x" * 1_000 + bytes(5_000)
                                       + b"x" * 4_000)
    syscalls.fallocate(fd, syscalls.FALLOC_ZERO_RANGE, 9_000, 5_000)
    assert os.fstat(fd).st_size == 14_000
    assert os.pread(fd, 14_000, 8_999) == b"x" + bytes(5_000)
    syscalls.fallocate(fd, syscalls.FALLOC_ZERO_RANGE
                       | syscalls.FALLOC_KEEP_SIZE, 13_000, 5_000)
    assert os.fstat(fd).st_size == 14_000
    with fails_with(errno.EOPNOTSUPP):
        syscalls.fallocate(fd, syscalls.FALLOC_COLLAPSE_RANGE, 0, 4096)
    os.close(fd)


# ---- times and modes --------------------------------------------------------


def test_times_are_kept_to_the_nanosecond(target):
    target.write_bytes(b"x")
    for when in (0, 123_456_789, 10**18 + 1, 2**32 * 10**9 + 987_654_321):
        os.utime(target, ns=(when, when + 1))
        found = target.stat()
        assert (found.st_atime_ns, found.st_mtime_ns) == (when, when + 1)


def test_a_write_touches_mtime_and_ctime(target):
    target.write_bytes(b"x")
    os.utime(target, ns=(10**18, 10**18))
    fd = os.open(target, os.O_RDWR)
    os.pwrite(fd, b"y", 0)
    os.close(fd)
    found = target.stat()
    now = time.time_ns()
    assert abs(now - found.st_mtime_ns) < 60 * 10**9
    assert abs(now - found.st_ctime_ns) < 60 * 10**9
    assert found.st_atime_ns == 10**18
    os.utime(target)
    assert abs(time.time_ns() - target.stat().st_atime_ns) < 60 * 10**9


def test_truncate_touches_mtime(target):
    target.write_bytes(b"xyz")
    os.utime(target, ns=(10**18, 10**18))
    os.truncate(target, 1)
    assert target.stat().st_mtime_ns > 10**18 + 10**9


def test_reading_changes_no_time(target):
    target.write_bytes(b"x")
    os.utime(target, ns=(10**18, 10**18))
    target.read_bytes()
    assert target.stat().st_atime_ns == 10**18


def test_modes_and_owners(target):
    target.write_bytes(b"x")
    for mode in (0o000, 0o444, 0o755, 0o777):
        os.chmod(target, mode)
        assert stat.S_IMODE(target.stat().st_mode) == mode
    os.chown(target, 12345, 54321)
    assert (target.stat().st_uid, target.stat().st_gid) == (12345, 54321)
    os.chown(target, -1, 7)
    assert (target.stat().st_uid, target.stat().st_gid) == (12345, 7)
    fd = os.open(target, os.O_RDONLY)
    os.fchmod(fd, 0o600)
    os.close(fd)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_creation_obeys_the_umask(place):
    old = os.umask(0o027)
    try:
        os.close(os.open(place / "f", os.O_CREAT | os.O_WRONLY, 0o666))
        os.mkdir(place / "d", 0o777)
    finally:
        os.umask(old)
    assert stat.S_IMODE((place / "f").stat().st_mode) == 0o640
    assert stat.S_IMODE((place / "d").stat().st_mode) == 0o750


def test_access_asks_for_permission(target):
    target.write_bytes(b"x")
    assert os.access(target, os.R_OK | os.W_OK)
    assert not os.access(target.parent / "NONE", os.F_OK)


# ---- attributes -------------------------------------------------------------


def test_xattrs_are_set_read_listed_and_removed(target):
    target.write_bytes(b"x")
    assert os.listxattr(target) == []
    os.setxattr(target, "user.DOSATTRIB", b"\0\x01binary\xff")
    os.setxattr(target, "user.empty", b"")
    assert os.getxattr(target, "user.DOSATTRIB") == b"\0\x01binary\xff"
    assert os.getxattr(target, "user.empty") == b""
    assert set(os.listxattr(target)) == {"user.DOSATTRIB", "user.empty"}
    os.setxattr(target, "user.DOSATTRIB", b"new", os.XATTR_REPLACE)
    assert os.getxattr(target, "user.DOSATTRIB") == b"new"
    with fails_with(errno.EEXIST):
        os.setxattr(target, "user.empty", b"x", os.XATTR_CREATE)
    with fails_with(errno.ENODATA):
        os.setxattr(target, "user.none", b"x", os.XATTR_REPLACE)
    with fails_with(errno.ENODATA):
        os.getxattr(target, "user.none")
    os.removexattr(target, "user.empty")
    with fails_with(errno.ENODATA):
        os.removexattr(target, "user.empty")
    assert os.listxattr(target) == ["user.DOSATTRIB"]


def test_xattrs_belong_to_directories_too_and_die_with_the_file(place):
    os.setxattr(place, "user.a", b"1")
    assert os.getxattr(place, "user.a") == b"1"
    (place / "f").write_text("")
    os.setxattr(place / "f", "user.a", b"2")
    os.rename(place / "f", place / "g")
    assert os.getxattr(place / "G", "user.a") == b"2"
    os.unlink(place / "g")
    (place / "g").write_text("")
    assert os.listxattr(place / "g") == []


# Version 2; the owner, the group and the others: what chmod 664 says.
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, bits, 0xFFFFFFFF)
    for tag, bits in ((1, 6), (4, 6), (32, 4)))


@pytest.mark.parametrize("name, value", [
    ("security.selinux", b"x"), ("trusted.x", b"x"),
    ("system.posix_acl_access", ACL)])
def test_only_user_xattrs_exist(target, name, value):
    target.write_bytes(b"x")
    with fails_with(errno.EOPNOTSUPP):
        os.setxattr(target, name, value)
    with pytest.raises(OSError) as caught:
        os.getxattr(target, name)
    assert caught.value.errno in (errno.EOPNOTSUPP, errno.ENODATA)
    assert os.listxattr(target) == []


def test_xattrs_have_limits(target):
    target.write_bytes(b"x")
    largest = os.urandom(65536)
    os.setxattr(target, "user.big", largest)
    assert os.getxattr(target, "user.big") == largest
    os.removexattr(target, "user.big")
    for number in range(64):
        os.setxattr(target, f"user.n{number}", b"x")
    with fails_with(errno.ENOSPC):
        os.setxattr(target, "user.n64", b"x")
    assert len(os.listxattr(target)) == 64


# ---- syncing ----------------------------------------------------------------


def test_fsync_of_files_and_directories(target):
    fd = os.open(target, os.O_CREAT | os.O_RDWR)
    os.write(fd, b"x")
    os.fsync(fd)
    os.fdatasync(fd)
    os.close(fd)
    fd = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def test_synced_or_closed_it_survives_a_remount(store):
    with Mount(store) as mount:
        (mount / "closed").write_bytes(b"closed")
        fd = os.open(mount / "synced", os.O_CREAT | os.O_RDWR)
        os.write(fd, b"synced")
        os.fsync(fd)
        os.close(fd)
        os.setxattr(mount / "synced", "user.a", b"1")
        os.utime(mount / "synced", ns=(5, 6))
        (mount / "directory").mkdir()
        directory = (mount / "directory").stat().st_ino
        mount.unmount()
    with Mount(store) as mount:
        assert (mount / "closed").read_bytes() == b"closed"
        assert (mount / "synced").read_bytes() == b"synced"
        assert os.getxattr(mount / "synced", "user.a") == b"1"
        found = (mount / "synced").stat()
        assert found.st_mtime_ns == 6
        # That of a file is for one mount; see fs/number.h.
        assert (mount / "directory").stat().st_ino == directory
