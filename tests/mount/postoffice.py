# SPDX-License-Identifier: BSD-2-Clause
"""A small postoffice on a mount, and what mail programs do with it."""

import contextlib
import json
import os

from harness import Mount, poctl

KEY = bytes(560)
HEADER = b"h" * 116
MESSAGE = b"m" * 3000


class Office:
    """The names of a postoffice; creates it unless it exists.

    It has two user mailbags, A and B, and the inqueues.
    """

    def __init__(self, path, create=True):
        self.path = path
        self.mai = path / "MAI/MA7/00000017.MAI"
        self.att = path / "ATT/AT7/00000017.ATT"
        self.p1 = path / "P1/00000017.P1"
        self.control = path / "GLB/CONTROL.GLB"
        if create:
            self._create()

    def _create(self):
        for directory in ("KEY", "MBG", "P1", "GLB", "MAI/MA7", "ATT/AT7"):
            (self.path / directory).mkdir(parents=True, exist_ok=True)
        for mailbag in ("A", "B", "INQUEUE", "INQUEUE3"):
            self.key(mailbag).write_bytes(KEY)
            self.mbg(mailbag).write_bytes(b"")
        self.control.write_bytes(bytes(8))

    def key(self, mailbag):
        """The path of a mailbag's KEY."""
        return self.path / "KEY" / f"{mailbag}.KEY"

    def mbg(self, mailbag):
        """The path of its MBG."""
        return self.path / "MBG" / f"{mailbag}.MBG"

    def lock_file(self, name):
        """The path of a lock file."""
        return self.path / "P1" / name


@contextlib.contextmanager
def mounted(store, *options):
    """A mount with these options, and a postoffice on it."""
    words = [word for option in options for word in ("-o", option)]
    with Mount(store, *words) as mount:
        yield mount, Office(mount / "PO")


def deliver(actor, office, mailbag="A"):
    """Puts a message and its header; the KEY stays open."""
    fd = actor.call("os.open", office.key(mailbag), os.O_RDWR)
    actor.call("client.put", office.mai, MESSAGE)
    actor.call("client.append", office.mbg(mailbag), HEADER)
    actor.call("os.pwrite", fd, b"\1", 0)
    return fd


def hand_over(actor, office, path, mailbag="A"):
    """Renames a file to a message and enters it; the KEY stays open."""
    fd = actor.call("os.open", office.key(mailbag), os.O_RDWR)
    actor.call("os.rename", path, office.p1)
    actor.call("os.pwrite", fd, b"\1", 0)
    return fd


def is_delivered(actor, office, mailbag="A"):
    """Whether somebody sees all of that message; None if only a part."""
    seen = {actor.call("client.get", office.key(mailbag))[:1] == b"\1",
            actor.call("client.get", office.mbg(mailbag)) == HEADER,
            office.mai.name in actor.call("os.listdir", office.mai.parent)}
    return seen.pop() if len(seen) == 1 else None


def records(path):
    """The headers in an MBG, in order."""
    content = path.read_bytes()
    assert len(content) % len(HEADER) == 0
    return [content[at:at + len(HEADER)]
            for at in range(0, len(content), len(HEADER))]


def session_of(store, actor):
    """The number of a program's session, as the administrator is told."""
    told = poctl("sessions", "--json", store.path).stdout
    number, = [row["id"] for row in json.loads(told)["sessions"]
               if row["pid"] == actor.pid]
    return number
