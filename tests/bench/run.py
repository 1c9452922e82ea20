#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How fast pofs is, beside what people would use without it.

Each comparison is measured in one run in which the systems take turns, because
figures of two runs on one machine may differ by half:

  mail       durable deliveries a second, against ext4 with fsync
  small      create, stat, read and unlink of small files, against libfuse's
             own passthrough_ll over ext4
  directory  what a directory of 60,000 entries costs, against ext4
  lock       a lock that nobody else wants, against opening a plain file
  crowd      clients that poll, that wait, and that pass a lock on
  large      a file of 1 GiB in one transaction: how fast, in how much memory
  postoffice looking at 100,000 messages, who waits for it, and a start after a
             kill
  backup     100,000 messages backed up and restored while mail flows
  undo       a large attachment put back while mail flows
  hostile    who waits for clients that take all that they can get, and how
             fair a crowd is served

The result of a system is the median over the rounds [least..greatest]; a ratio
is the median of the ratios of single rounds, and above 1 means that pofs is
better. ext4 has a journal, and the store of pofs lies on an ext4 of the same
kind: both on images that are written in full and attached with direct I/O, so
that no page cache below makes a flush cheap. Needs root.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from backup import bench_backup
from crowd import bench_crowd, bench_lock
from figures import Table, fresh, program_figures, rotated
from harness import (HarnessError, Mount, Store, end_with_parent, is_mounted,
                     run, tool, unmount_lazily, wait_until)
from hostile import bench_hostile
from postoffice import bench_postoffice
from undo import bench_undo

IMAGE_MIB = 1024
LARGE_MIB = 1024
EXAMPLES = pathlib.Path("/usr/share/doc/libfuse3-dev/examples")


class Disk:
    """An ext4 with a journal on a loop device."""

    def __init__(self, directory, name):
        self._image = directory / f"{name}.img"
        self.path = directory / name
        self._device = None

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            undo.callback(self._remove)
            self._make()
            undo.pop_all()
        return self

    def _make(self):
        # Zeros that are written, not a hole: a block that is allocated at the
        # moment of a flush would make that flush dear.
        run(tool("dd"), "if=/dev/zero", f"of={self._image}", "bs=1M",
            f"count={IMAGE_MIB}", "conv=fsync")
        self._device = run(tool("losetup"), "--find", "--show",
                           "--direct-io=on", self._image).stdout.strip()
        run(tool("mkfs.ext4"), "-q", "-E",
            "nodiscard,lazy_itable_init=0,lazy_journal_init=0", self._device)
        self.path.mkdir()
        run(tool("mount"), "-t", "ext4", self._device, self.path)

    def __exit__(self, *_):
        self._remove()

    def _remove(self):
        if is_mounted(self.path):
            subprocess.run([tool("umount"), str(self.path)], check=False)
            unmount_lazily(self.path)
        if self._device:
            run(tool("losetup"), "--detach", self._device)
        self._image.unlink(missing_ok=True)

    @property
    def device(self):
        """The block device, for /proc/diskstats."""
        return os.path.basename(self._device)

    def flushes(self):
        """How often the file system has flushed its device so far."""
        for line in pathlib.Path("/proc/diskstats").read_text().splitlines():
            words = line.split()
            if words[2] == self.device:
                return int(words[18])
        raise HarnessError(f"{self.device} is not in /proc/diskstats")


class Passthrough:
    """libfuse's passthrough_ll, compiled here, over a directory."""

    def __init__(self, directory, source):
        self._directory = directory
        self._source = source
        self.path = directory / "passthrough"
        self._process = None

    def _compile(self):
        code = self._directory / "passthrough_ll.c"
        packed = EXAMPLES / "passthrough_ll.c.gz"
        if packed.exists():
            code.write_text(run(tool("zcat"), packed).stdout)
        else:
            shutil.copy(EXAMPLES / "passthrough_ll.c", code)
        flags = run(tool("pkg-config"), "--cflags", "--libs",
                    "fuse3").stdout.split()
        program = self._directory / "passthrough_ll"
        run(tool("cc"), "-O2", "-DHAVE_UTIMENSAT", "-w", f"-I{EXAMPLES}",
            code, "-o", program, *flags)
        return program

    def __enter__(self):
        program = self._compile()
        self.path.mkdir()
        self._process = subprocess.Popen(
            [program, "-f", "-o", f"source={self._source}", self.path],
            stderr=subprocess.DEVNULL, preexec_fn=end_with_parent)
        try:
            wait_until(lambda: is_mounted(self.path), "passthrough_ll mounts")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        unmount_lazily(self.path)
        self._process.wait()


def commit_flushes(place, disk):
    """How often the disk is flushed for one commit, whatever is in it."""
    commits = 50
    before = disk.flushes()
    with open(place / "SYNC.DAT", "wb", buffering=0) as file:
        for _ in range(commits):
            file.write(b"x")
            os.fsync(file.fileno())
    return (disk.flushes() - before) / commits


