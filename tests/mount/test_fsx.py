# SPDX-License-Identifier: BSD-2-Clause
"""Random operations on one file, compared with a model after every read.

In the manner of fsx, which has found faults in most file systems. The seed of
a failure is printed; POFS_SEED repeats it, POFS_FSX_OPS sets the length.
"""

import errno
import mmap
import os
import random
import time

import pytest

import syscalls
from harness import Mount, Store, tally

OPERATIONS = int(os.environ.get("POFS_FSX_OPS", "100000"))
SIZE_MAX = 300_000
LENGTH_MAX = 40_000
REMOUNT_EVERY = 5_000


class Model:
    """What the file must contain."""

    def __init__(self):
        self.content = bytearray()

    def write(self, offset, data):
        """As pwrite(2)."""
        self.resize(max(len(self.content), offset + len(data)))
        self.content[offset:offset + len(data)] = data

    def resize(self, size):
        """As ftruncate(2)."""
        if size <= len(self.content):
            del self.content[size:]
        else:
            self.content.extend(bytes(size - len(self.content)))

    def zero(self, offset, size):
        """Punches a hole; the size stays."""
        size = max(0, min(size, len(self.content) - offset))
        self.content[offset:offset + size] = bytes(size)


class Run:
    """One file under random operations."""

    def __init__(self, path, seed, can_map):
        self.path = path
        self.random = random.Random(seed)
        self.model = Model()
        self.fd = os.open(path, os.O_CREAT | os.O_RDWR)
        self.log = []
        self.steps = [(30, self.write), (25, self.read), (8, self.truncate),
                      (5, self.punch), (4, self.zero), (3, self.allocate),
                      (3, self.append), (3, self.fsync), (4, self.reopen),
                      (5, self.seek), (2, self.check_all), (2, self.rename)]
        if can_map:
            self.steps += [(8, self.map_write), (6, self.map_read)]
        self.weights = [weight for weight, _ in self.steps]

    def place(self):
        """A random offset and size, often at the edges of chunks."""
        offset = self.random.randrange(SIZE_MAX - LENGTH_MAX)
        if self.random.random() < 0.3:
            offset = offset // 4080 * 4080
        elif self.random.random() < 0.2:
            offset = offset // 4096 * 4096
        elif self.random.random() < 0.2:
            offset = self.random.randrange(1200)
        size = self.random.randrange(1, self.random.choice(
            (10, 600, 5000, LENGTH_MAX)))
        return offset, size

    def bytes(self, size):
        """Something that was not there before."""
        return self.random.randbytes(size)

    def step(self):
        """Does one operation."""
        _, function = self.random.choices(self.steps, self.weights)[0]
        note = function()
        self.log.append(f"{function.__name__} {note}")
        del self.log[:-40]

    # -- operations: each returns what a reader of the log wants to know

    def write(self):
        offset, size = self.place()
        data = self.bytes(size)
        assert os.pwrite(self.fd, data, offset) == size
        self.model.write(offset, data)
        return offset, size

    def append(self):
        size = self.place()[1]
        if len(self.model.content) + size > SIZE_MAX:
            return "full"
        data = self.bytes(size)
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        assert os.write(fd, data) == size
        os.close(fd)
        self.model.write(len(self.model.content), data)
        return size

    def read(self):
        offset, size = self.place()
        self.compare(os.pread(self.fd, size, offset), offset, size)
        return offset, size

    def compare(self, found, offset, size):
        """Fails with the first byte that differs."""
        wanted = bytes(self.model.content[offset:offset + size])
        if found != wanted:
            first = next((i for i, (a, b) in enumerate(zip(found, wanted))
                          if a != b), min(len(found), len(wanted)))
            raise AssertionError(
                f"byte {offset + first} of {len(self.model.content)}: read "
                f"{len(found)} bytes, wanted {len(wanted)}; "
                f"{found[first:first + 8]!r} is not "
                f"{wanted[first:first + 8]!r}")

    def truncate(self):
        size = self.place()[0] if self.random.random() < 0.8 else 0
        if self.random.random() < 0.5:
            os.ftruncate(self.fd, size)
        else:
            os.truncate(self.path, size)
        self.model.resize(size)
        return size

    def punch(self):
        offset, size = self.place()
        syscalls.fallocate(self.fd, syscalls.FALLOC_PUNCH_HOLE
                           | syscalls.FALLOC_KEEP_SIZE, offset, size)
        self.model.zero(offset, size)
        return offset, size

    def zero(self):
        offset, size = self.place()
        keep = self.random.random() < 0.5
        syscalls.fallocate(self.fd, syscalls.FALLOC_ZERO_RANGE
                           | (syscalls.FALLOC_KEEP_SIZE if keep else 0),
                           offset, size)
        if not keep:
            self.model.resize(max(len(self.model.content), offset + size))
        self.model.zero(offset, size)
        return offset, size, keep

    def allocate(self):
        offset, size = self.place()
        syscalls.fallocate(self.fd, 0, offset, size)
        self.model.resize(max(len(self.model.content), offset + size))
        return offset, size

    def fsync(self):
        os.fsync(self.fd)

    def reopen(self):
        os.close(self.fd)
        truncate = self.random.random() < 0.1
        self.fd = os.open(self.path, os.O_RDWR
                          | (os.O_TRUNC if truncate else 0))
        if truncate:
            self.model.resize(0)
        return truncate

    def rename(self):
        other = self.path.with_name("OTHER.DAT")
        os.rename(self.path, other)
        os.rename(other, self.path)

    def seek(self):
        """Holes may be reported as data, never data as a hole."""
        offset = self.place()[0]
        size = len(self.model.content)
        for what in (os.SEEK_DATA, os.SEEK_HOLE):
            try:
                found = os.lseek(self.fd, offset, what)
            except OSError as e:
                assert e.errno == errno.ENXIO
                assert offset >= size or (
                    what == os.SEEK_DATA
                    and not any(self.model.content[offset:]))
                continue
            assert offset <= found <= size
            if what == os.SEEK_DATA:
                assert not any(self.model.content[offset:found])
        return offset

    def check_all(self):
        assert os.fstat(self.fd).st_size == len(self.model.content)
        assert os.stat(self.path).st_size == len(self.model.content)
        self.compare(os.pread(self.fd, SIZE_MAX * 2, 0), 0, SIZE_MAX * 2)

    def map_write(self):
        offset, size = self.place()
        size = min(size, len(self.model.content) - offset)
        if size <= 0:
            return "beyond"
        data = self.bytes(size)
        with mmap.mmap(self.fd, 0, mmap.MAP_SHARED) as view:
            view[offset:offset + size] = data
            if self.random.random() < 0.5:
                view.flush()
        self.model.write(offset, data)
        return offset, size

    def map_read(self):
        offset, size = self.place()
        size = min(size, len(self.model.content) - offset)
        if size <= 0:
            return "beyond"
        with mmap.mmap(self.fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) as view:
            self.compare(view[offset:offset + size], offset, size)
        return offset, size


@pytest.mark.parametrize("kind, share", [("plain", 1.0), ("mailbag", 0.3)])
def test_random_operations_agree_with_a_model(tmp_path, kind, share):
    seed = int(os.environ.get("POFS_SEED", time.time_ns()))
    operations = int(OPERATIONS * share)
    with Store(tmp_path / "store", "--postoffice", "PO") as store:
        mount = Mount(store)
        try:
            name = "FSX.DAT" if kind == "plain" else "PO/MBG/FSX.MBG"
            run = Run(mount / name, seed, can_map=kind == "plain")
            for number in range(1, operations + 1):
                try:
                    run.step()
                except BaseException:
                    print(f"seed {seed}, operation {number}; before it:",
                          *run.log, sep="\n  ")
                    raise
                if number % REMOUNT_EVERY == 0:
                    os.fsync(run.fd)
                    os.close(run.fd)
                    if number % (2 * REMOUNT_EVERY):
                        mount.unmount()
                    else:
                        mount.kill()
                    store.check()
                    mount.close()
                    mount = Mount(store)
                    run.path = mount / name
                    run.fd = os.open(run.path, os.O_RDWR)
                    run.check_all()
            run.check_all()
            tally("operations", number)
            os.close(run.fd)
        finally:
            mount.close()
