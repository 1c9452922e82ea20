# SPDX-License-Identifier: BSD-2-Clause
"""What a backup of a large postoffice takes, and what mail notices of it."""

import json
import os
import shutil
import threading
import time

from harness import Mount, Store, poctl

MESSAGES = 100_000
MESSAGE_SIZE = 2500
IDLE_S = 5


def make_tree(top):
    """A postoffice with many messages."""
    for name in ("KEY", "MBG", "P1", *(f"MAI/MA{n:X}" for n in range(16))):
        (top / name).mkdir(parents=True)
    (top / "KEY" / "INQUEUE3.KEY").write_bytes(bytes(560))
    (top / "MBG" / "INQUEUE3.MBG").write_bytes(b"")
    for number in range(MESSAGES):
        path = f"{top}/MAI/MA{number % 16:X}/{number:08X}.MAI"
        with open(path, "wb", buffering=0) as file:
            file.write(os.urandom(MESSAGE_SIZE // 2) * 2)


class Mailer(threading.Thread):
    """Delivers until told to end, one message after the other; .delays_ms are
    those of each delivery."""

    def __init__(self, top, series):
        super().__init__()
        self._top = top
        self._series = series
        self._is_told = threading.Event()
        self.delays_ms = []

    def run(self):
        number = 0
        while not self._is_told.is_set():
            start = time.monotonic()
            self._deliver(f"{self._series}{number:07X}")
            self.delays_ms.append((time.monotonic() - start) * 1000)
            number += 1

    def _deliver(self, stem):
        (self._top / "MAI" / "MA0" / f"{stem}.MAI").write_bytes(
            bytes(MESSAGE_SIZE))
        key = os.open(self._top / "KEY" / "INQUEUE3.KEY", os.O_RDWR)
        with open(self._top / "MBG" / "INQUEUE3.MBG", "ab") as mbg:
            mbg.write(stem.encode().ljust(116))
        os.pwrite(key, stem.encode(), 0)
        os.close(key)

    def end(self):
        """Ends it and says how it went."""
        self._is_told.set()
        self.join()
        delays = sorted(self.delays_ms)
        return (f"{len(delays)} deliveries, median "
                f"{delays[len(delays) // 2]:.1f} ms, 99 % within "
                f"{delays[len(delays) * 99 // 100]:.1f} ms, longest "
                f"{delays[-1]:.1f} ms")


def disk_mib(path):
    """What a file takes on the disk."""
    return path.stat().st_blocks * 512 / (1 << 20)


def bench_backup(directory):
    """Backs up, verifies and restores while mail flows."""
    make_tree(directory / "tree")
    store = Store(directory / "many")
    shutil.rmtree(store.path)
    poctl("import", store.path, directory / "tree", timeout=900)
    print(f"backup: {MESSAGES} messages of {MESSAGE_SIZE} bytes, while one "
          "program delivers")
    data = store.path / "data.mdb"
    with store, Mount(store, "-o", "umask=000") as mount:
        mailer = Mailer(mount.path, "A")
        mailer.start()
        time.sleep(IDLE_S)
        print(f"  {'nothing else':<14}{mailer.end()}", flush=True)
        for series, command in zip("BCD", (
                ["check", store.path],
                ["backup", store.path, directory / "plain"],
                ["backup", "--compress", store.path, directory / "zstd"])):
            before = disk_mib(data)
            mailer = Mailer(mount.path, series)
            mailer.start()
            start = time.monotonic()
            poctl(*command, timeout=900)
            seconds = time.monotonic() - start
            print(f"  {' '.join(map(str, command[:-2])) or command[0]:<18}"
                  f"{seconds:.1f} s: {mailer.end()}; the store grew from "
                  f"{before:.0f} by {disk_mib(data) - before:.1f} MiB",
                  flush=True)
    for name in ("plain", "zstd"):
        start = time.monotonic()
        told = json.loads(poctl("verify", "--json", directory / name,
                                timeout=900).stdout)
        print(f"  {name:<14}{disk_mib(directory / name):.0f} MiB, "
              f"{told['records']} records, verified in "
              f"{time.monotonic() - start:.1f} s", flush=True)
    start = time.monotonic()
    poctl("restore", directory / "restored", directory / "plain", timeout=900)
    print(f"  restored, and checked, in {time.monotonic() - start:.1f} s: "
          f"{disk_mib(directory / 'restored' / 'data.mdb'):.0f} MiB")
    shutil.rmtree(directory / "restored")