def bench_mail(options, ext4, below, pofs):
    """Durable deliveries a second and flushes a delivery."""
    systems = [("ext4-each", ext4.path, ext4, "each"),
               ("pofs-each", pofs.path, below, "each"),
               ("pofs", pofs.path, below, "none")]
    for writers in (1, 4):
        table = Table()
        for turn in range(options.rounds):
            for system, place, disk, mode in rotated(systems, turn):
                with fresh(place) as directory:
                    before = disk.flushes()
                    rate = program_figures(
                        "mail", directory, writers, options.seconds,
                        mode)["deliveries_per_s"]
                    table.add(system, "deliveries", rate)
                    table.add(system, "flushes", (disk.flushes() - before)
                              / (rate * options.seconds))
            with fresh(pofs.path) as directory:
                table.add("pofs", "one commit",
                          commit_flushes(directory, below))
        print(f"mail: {writers} writer(s), each file synced, or nothing but "
              "the lock let go of (which is durable on pofs only)")
        for system, *_ in systems:
            table.show(system, "deliveries", "a second")
            table.show(system, "flushes", "a delivery")
        table.show("pofs", "one commit", "flushes")
        for system in ("pofs-each", "pofs"):
            table.show_ratio(system, "ext4-each", "deliveries",
                             more_is_better=True)


def bench_small(options, ext4, pofs, directory):
    """Small files, not durable, against the thinnest FUSE file system."""
    steps = ("create_us", "stat_us", "read_us", "unlink_us")
    table = Table()
    with Passthrough(directory, ext4.path) as passthrough:
        systems = [("pofs", pofs.path),
                   ("passthrough", passthrough.path),
                   ("ext4", ext4.path)]
        for turn in range(options.rounds):
            for system, place in rotated(systems, turn):
                with fresh(place) as at:
                    for name, value in program_figures(
                            "small", at, options.files).items():
                        table.add(system, name, value)
    print(f"small: {options.files} files of 1 KiB, nothing synced")
    for name in steps:
        for system, _ in systems:
            table.show(system, name, "")
        table.show_ratio("pofs", "passthrough", name)


def bench_directory(options, ext4, pofs):
    """One directory that grows; flat and linear is what it should be."""
    sizes = (1000, 10000, 20000, 60000)
    table = Table()
    systems = [("pofs", pofs.path), ("ext4", ext4.path)]
    for turn in range(options.rounds):
        for system, place in rotated(systems, turn):
            with fresh(place) as at:
                for name, value in program_figures(
                        "directory", at, *sizes).items():
                    table.add(system, name, value)
    print("directory: one directory, grown to 60,000 entries")
    for system, _ in systems:
        for name in ("create", "find", "miss"):
            for size in (sizes[0], sizes[-1]):
                table.show(system, f"{name}_{size}_us", "")
        for size in sizes[1:]:
            table.show(system, f"list_{size}_ms", "")
    for name in ("create", "find", "miss"):
        growth = [b / a for a, b in zip(
            table.figures("pofs", f"{name}_{sizes[0]}_us"),
            table.figures("pofs", f"{name}_{sizes[-1]}_us"))]
        print(f"  pofs: {name} at 60,000 costs "
              f"{statistics.median(growth):.2f} times that at 1,000")
    for low, high in ((10000, 20000), (20000, 60000)):
        growth = [b / a for a, b in zip(
            table.figures("pofs", f"list_{low}_ms"),
            table.figures("pofs", f"list_{high}_ms"))]
        print(f"  pofs: listing {high} costs {statistics.median(growth):.2f} "
              f"times that of {low} (linear: {high / low:.2f})")
    table.show_ratio("pofs", "ext4", "list_60000_ms")


def bench_large(options, directory):
    """One transaction that is far larger than the memory it may take."""
    table = Table()
    for turn in range(options.rounds):
        at = directory / f"large{turn}"
        for name, value in program_figures("large", at, LARGE_MIB).items():
            table.add("pofs", name, value)
        shutil.rmtree(at)
    print(f"large: a file of {LARGE_MIB} MiB in one transaction")
    for name in ("mib_per_s", "memory_mib"):
        table.show("pofs", name, "")


def main():
    """Sets up, measures, prints, and leaves nothing behind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3,
                        help="length of one mail measurement")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--directory", default="/var/tmp",
                        help="where the images go (4 GiB)")
    parser.add_argument("only", nargs="*",
                        help="mail, small, directory, lock, crowd, large, "
                             "postoffice, backup, undo or hostile; all if "
                             "none")
    options = parser.parse_args()
    # A time limit must not leave loop devices behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    chosen = options.only or ["mail", "small", "directory", "lock",
                              "crowd", "large", "postoffice", "backup",
                              "undo", "hostile"]

    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix="bench-",
                                        dir=options.directory)))
        ext4 = stack.enter_context(Disk(directory, "ext4"))
        below = stack.enter_context(Disk(directory, "below"))
        store = stack.enter_context(
            Store(below.path / "store", "--postoffice", "PO"))
        # As mount-examples/pofs@.service mounts it: everybody may search every
        # directory, so the kernel may remember names.
        pofs = stack.enter_context(Mount(store, "-o", "umask=000"))
        if "mail" in chosen:
            bench_mail(options, ext4, below, pofs)
        if "small" in chosen:
            bench_small(options, ext4, pofs, directory)
        if "directory" in chosen:
            bench_directory(options, ext4, pofs)
        if "lock" in chosen:
            bench_lock(options, pofs)
        if "crowd" in chosen:
            bench_crowd(options, pofs)
        if "large" in chosen:
            bench_large(options, directory)
        if "postoffice" in chosen:
            bench_postoffice(options, directory)
        if "backup" in chosen:
            bench_backup(directory)
        if "undo" in chosen:
            bench_undo(below.path)
        if "hostile" in chosen:
            bench_hostile(options, below.path)


if __name__ == "__main__":
    main()
