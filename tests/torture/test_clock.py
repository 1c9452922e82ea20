# SPDX-License-Identifier: BSD-2-Clause
"""The clock of the machine jumps while mail is delivered: forward beyond 2038,
back to before there was mail, by an hour as where summer begins. Nobody who
waits waits longer or shorter, nothing is undone or forgotten, and what happened
is told in its order.
"""

import json
import mmap
import os
import pathlib
import struct
import sys
import time

import pytest

from harness import Mount, Store, poctl, program
from scene import sync

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "mount"))

from actor import Actor  # noqa: E402
from postoffice import Office, deliver, is_delivered  # noqa: E402

HOUR = 3600
YEAR = 365 * 24 * HOUR
JUMPS = [13 * YEAR, HOUR, -HOUR, -30 * YEAR, 200 * YEAR, 0]
"""What the clock of the machine is wrong by; each while one program has a mailbag
and another waits for it."""


class Clock:
    """The clock that a program with .env() has."""

    def __init__(self, path):
        path.write_bytes(bytes(8))
        path.chmod(0o644)
        self._path = path
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    def set(self, seconds):
        """Sets it forward, or back."""
        self._map[:] = struct.pack("=q", seconds)

    def env(self):
        """For the program's environment."""
        asan = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": program("tests/torture/clock.so"),
                "POFS_CLOCK": str(self._path),
                "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0"}


@pytest.fixture(name="clock")
def fixture_clock(tmp_path):
    """A clock that is right so far."""
    return Clock(tmp_path / "clock")


@pytest.fixture(name="programs")
def fixture_programs():
    """Two programs."""
    with Actor() as one, Actor() as other:
        yield one, other


def entries(store):
    """What the journal tells, oldest first."""
    return json.loads(poctl("log", "--json", store.path).stdout)["journal"]


def jump(clock, wrong, office, programs):
    """The clock jumps in the middle of a delivery."""
    one, other = programs
    os.truncate(office.mbg("A"), 0)
    fd = deliver(one, office)
    other.start("os.open", office.key("A"), os.O_RDWR)
    other.wait_blocked()
    clock.set(wrong)
    plain = office.path / "PLAIN"
    plain.write_bytes(b"x")
    assert abs(plain.stat().st_mtime - time.time() - wrong) < HOUR / 2
    other.wait_blocked()
    one.call("os.close", fd)
    other.call("os.close", other.result())
    assert is_delivered(other, office)


def test_the_clock_jumps_and_mail_goes_on(tmp_path, clock, programs):
    with Store(tmp_path / "store", "--postoffice", "PO") as store:
        with Mount(store, "-o", "idle-open-s=3600",
                   env=clock.env()) as mount:
            office = Office(mount / "PO")
            for number, wrong in enumerate(JUMPS):
                office.mai = office.mai.with_name(f"{number:08X}.MAI")
                jump(clock, wrong, office, programs)
            mount.unmount()
        assert store.undone() == []
        told = entries(store)
        assert [row["id"] for row in told] == sorted(row["id"] for row in told)
        # Nor does whoever starts in another year forget anything of it.
        for wrong in (13 * YEAR, -YEAR):
            clock.set(wrong)
            with Mount(store, env=clock.env()) as mount:
                sync(mount.path)
        assert entries(store) == told
        store.check()
