# SPDX-License-Identifier: BSD-2-Clause
"""What statfs says, and what a full map and a full disk do."""

import contextlib
import errno
import json
import os
import resource

import pytest

from events import events
from harness import (Mount, Store, fails_with, poctl, run, tool,
                     unmount_lazily, wait_until)
from postoffice import Office, deliver, is_delivered

MIB = 1 << 20
GIB = 1 << 30


# ---- statfs -----------------------------------------------------------------


def free_bytes(path):
    """What statfs(2) says may still be written."""
    found = os.statvfs(path)
    assert found.f_bsize and found.f_frsize == 4096
    assert found.f_bavail <= found.f_bfree <= found.f_blocks
    assert found.f_namemax == 255
    return found.f_bavail * found.f_frsize


def test_dos_programs_see_less_than_2_gib_free(mount):
    """More than 2 GiB - 1 looks negative to them."""
    assert MIB < free_bytes(mount.path) < 2 * GIB
    total = os.statvfs(mount.path)
    assert total.f_blocks * total.f_frsize > 0


def test_the_cap_can_be_taken_away(store):
    with Mount(store, "-o", "report-free-mib=0") as mount:
        found = os.statvfs(store.path)
        real = found.f_bavail * found.f_frsize
        assert free_bytes(mount.path) <= real
        assert free_bytes(mount.path) > min(real // 2, 32 * GIB)
    with Mount(store, "-o", "report-free-mib=10") as mount:
        assert 9 * MIB <= free_bytes(mount.path) <= 10 * MIB


# ---- a full map, and a full disk --------------------------------------------


@contextlib.contextmanager
def small_map(tmp_path):
    """A store that may not outgrow 8 MiB."""
    with Store(tmp_path / "store", "--map-size-mib", 8, "--postoffice",
               "PO") as store:
        yield store


@contextlib.contextmanager
def small_disk(tmp_path):
    """A store on a file system of 16 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    run(tool("mount"), "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk)
    try:
        with Store(disk / "store", "--postoffice", "PO") as store:
            yield store
    finally:
        unmount_lazily(disk)


@pytest.fixture(params=[small_map, small_disk])
def small_store(request, tmp_path):
    """A store that is soon full."""
    with request.param(tmp_path) as store:
        yield store


def fill(directory, size=100_000, limit=1000, first=0):
    """Creates files until there is no room; returns the names that fit.

    Each of them is on disk: that there is no room is told by the write.
    """
    done = []
    for number in range(first, first + limit):
        path = directory / f"FILL{number:04}.DAT"
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        try:
            os.write(fd, bytes([number % 251 + 1]) * size)
        except OSError as e:
            assert e.errno == errno.ENOSPC
            assert os.fstat(fd).st_size == 0
            os.unlink(path)
            return done
        else:
            os.fsync(fd)
            done.append(path)
        finally:
            os.close(fd)
    raise AssertionError("the store never fills")


def check_content(paths, size=100_000):
    """Every file that was acknowledged is there, whole."""
    for path in paths:
        number = int(path.stem[4:])
        assert path.read_bytes() == bytes([number % 251 + 1]) * size, path


def state(store):
    """What the administrator is told of the store."""
    return json.loads(poctl("status", "--json", store.path).stdout)["state"]


def fill_disk(store):
    """As others than pofs fill it; returns the file to remove."""
    other = store.path.parent / "other"
    with fails_with(errno.ENOSPC):
        with open(other, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    return other


def make_room(paths):
    """Removes files and waits until that is on disk."""
    for path in paths:
        os.unlink(path)
    sync(paths[0].parent)


def sync(directory):
    """Waits until everything so far is on disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def test_a_full_store_says_so_and_recovers(small_store):
    with Mount(small_store) as mount:
        for _ in range(3):
            done = fill(mount.path)
            assert len(done) >= 30
            check_content(done)
            assert free_bytes(mount.path) < 4 * MIB
            make_room(done)
            assert os.listdir(mount.path) == ["PO"]
        (mount / "after").write_bytes(b"x" * MIB)
        sync(mount.path)
        mount.unmount()
    small_store.check()


def test_a_write_that_does_not_fit_changes_nothing(small_store):
    with Mount(small_store) as mount:
        victim = mount / "victim"
        victim.write_bytes(b"old!" * 1000)
        done = fill(mount.path)
        # What a commit replaces is free for the one after the next.
        while more := fill(mount.path, first=len(done)):
            done += more
        fd = os.open(victim, os.O_RDWR)
        with fails_with(errno.ENOSPC):
            os.pwrite(fd, b"NEW!" * 100_000, 0)
        assert os.fstat(fd).st_size == 4000
        assert os.pread(fd, 5000, 0) == b"old!" * 1000
        os.fsync(fd)
        os.close(fd)
        check_content(done)
        mount.unmount()
    small_store.check()
    with Mount(small_store) as mount:
        assert (mount / "victim").read_bytes() == b"old!" * 1000


def test_a_file_that_grows_stops_at_a_whole_request(small_store):
    with Mount(small_store) as mount:
        fd = os.open(mount / "grows", os.O_CREAT | os.O_RDWR)
        size = 0
        with fails_with(errno.ENOSPC):
            while size < 64 * MIB:
                size += os.write(fd, b"x" * 50_000)
        assert size > 2 * MIB
        assert os.fstat(fd).st_size == size
        assert os.pread(fd, size, 0) == b"x" * size
        os.ftruncate(fd, 10)
        os.fsync(fd)
        os.pwrite(fd, b"y" * MIB, 10)
        os.fsync(fd)
        os.close(fd)
        mount.unmount()
    small_store.check()


def test_reading_and_removing_work_in_a_full_store(small_store):
    with Mount(small_store) as mount:
        done = fill(mount.path)
        check_content(done)
        os.listdir(mount.path)
        os.rename(done[0], mount / "RENAMED")
        os.unlink(mount / "RENAMED")
        make_room(done[1:])
        mount.unmount()
    small_store.check()


def test_a_full_store_mounts_and_keeps_what_was_acknowledged(small_store):
    with Mount(small_store) as mount:
        done = [p.relative_to(mount.path) for p in fill(mount.path)]
        mount.kill()
    small_store.check()
    with Mount(small_store) as mount:
        again = [mount / name for name in done]
        check_content(again)
        make_room(again)
        (mount / "after").write_bytes(b"x" * MIB)
        sync(mount.path)
        mount.unmount()
    small_store.check()


def test_removing_makes_room_though_others_fill_the_disk(tmp_path):
    """Even that needs some: what the commits before it have freed."""
    with small_disk(tmp_path) as store:
        with Mount(store) as mount:
            done = [mount / f"FILL{number:04}.DAT" for number in range(80)]
            for path in done:
                path.write_bytes(bytes(100_000))
            sync(mount.path)
            fill_disk(store)
            for path in done:
                make_room([path])
            (mount / "after").write_bytes(b"x" * MIB)
            sync(mount.path)
            mount.unmount()
        store.check()


# ---- transactions -----------------------------------------------------------


def test_room_is_set_aside_for_what_is_staged(tmp_path, a, b):
    """Whoever fills the store meanwhile."""
    with small_map(tmp_path) as store:
        with Mount(store) as mount:
            office = Office(mount / "PO")
            fd = deliver(a, office)
            a.call("client.put", office.att, b"x" * 3 * MIB)
            check_content(fill(mount.path))
            a.call("os.close", fd)
            assert is_delivered(b, office)
            assert b.call("client.get", office.att) == b"x" * 3 * MIB
        store.check()


def test_a_commit_without_room_is_the_closes_error(tmp_path, a, b):
    """When others than pofs have filled its disk."""
    with small_disk(tmp_path) as store:
        with Mount(store) as mount:
            office = Office(mount / "PO")
            fd = deliver(a, office)
            a.call("client.put", office.att, b"x" * 3 * MIB)
            other = fill_disk(store)
            with fails_with(errno.ENOSPC):
                a.call("os.close", fd)
            assert is_delivered(b, office) is False
            assert not office.att.exists()
            other.unlink()
            # The lock is free, and there is room again.
            b.call("os.close", deliver(b, office))
            assert is_delivered(a, office)
        store.check()


# ---- what is told of it -----------------------------------------------------


def test_the_administrator_is_told_when_it_is_full_and_when_it_is_not(
        small_store):
    with Mount(small_store) as mount:
        assert state(small_store) == "well"
        done, size = [], 100_000
        while state(small_store) == "well" and size > 10:
            done += fill(mount.path, size, first=len(done))
            size //= 10
        assert state(small_store).startswith("full: ")
        assert len(events(mount, "store-full")) == 1
        check_content(done[:10])
        make_room(done)
        wait_until(lambda: events(mount, "store-well"), "it is told")
        assert state(small_store) == "well"
        told = [one["event"] for one in events(mount)]
        assert told.count("store-full") == told.count("store-well") == 1


def test_a_full_disk_is_told_of_and_room_is_noticed_by_itself(tmp_path, a):
    """Nobody deletes or makes anything on the mount."""
    with small_disk(tmp_path) as store, Mount(store) as mount:
        plain = mount / "plain"
        plain.write_bytes(b"x" * 4096)
        office = Office(mount / "PO")
        sync(mount.path)
        fd = deliver(a, office)
        other = fill_disk(store)
        with fails_with(errno.ENOSPC):
            a.call("os.close", fd)
        with open(plain, "r+b", buffering=0) as file:
            with fails_with(errno.ENOSPC):
                os.pwrite(file.fileno(), b"y" * 4096, 0)
            wait_until(lambda: events(mount, "store-full"), "it is told")
            assert state(store).startswith("full: ")
            other.unlink()
            wait_until(lambda: events(mount, "store-well"), "it is told")
            assert state(store) == "well"
            os.pwrite(file.fileno(), b"y" * 4096, 0)
            os.fsync(file.fileno())
        assert len(events(mount, "commit-failed")) == 1


def test_what_is_too_large_is_told_and_the_store_is_well(tmp_path):
    with small_map(tmp_path) as store, Mount(store) as mount:
        with fails_with(errno.ENOSPC):
            fd = os.open(mount / "large", os.O_CREAT | os.O_RDWR)
            os.ftruncate(fd, 3 * GIB)
            os.pwrite(fd, b"x" * MIB, 0)
            for number in range(64):
                os.pwrite(fd, b"x" * MIB, number * MIB)
        os.close(fd)
        one = events(mount, "write-refused", "store-full")[0]
        assert one["event"] == "write-refused" and int(one["room"]) > 0
        assert state(store) == "well"


# ---- the journal ------------------------------------------------------------


def pass_mail(office, count):
    """Mail of 1 MiB each comes and goes, and the journal keeps it."""
    for number in range(count):
        office.att.write_bytes(bytes([number + 1]) * MIB)
        assert office.att.stat().st_size == MIB
        os.unlink(office.att)


def test_what_was_gives_way_to_what_is(small_store):
    """Three times the store's size."""
    with Mount(small_store) as mount:
        pass_mail(Office(mount / "PO"), 40)
        mount.unmount()
    small_store.check()


def test_what_was_gives_way_though_others_fill_the_disk(tmp_path):
    """What the store has already is enough for it."""
    with small_disk(tmp_path) as store:
        with Mount(store) as mount:
            office = Office(mount / "PO")
            pass_mail(office, 6)
            sync(mount.path)
            fill_disk(store)
            pass_mail(office, 6)
            mount.unmount()
        store.check()


def test_a_limit_on_the_size_of_files_ends_nobody(store):
    """Linux ends who would write beyond it, unless he says that he knows."""
    with Mount(store) as mount:
        size = (store.path / "data.mdb").stat().st_size
        limit = resource.prlimit(mount.server_pid, resource.RLIMIT_FSIZE)
        resource.prlimit(mount.server_pid, resource.RLIMIT_FSIZE,
                         (size, limit[1]))
        for _ in range(10):
            with contextlib.suppress(OSError):
                (mount / "f").write_bytes(bytes(MIB))
                sync(mount.path)
        assert (mount / "f").exists()

        resource.prlimit(mount.server_pid, resource.RLIMIT_FSIZE, limit)
        wait_until(lambda: is_written(mount / "g"), "it writes again")
    with Mount(store) as mount:
        assert (mount / "g").read_bytes() == b"x"


def is_written(path):
    """Whether a file can be made, and is on disk."""
    try:
        path.write_bytes(b"x")
        sync(path.parent)
    except OSError:
        return False
    return True
