# SPDX-License-Identifier: BSD-2-Clause
"""Byte-range locks: between clients, and with programs on the server."""

import fcntl
import struct

import pytest

from harness import wait_until
from smb1 import Error, SmbError


@pytest.fixture
def mmf(office):
    """The name of a message store, the kind of file that locks ranges."""
    path = office.path / "GLB" / "0000000A.MMF"
    path.write_bytes(bytes(10_000))
    path.chmod(0o777)
    return office.smb("GLB", "0000000A.MMF")


@pytest.fixture
def local(office, mmf):
    with open(office.path / "GLB" / "0000000A.MMF", "r+b") as file:
        yield file


def lock_locally(file, kind, first, size):
    """An open-file-description lock, which threads and forks do not share."""
    whole = struct.pack("hhqqi4x", kind, 0, first, size, 0)
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, whole)


def test_a_locked_range_is_refused_to_others(any_client, other, mmf, refused):
    with any_client.open(mmf) as holder, other.open(mmf) as rival:
        holder.lock(100, 50)
        for offset, size in ((100, 50), (149, 1), (50, 51), (0, 10_000)):
            with refused(Error.LOCK_VIOLATION):
                rival.lock(offset, size)
        rival.lock(150, 50)
        rival.lock(0, 100)
        holder.unlock(100, 50)
        rival.lock(100, 50)


def test_a_locked_range_is_not_read_or_written(client, other, mmf, refused):
    with client.open(mmf) as holder, other.open(mmf) as rival:
        holder.lock(100, 50)
        with refused(Error.LOCK_VIOLATION):
            rival.read(120, 10)
        with refused(Error.LOCK_VIOLATION):
            rival.write(149, b"x")
        rival.write(150, b"x")
        holder.write(100, b"mine")
        holder.unlock(100, 50)
        assert rival.read(100, 4) == b"mine"


def test_closing_lets_go(client, other, mmf, refused):
    with other.open(mmf) as rival:
        with client.open(mmf) as holder:
            holder.lock(0, 10)
            with refused(Error.LOCK_VIOLATION):
                rival.lock(0, 10)
        rival.lock(0, 10)


def test_a_vanished_client_lets_go(client, other, mmf):
    holder = client.open(mmf)
    holder.lock(0, 10)
    with other.open(mmf) as rival:
        client.reset()

        def locked():
            try:
                rival.lock(0, 10)
            except SmbError as error:
                assert error.code == Error.LOCK_VIOLATION
                return False
            return True

        wait_until(locked, "the dead client's lock is free")


def test_a_client_may_wait_for_a_range(machines, client, mmf):
    waiting = machines.new(source="127.0.2.1")
    with client.open(mmf) as holder, waiting.open(mmf) as file:
        holder.lock(0, 10)
        # The request is sent before the lock is let go, and answered after.
        words = b"\xff\0\0\0" + struct.pack("<HBBIHH", file.fid, 0, 0, 20_000,
                                            0, 1)
        waiting.send(0x24, words, struct.pack("<HII", 0x1234, 0, 10))
        client.echo()
        holder.unlock(0, 10)
        waiting.receive()
        with pytest.raises(SmbError):
            holder.lock(0, 10)


def test_a_local_lock_keeps_a_client_out(client, mmf, local, refused):
    with client.open(mmf) as file:
        lock_locally(local, fcntl.F_WRLCK, 100, 50)
        with refused(Error.LOCK_VIOLATION):
            file.lock(120, 10)
        with refused(Error.LOCK_VIOLATION):
            file.read(120, 10)
        lock_locally(local, fcntl.F_UNLCK, 100, 50)
        file.lock(120, 10)


def test_a_clients_lock_keeps_a_local_program_out(client, mmf, local):
    with client.open(mmf) as file:
        file.lock(100, 50)
        with pytest.raises(BlockingIOError):
            lock_locally(local, fcntl.F_WRLCK, 149, 1)
        lock_locally(local, fcntl.F_WRLCK, 150, 1)
        file.unlock(100, 50)
        lock_locally(local, fcntl.F_WRLCK, 100, 50)


def test_a_closed_file_leaves_no_lock_for_local_programs(client, mmf, local):
    """smbd's locks belong to the open file: closing it sends no unlock."""
    with client.open(mmf) as file:
        file.lock(0, 10_000)
    lock_locally(local, fcntl.F_WRLCK, 0, 10_000)
