# SPDX-License-Identifier: BSD-2-Clause
"""What locks cost the daemon: those nobody else wants, and those many want."""

import contextlib
import os
import pathlib
import subprocess
import time

from figures import Table, fresh, program_figures
from harness import build_dir, end_with_parent

PAIRS = 2000
KEYS = 500
SESSIONS = 100
WAITERS = 50
PASSES = [("pass", 2), ("pass", 10), ("work", 2), ("work", 10)]

KINDS = {"open-plain": "open-plain", "open-mailbag": "open-plain",
         "open-inqueue": "open-plain", "range": "open-plain",
         "create-plain": "create-plain", "lock-file": "create-plain"}
"""The kinds of lock, and which plain thing each is held against."""


class Meter:
    """What the daemon has used since this was made."""

    def __init__(self, pid):
        self._pid = pid
        self._cpu_us, self._reads = self._look()
        self._start = time.monotonic()

    def _look(self):
        process = pathlib.Path(f"/proc/{self._pid}")
        cpu_ns = sum(int((task / "schedstat").read_text().split()[0])
                     for task in (process / "task").iterdir())
        reads = next(int(line.split()[1]) for line in
                     (process / "io").read_text().splitlines()
                     if line.startswith("syscr:"))
        return cpu_ns / 1000, reads

    @property
    def cpu_us(self):
        """Microseconds of CPU, of all its threads."""
        return self._look()[0] - self._cpu_us

    @property
    def requests(self):
        """What the kernel asked: each is one read of its device, and there is
        little else that the daemon reads."""
        return self._look()[1] - self._reads

    @property
    def cores(self):
        """How many cores it has kept busy."""
        return self.cpu_us / 1e6 / (time.monotonic() - self._start)


def make_office(path):
    """A postoffice with KEYS mailbags, the inqueue and A."""
    for name in ("KEY", "MBG", "P1", "GLB"):
        (path / name).mkdir()
    for name in ["A", "INQUEUE3"] + [f"{n:08X}" for n in range(KEYS)]:
        (path / "KEY" / f"{name}.KEY").write_bytes(bytes(560))
    (path / "GLB" / "PLAIN.GLB").write_bytes(bytes(560))
    os.sync()


def bench_lock(options, pofs):
    """A lock and its release, when nobody else wants it."""
    table = Table()
    with fresh(pofs.path) as office:
        make_office(office)
        for _ in range(options.rounds):
            for kind in KINDS:
                meter = Meter(pofs.server_pid)
                figures = program_figures("lock", office, kind, PAIRS)
                daemon_us, requests = meter.cpu_us, meter.requests
                table.add(kind, "time", figures["wall_us"])
                table.add(kind, "requests", requests / PAIRS)
                table.add(kind, "daemon", daemon_us / PAIRS)
                table.add(kind, "cpu",
                          daemon_us / PAIRS + figures["client_us"])
    print("lock: taken and let go of; nobody else wants it, nothing changed")
    for kind in KINDS:
        table.show(kind, "requests", "")
        table.show(kind, "time", "us")
        table.show(kind, "daemon", "us of CPU")
        table.show(kind, "cpu", "us, the program's included")
    for kind, plain in KINDS.items():
        if kind != plain:
            table.show_difference(kind, plain, "requests", "")
            table.show_difference(kind, plain, "cpu", "us of CPU")


@contextlib.contextmanager
def crowd(office, kind, processes):
    """Many processes at work; yields what has their figures afterwards."""
    figures = {}
    process = subprocess.Popen(
        [build_dir() / "tests" / "bench" / "bench_crowd", office, kind,
         str(processes), str(KEYS)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=end_with_parent)
    assert process.stdout.readline() == "ready\n"
    yield figures
    output, _ = process.communicate()
    for line in output.splitlines():
        key, value = line.split()
        figures[key] = float(value)


def bench_crowd(options, pofs):
    """Many sessions: what the daemon does while they poll, wait, take turns."""
    table = Table()
    seconds = max(options.seconds, 2)
    with fresh(pofs.path) as office:
        make_office(office)
        for _ in range(options.rounds):
            for kind, processes in (("read", SESSIONS), ("stat", SESSIONS),
                                    ("wait", WAITERS + 1)):
                with crowd(office, kind, processes):
                    time.sleep(1)
                    meter = Meter(pofs.server_pid)
                    time.sleep(seconds)
                    table.add(kind, "cores", meter.cores * 100)
                    table.add(kind, "requests", meter.requests / seconds)
            for kind, processes in PASSES:
                with crowd(office, kind, processes) as figures:
                    time.sleep(seconds)
                for name, value in figures.items():
                    table.add(f"{kind} {processes}", name, value)
    for kind, what in (
            ("read", f"{SESSIONS} sessions read {KEYS} KEY files, in all, "
                     "every second"),
            ("stat", f"{SESSIONS} sessions look at {KEYS} KEY files each, "
                     "every second"),
            ("wait", f"{WAITERS} wait for one lock")):
        print(f"crowd: {what}")
        table.show(kind, "cores", "% of a core, the daemon")
        table.show(kind, "requests", "a second")
    print("crowd: processes that want one lock, again and again (work: and "
          "change something); from the beginning of the close to the end of "
          "the next one's open")
    for kind, processes in PASSES:
        for name in ("median_us", "slowest_us"):
            table.show(f"{kind} {processes}", name, "")
