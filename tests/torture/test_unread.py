# SPDX-License-Identifier: BSD-2-Clause
"""A database that can be read no more while it is served: the file is cut off,
or its disk is gone. Who reads gets an error at once, the mount is taken away,
the administrator is told, the next start refuses in words, and all is as it
was when the database is. Or its disk stands still for a while.
"""

import contextlib
import os
import shutil
import subprocess

import pytest

from blockdisk import keep_mounts_private
from harness import (DEADLINE_S, Mount, is_mounted, poctl, program, run, tool,
                     unmount_lazily)
from scene import StoreAt

FILES = {f"F{number}": bytes([number]) * 5000 * number for number in range(40)}


@pytest.fixture(name="store")
def fixture_store(tmp_path):
    """A store whose files nobody has read since they came."""
    keep_mounts_private()
    source = tmp_path / "source"
    source.mkdir()
    for name, content in FILES.items():
        (source / name).write_bytes(content)
    poctl("import", tmp_path / "store", source)
    return StoreAt(tmp_path / "store")


@pytest.fixture(name="other")
def fixture_other(store):
    """The mount of another store, of which nothing is wrong."""
    path = store.path.with_name("other")
    shutil.copytree(store.path, path)
    with Mount(StoreAt(path)) as mount:
        yield mount
        is_whole(mount)
        mount.unmount()


def is_whole(mount):
    """Whether each file is as it was."""
    for name, content in FILES.items():
        assert (mount / name).read_bytes() == content


def is_read_no_more(mount):
    """Reads all of it, which ends the mount, and nobody else."""
    with pytest.raises(OSError):
        is_whole(mount)
    assert mount.wait() == 1
    assert not is_mounted(mount.path)
    assert "event=killed signal=7 " in mount.stderr
    assert "the database cannot be read" in mount.stderr


def is_refused(store, point, *words):
    """The next start, in a sentence."""
    done = run(program("fs/pofs"), "-f", store.path, point, check=False)
    assert done.returncode == 1 and not is_mounted(point)
    line, = done.stderr.splitlines()
    assert line.startswith("pofs: ")
    assert any(word in line for word in words), line


def test_a_file_that_is_cut_off(store, other, tmp_path):
    data = store.path / "data.mdb"
    whole = data.read_bytes()
    with Mount(store) as mount:
        os.truncate(data, len(whole) // 2)
        is_read_no_more(mount)
        is_refused(store, tmp_path / "source", "damaged")
        data.write_bytes(whole)
    with Mount(store) as mount:
        is_whole(mount)
        mount.unmount()
    poctl("check", store.path)


@contextlib.contextmanager
def disk_in(image, top):
    """A file system in a file."""
    run(tool("mount"), "-t", "ext4", "-o", "loop", image, top)
    try:
        yield
    finally:
        unmount_lazily(top)


def forget(path):
    """What was read of a file, and is not mapped, is read anew."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def make_disk(tmp_path):
    """A file with an empty file system, and a place for that."""
    image, top = tmp_path / "image", tmp_path / "disk"
    image.touch()
    os.truncate(image, 32 << 20)
    top.mkdir()
    run(tool("mkfs.ext4"), "-q", "-F", "-N", "64", image)
    return image, top


def test_a_disk_that_is_gone(store, other, tmp_path):
    image, top = make_disk(tmp_path)
    moved = StoreAt(top / "store")
    with disk_in(image, top):
        shutil.copytree(store.path, moved.path)
        with Mount(moved, path=tmp_path / "source") as mount:
            forget(moved.path / "data.mdb")
            whole = image.read_bytes()
            os.truncate(image, 0)
            is_read_no_more(mount)
            is_refused(moved, mount.path, "damaged", "Input/output error")
    image.write_bytes(whole)
    with disk_in(image, top), Mount(moved) as mount:
        is_whole(mount)
        mount.unmount()


@contextlib.contextmanager
def frozen(top):
    """Whatever is written to it waits, as while a snapshot of it is made."""
    run(tool("fsfreeze"), "--freeze", top)
    try:
        yield
    finally:
        run(tool("fsfreeze"), "--unfreeze", top)


def test_a_disk_that_is_frozen(store, tmp_path):
    """Who is told of nothing that is on the disk does not wait for it."""
    image, top = make_disk(tmp_path)
    moved = StoreAt(top / "store")
    with disk_in(image, top):
        shutil.copytree(store.path, moved.path)
        with Mount(moved, path=tmp_path / "source") as mount:
            with frozen(top):
                child = subprocess.Popen(["/bin/sh", "-c", "echo a >a; cat a"],
                                         cwd=mount.path)
                # Ends, for it could not be killed, when the disk goes on.
                child.wait(DEADLINE_S)
            is_whole(mount)
            mount.unmount()
        poctl("check", moved.path)
        with Mount(moved, path=tmp_path / "source") as mount:
            assert (mount / "a").read_text() == "a\n"
            mount.unmount()
