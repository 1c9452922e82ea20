# SPDX-License-Identifier: BSD-2-Clause
"""The disk below pofs loses its power, is full or fails while clients of smbd
deliver mail: what one of them was told is so, and he is told which of these it
is. torture/test_power.py and test_disk.py have local programs.

POFS_CUTS says how many power cuts are judged, POFS_SEED repeats the mail and
the cuts, though not what ran at once with what.
"""

import concurrent.futures
import contextlib
import errno
import itertools
import os
import pathlib
import shutil
import sys

import pytest

from harness import wait_until
from remote import Remote, served
from smb1 import Client, Error, SmbError
from smbd import SHARE

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "torture"))

import load  # noqa: E402
from powercut import Disk  # noqa: E402
from scene import (SUBJECTS, StoreAt, audit, make_store,  # noqa: E402
                   must_be_right)
from test_disk import is_well, leave, small_disk  # noqa: E402

CUTS = int(os.environ.get("POFS_CUTS", "100"))
SEED = int(os.environ.get("POFS_SEED", "1"))
STEPS = 40
OPEN = 1  # what makes a descriptor (pcut.h)


def work(mount, server, subject, log):
    """One client's."""
    number = SUBJECTS.index(subject)
    with Client(server.port, SHARE, source=f"127.0.3.{number + 1}") as client:
        program = Remote(client, mount.path, subject, SEED + number, log)
        for _ in range(STEPS):
            program.step(load.KINDS)
        client.disconnect()


def test_what_clients_were_told_survives_a_power_cut():
    with Disk() as disk:
        store = make_store(disk)
        with disk.log() as log, served(disk, store) as (mount, server), \
                concurrent.futures.ThreadPoolExecutor() as pool:
            # What has failed is raised where it is asked for.
            list(pool.map(lambda subject: work(mount, server, subject, log),
                          SUBJECTS))
        must_be_right(disk.replay(CUTS, SEED, "--store", "store", "--audit",
                                  audit()))


@contextlib.contextmanager
def one_client(mount, server, log):
    """It has delivered a message."""
    with Client(server.port, SHARE) as client:
        program = Remote(client, mount.path, SUBJECTS[0], SEED, log)
        program.step(["deliver"])
        yield program
        for _ in range(3):
            program.step(["deliver"])
        client.disconnect()


def is_refused(program):
    """It is told that a delivery has failed, of which nothing is there, and
    reads what was there before. Returns as what."""
    with pytest.raises(SmbError) as told:
        program.step(["deliver"])
    assert not program.resume()
    return told.value.code


def test_a_client_is_told_that_the_disk_is_full(tmp_path):
    with Disk() as disk, small_disk(tmp_path) as top:
        store = StoreAt(shutil.copytree(make_store(disk).path, top / "store"))
        with disk.log() as log, served(None, store) as (mount, server), \
                one_client(mount, server, log) as program:
            program.before_commit = lambda: leave(top, 0)
            for _ in range(3):
                assert is_refused(program) == Error.DISK_FULL
            program.before_commit = lambda: None
            (top / "ballast").unlink()
            wait_until(lambda: is_well(mount.path), "there is room")


def test_a_client_is_told_that_the_disk_fails():
    with Disk() as disk:
        store = make_store(disk)
        with disk.log() as log, served(disk, store) as (mount, server), \
                one_client(mount, server, log) as program:
            disk.control.is_sticky = 1
            disk.control.fail_at = disk.control.syncs + 1
            for _ in range(3):
                assert is_refused(program) != Error.DISK_FULL
            disk.control.fail_at = 0
            wait_until(lambda: is_well(mount.path), "the store recovers")
        must_be_right(disk.replay(max(CUTS // 2, 1), SEED, "--store", "store"))


def vanish(disk, mount, server, number):
    """A client does in the middle of a delivery, while open number `number` of
    pofs fails. Returns whether there was one, and what others see."""
    office = mount / SUBJECTS[0]
    before = load.read_tree(office)
    disk.control.fault_kinds = OPEN
    disk.control.fault_code = errno.EMFILE
    disk.control.faults = 0
    disk.control.fault_at = number
    with Client(server.port, SHARE, source=f"127.0.4.{number}") as client, \
            Client(server.port, SHARE, source=f"127.0.5.{number}") as other:
        key = client.open(f"{SUBJECTS[0]}\\KEY\\{load.BAG}.KEY")
        client.write_file(f"{SUBJECTS[0]}\\MBG\\{load.BAG}.MBG", b"header")
        key.write(0, b"\1")
        client.reset()
        other.open(f"{SUBJECTS[0]}\\KEY\\{load.BAG}.KEY").close()
    is_reached = disk.control.faults >= number
    disk.control.fault_kinds = 0
    return is_reached, load.read_tree(office) == before


def test_a_client_that_vanishes_is_undone_whatever_cannot_be_opened():
    """Those files, for instance, that tell that it is an smbd."""
    with Disk() as disk:
        store = make_store(disk, SUBJECTS[:1])
        with disk.log(), served(disk, store) as (mount, server):
            for number in itertools.count(1):
                is_reached, is_as_before = vanish(disk, mount, server, number)
                assert is_as_before, number
                if not is_reached:
                    break
        assert number > 2
