#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A mail program: delivers and picks up mail in one postoffice, and says in a
log what it is about to do and what was acknowledged.

    load.py [--sync] [--kinds KIND,...] DIRECTORY SUBJECT SEED COUNT LOG

DIRECTORY is the postoffice. Each step changes it as a whole, so it has one
state a step: a digest of all its files, which state.c makes, too. With --sync
each file is synced before it is closed, as a careful program does that cannot
rely on locks.
"""

import argparse
import contextlib
import datetime
import hashlib
import os
import pathlib
import random
import struct
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "demo"),
                str(pathlib.Path(__file__).resolve().parents[1])]

import mail
from powercut import Log

WHEN = datetime.datetime(1994, 8, 6, 12, 0)
BAG = "0000000A"
KEY = f"KEY/{BAG}.KEY"
MBG = f"MBG/{BAG}.MBG"
LOCK = f"P1/{BAG}.0LK"
CONTROL = "GLB/CONTROL.GLB"
LIVE_MAX = 12
FIRST = 0x63


def state_of(files):
    """One word for path -> content."""
    digest = hashlib.sha256()
    for path in sorted(files, key=os.fsencode):
        digest.update(os.fsencode(path) + b"\0")
        digest.update(struct.pack("<Q", len(files[path])))
        digest.update(files[path])
    return digest.hexdigest()


def read_tree(top):
    """path -> content of all files below `top`."""
    files = {}
    def fail(error):
        raise error

    for directory, _, names in os.walk(top, onerror=fail):
        for name in names:
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                files[os.path.relpath(path, top)] = file.read()
    return files


class Program:
    """One client. Each method that begins with do_ is a kind of step; it does
    the same to .files and to the directory."""

    def __init__(self, top, subject, seed, log, is_careful=False):
        self._top = top
        self._subject = subject
        self._random = random.Random(seed)
        self._log = log
        self._is_careful = is_careful
        self.files = read_tree(top)
        self.number = -1
        self.acknowledged = -1
        self._stem = FIRST
        self._slots = 0
        self._live = []  # (slot, stem), oldest first
        self._fds = []
        self._steps = []  # what may be there: (files, live, slots)
        self.before_commit = lambda: None
        self.begin()
        self.acknowledge()

    def begin(self):
        """What .files holds now may be so from here on."""
        self.number += 1
        self._steps.append((dict(self.files), list(self._live), self._slots))
        self._log.begin(self._subject, self.number, state_of(self.files))

    def acknowledge(self):
        """The last step must be so from here on."""
        self.acknowledged = self.number
        del self._steps[:-1]
        self._log.acknowledge(self._subject, self.number)

    def _open(self, path, flags):
        fd = os.open(os.path.join(self._top, path), flags, 0o666)
        self._fds.append(fd)
        return fd

    def _write(self, fd, data, at):
        os.pwrite(fd, data, at)

    def _sync(self, fd):
        os.fsync(fd)

    def _close(self, fd):
        if self._is_careful:
            self._sync(fd)
        self._fds.remove(fd)
        os.close(fd)

    def _put(self, path):
        fd = self._open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        data = memoryview(self.files[path])
        for at in range(0, len(data), 16_384):
            self._write(fd, data[at:at + 16_384], at)
        self._close(fd)

    def _remove(self, path):
        os.unlink(os.path.join(self._top, path))

    # -- what a message is

    def _mai(self, stem):
        return f"MAI/MA{stem[-1]}/{stem}.MAI"

    def _add_message(self, sizes=(10, 400, 3000, 30_000)):
        stem = f"{self._stem:08X}"
        self._stem += 1
        text = "x" * self._random.choice(sizes)
        self.files[self._mai(stem)] = mail.encode_message(
            "LAB/ANNA", ["LAB/BERT"], f"NO {stem}", WHEN, text)
        return stem

    def _add_header(self, stem):
        record = mail.Header("ANNA", f"NO {stem}", WHEN, stem).encode()
        at = self._slots * mail.RECORD_SIZE
        self.files[MBG] = self.files[MBG][:at] + record
        key = mail.Key(self.files[KEY])
        key.mark_deleted(self._slots, False)
        self.files[KEY] = key.encode()
        self._live.append((self._slots, stem))
        self._slots += 1
        return record, at

    def _write_header(self, record, at, key):
        mbg = self._open(MBG, os.O_RDWR)
        self._write(mbg, record, at)
        self._close(mbg)
        self._write(key, self.files[KEY], 0)

    # -- the kinds of steps

    def do_deliver(self, **sizes):
        """All of it while the KEY is open, which is the lock."""
        stem = self._add_message(**sizes)
        record, at = self._add_header(stem)
        self.begin()
        key = self._open(KEY, os.O_RDWR)
        self._put(self._mai(stem))
        self._write_header(record, at, key)
        self.before_commit()
        self._close(key)
        self.acknowledge()

    def do_deliver_large(self):
        """More than is kept in memory, where that is set to a MiB."""
        self.do_deliver(sizes=(1_200_000, 1_600_000))

    def do_send(self):
        """The message first, which is a step of its own; then the lock."""
        stem = self._add_message()
        self.begin()
        self._put(self._mai(stem))
        record, at = self._add_header(stem)
        self.begin()
        key = self._open(KEY, os.O_RDWR)
        self._write_header(record, at, key)
        self.before_commit()
        self._close(key)
        self.acknowledge()

    def do_pickup(self):
        """Takes the oldest message out of the mailbag."""
        slot, stem = self._live.pop(0)
        content = mail.Key(self.files[KEY])
        content.mark_deleted(slot, True)
        self.files[KEY] = content.encode()
        del self.files[self._mai(stem)]
        self.begin()
        key = self._open(KEY, os.O_RDWR)
        self._remove(self._mai(stem))
        self._write(key, self.files[KEY], 0)
        self.before_commit()
        self._close(key)
        self.acknowledge()

    def do_lock_file(self):
        """The lock is a file, and its removal the commit."""
        stem = self._add_message()
        record, at = self._add_header(stem)
        self.begin()
        self._close(self._open(LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        self._put(self._mai(stem))
        key = self._open(KEY, os.O_RDWR)
        self._write_header(record, at, key)
        self._close(key)
        self.before_commit()
        self._remove(LOCK)
        self.acknowledge()

    def do_number(self):
        """A plain file: on disk when it is synced, or with what follows."""
        first, second = struct.unpack("<II", self.files[CONTROL])
        second += 1
        self.files[CONTROL] = struct.pack("<II", first, second)
        self.begin()
        fd = self._open(CONTROL, os.O_RDWR)
        self._write(fd, self.files[CONTROL], 0)
        is_synced = self._random.random() < 0.5
        if is_synced:
            self._sync(fd)
        self._close(fd)
        if is_synced:
            self.acknowledge()

    def step(self, kinds):
        """One step of any of `kinds`."""
        kind = self._random.choice(kinds)
        if len(self._live) > LIVE_MAX or (kind == "pickup" and not self._live):
            kind = "pickup" if self._live else "deliver"
        getattr(self, f"do_{kind}")()

    def give_up(self):
        """After a step that has failed: lets go of everything."""
        for fd in self._fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._fds.clear()
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._top, LOCK))

    def move_to(self, top):
        """The same postoffice is somewhere else now."""
        self._top = top

    def resume(self):
        """After that: goes on from what is there, which must be as after some
        step since the last acknowledged one. Returns whether all is done."""
        self.give_up()
        found = read_tree(self._top)
        if found == self.files:
            return True
        may_be = [step for step in self._steps if step[0] == found]
        assert may_be, "a step was half done"
        files, live, self._slots = may_be[-1]
        self.files, self._live = dict(files), list(live)
        self.begin()
        return False


# Of what is chosen, unless a test says so.
KINDS = ("deliver", "send", "pickup", "lock_file", "number")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sync", action="store_true")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("directory")
    parser.add_argument("subject")
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("log")
    words = parser.parse_args()
    program = Program(words.directory, words.subject, words.seed,
                      Log(words.log), words.sync)
    for _ in range(words.count):
        program.step(words.kinds.split(","))


if __name__ == "__main__":
    main()
