# SPDX-License-Identifier: BSD-2-Clause
"""Clients that mean harm, through smbd: names, places in files, and a crowd that
wants one queue. torture/test_hostile.py has what smbd does not let through.
"""

import json
import os
import pathlib
import select
import sys

import pytest

from harness import poctl, wait_until
from place import ONLY_POFS
from smb1 import Mode, SmbError

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "torture"))

from harm import BAD_ANYWHERE, BAD_IN_OFFICE  # noqa: E402

# However slow the machine is, who comes first waits until all are there.
MOUNT_OPTIONS = ("lock-wait-s=3600", "silent-limit-s=0")

CROWD = int(os.environ.get("POFS_CROWD", "16"))
"""How many clients want one queue; 64 for a release."""

# What Windows does not ask for: its own names end at the last letter.
TRIMMED = ("A.", "A ", "A..", "A.KEY ", "A.KEY.", " ", "...")

OUTSIDE = ["..\\..\\..\\OUT", "\\..\\..\\..\\OUT", "../../../OUT",
           "..\\..\\..\\..\\..\\..\\tmp\\OUT"]
"""What would be outside of the share."""


def sendable(names):
    """Those that an SMB1 client of code page 850 can send."""
    for name in names:
        if isinstance(name, str) and name not in (*TRIMMED, "..\\A"):
            try:
                name.encode("cp850")
            except UnicodeEncodeError:
                continue
            yield name


def attempts(client, office, name):
    """What a client may do to make it."""
    path = office.smb("KEY", name)
    good = office.smb("KEY", "GOOD.KEY")
    for attempt in (lambda: client.open(path, mode=Mode.CREATE).close(),
                    lambda: client.create_new(path).close(),
                    lambda: client.mkdir(path),
                    lambda: client.rename(good, path)):
        yield attempt


@ONLY_POFS
def test_no_bad_name_is_made(client, office):
    client.write_file(office.smb("KEY", "GOOD.KEY"), b"good")
    every_byte = [f"A{bytes([code]).decode('cp850')}B.\\"
                  for code in range(1, 256) if code != 0x5C]
    names = [*sendable(BAD_ANYWHERE + BAD_IN_OFFICE), *every_byte, *OUTSIDE]
    assert len(names) > 300
    made = []
    for name in names:
        for attempt in attempts(client, office, name):
            try:
                attempt()
                made.append(name)
            except SmbError:
                continue
    assert made == []
    assert os.listdir(office.path / "KEY") == ["GOOD.KEY"]
    assert client.read_file(office.smb("KEY", "GOOD.KEY")) == b"good"
    assert not list(office.path.parent.parent.glob("OUT*"))
    assert not pathlib.Path("/tmp/OUT").exists()


@ONLY_POFS
def test_nothing_is_beyond_the_largest_file(client, office):
    name = office.smb("MBG", "A.MBG")
    client.write_file(name, b"x" * 100)
    file = client.open(name)
    for offset in (0xFFFFFFF0, 0xFFFFFFFF, 0x80000000):
        assert file.read(offset, 10) == b""
    with pytest.raises(SmbError):
        file.write(0xFFFFFFFF, b"xx")
    # What was to be written is not there, and nothing of its transaction.
    with pytest.raises(SmbError):
        file.close()
    assert client.read_file(name) == b"x" * 100


def line_of(place):
    """How many wait for the lock that there is."""
    locks = json.loads(poctl("locks", "--json",
                             place.store.path).stdout)["locks"]
    return sum(len(lock["waiters"]) for lock in locks)


@ONLY_POFS
def test_a_crowd_gets_through(machines, office, place):
    """Each of them once, and none is refused; an smbd that happens to be away,
    as it is told EAGAIN now and then, may be passed by one that is there."""
    key = office.path / "KEY" / "INQUEUE3.KEY"
    key.write_bytes(bytes(560))
    held = os.open(key, os.O_RDWR)
    crowd = {}
    for _ in range(CROWD):
        client = machines.new()
        client.send(*client.open_request(office.smb("KEY", key.name)))
        crowd[client.fileno()] = client
        wait_until(lambda: line_of(place) == len(crowd), "it waits")
    os.close(held)
    while crowd:
        for number in select.select(list(crowd), [], [], 30)[0]:
            client = crowd.pop(number)
            client.opened(client.receive()).close()
    assert line_of(place) == 0
