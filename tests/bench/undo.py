# SPDX-License-Identifier: BSD-2-Clause
"""What mail programs notice while a large attachment is put back."""

import json
import os
import subprocess
import time

from harness import Mount, Store, poctl, program, wait_until

ATTACHMENT = 20 << 20
MESSAGE = bytes(2500)


class Office:
    """A postoffice with a large attachment, and two programs that use it."""

    def __init__(self, path):
        self.large = path / "ATT/AT0/00000001.ATT"
        self._mai = path / "MAI/MA0"
        self._mbg = path / "MBG/A.MBG"
        self._key = path / "KEY/A.KEY"
        self._count = 0
        for directory in ("ATT/AT0", "MAI/MA0"):
            (path / directory).mkdir(parents=True, exist_ok=True)
        self._key.write_bytes(bytes(560))
        self._mbg.write_bytes(b"")

    def look(self):
        """What a client does that waits for mail."""
        fd = os.open(self._key, os.O_RDONLY)
        os.pread(fd, 560, 0)
        os.close(fd)

    def deliver(self):
        """One message, on disk when this returns."""
        self._count += 1
        (self._mai / f"{self._count:08X}.MAI").write_bytes(MESSAGE)
        fd = os.open(self._key, os.O_RDWR)
        with open(self._mbg, "ab") as mbg:
            mbg.write(bytes(116))
        os.pwrite(fd, b"\1", 0)
        os.close(fd)


def entries_of(store, name):
    """The numbers of those that have to do with this file, oldest first."""
    done = poctl("log", "--json", store.path)
    return [entry["id"] for entry in json.loads(done.stdout)["journal"]
            if any(name in file.get("new_path", "") + file.get("old_path", "")
                   for file in entry["files"])]


def entry_of(store, name, change):
    """The number of what this changes."""
    before = entries_of(store, name)
    change()
    return wait_until(
        lambda: entries_of(store, name)[len(before):], "it is on disk")[-1]


def delays_during(process, step):
    """Those of a program that takes one step after the other, in ms."""
    delays = []
    while process.poll() is None:
        start = time.monotonic()
        step()
        delays.append((time.monotonic() - start) * 1000)
        time.sleep(0.0005)
    return sorted(delays)


def measure(store, office, what, change):
    """Makes a change, and has it undone while somebody looks, or delivers."""
    for name in ("look", "deliver"):
        entry = entry_of(store, office.large.name, change)
        start = time.monotonic()
        # pylint: disable-next=consider-using-with
        process = subprocess.Popen([program("tools/poctl"), "undo", "--quiet",
                                    str(store.path), str(entry)])
        delays = delays_during(process, getattr(office, name))
        assert process.returncode == 0
        print(f"  {what}, undone in {time.monotonic() - start:.2f} s; "
              f"{name}: {len(delays)} times, median "
              f"{delays[len(delays) // 2]:.1f} ms, longest "
              f"{delays[-1]:.1f} ms", flush=True)


def bench_undo(directory):
    """Undoes what was done to an attachment of 20 MiB."""
    print("undo: an attachment of 20 MiB is put back")
    with Store(directory / "undo", "--postoffice", "PO") as store, \
            Mount(store, "-o", "umask=000") as mount:
        office = Office(mount / "PO")

        def overwrite():
            with open(office.large, "r+b") as file:
                file.write(os.urandom(ATTACHMENT))

        office.large.write_bytes(os.urandom(ATTACHMENT))
        measure(store, office, "written over", overwrite)
        measure(store, office, "removed", lambda: os.unlink(office.large))
