#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A mail program: delivers and picks up mail in one postoffice, and says in a
log what it is about to do and what was acknowledged.

    load.py [--sync] [--kinds KIND,...] [--store STORE]
            DIRECTORY SUBJECT SEED COUNT LOG

DIRECTORY is the postoffice. Each step changes it as a whole, so it has one
state a step: a digest of all its files, which state.c makes, too. With --sync
each file is synced before it is closed, as a careful program does that cannot
rely on locks. With --store, which has it as SUBJECT, the program dies now and
then, and discards what was kept of that.
"""

import argparse
import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import random
import signal
import struct
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "demo"),
                str(pathlib.Path(__file__).resolve().parents[1])]

import mail
from harness import poctl
from powercut import MEMORY, Log

WHEN = datetime.datetime(1994, 8, 6, 12, 0)
BAG = "0000000A"
KEY = f"KEY/{BAG}.KEY"
MBG = f"MBG/{BAG}.MBG"
LOCK = f"P1/{BAG}.0LK"
CONTROL = "GLB/CONTROL.GLB"
LIVE_MAX = 12
FIRST = 0x63
LARGE = (1_200_000, 1_600_000)


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


class Quarantine:
    """What the quarantine has of one postoffice: an entry at most, which is
    there as a whole. It is a subject of its own."""

    def __init__(self, store, subject, log):
        self._store = store
        self._subject = subject
        self._log = log
        self._number = -1
        self._may_be = []  # (path -> content) of the entry, or nothing
        self.begin({})
        self.acknowledge()

    @property
    def files(self):
        """What the entry must have now."""
        return self._may_be[-1]

    def begin(self, files):
        """It may have these from here on."""
        self._number += 1
        self._may_be.append(files)
        self._log.begin(f"quarantine/{self._subject}", self._number,
                        state_of({f"0/{path}": content
                                  for path, content in files.items()}))

    def acknowledge(self):
        """It must have them from here on."""
        del self._may_be[:-1]
        self._log.acknowledge(f"quarantine/{self._subject}", self._number)

    def _ids(self):
        told = poctl("quarantine", "list", "--json", self._store).stdout
        return [entry["id"] for entry in json.loads(told)["quarantine"]]

    def _entries(self):
        """(id, files) of each entry of this postoffice."""
        for entry in self._ids():
            with tempfile.TemporaryDirectory(dir=MEMORY) as name:
                done = poctl("quarantine", "restore", self._store, entry,
                             name, check=False)
                # Another program may have discarded its own meanwhile.
                assert done.returncode == 0 or entry not in self._ids(), (
                    done.stderr)
                office = pathlib.Path(name) / self._subject
                if office.is_dir():
                    yield entry, read_tree(office)

    def discard(self):
        """Lets go of the entry, which is whole."""
        (entry, files), = self._entries()
        assert files == self.files
        self.begin({})
        poctl("quarantine", "discard", self._store, entry)

    def resume(self):
        """Goes on from what is there, as it may be."""
        found = [files for _, files in self._entries()] or [{}]
        assert len(found) == 1 and found[0] in self._may_be, (
            "an entry is half there")
        self.begin(found[0])


class Program:
    """One client. Each method that begins with do_ is a kind of step; it does
    the same to .files and to the directory."""

    def __init__(self, top, subject, seed, log, is_careful=False, store=None):
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
        self._quarantine = store and Quarantine(store, subject, log)
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
        self.do_deliver(sizes=LARGE)

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

    def _sync_all(self):
        """Whatever anybody has done is on the disk now."""
        fd = self._open("", os.O_RDONLY | os.O_DIRECTORY)
        self._sync(fd)
        self._close(fd)

    def _die_delivering(self, stem, record, at):
        """A program of its own does all but the last close."""
        child = os.fork()
        if child == 0:
            try:
                key = self._open(KEY, os.O_RDWR)
                self._put(self._mai(stem))
                self._write_header(record, at, key)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)

    def do_die(self, **sizes):
        """The postoffice is as it was, the quarantine has the delivery."""
        before = dict(self.files), list(self._live), self._slots
        stem = self._add_message(**sizes)
        record, at = self._add_header(stem)
        self._quarantine.begin({path: self.files[path]
                                for path in (KEY, MBG, self._mai(stem))})
        self._die_delivering(stem, record, at)
        self.files, self._live, self._slots = before
        self._close(self._open(KEY, os.O_RDWR))  # it is undone by then
        self.before_commit()
        self._sync_all()
        self._quarantine.acknowledge()

    def do_die_large(self):
        """What was on the disk ahead is the quarantine's then."""
        self.do_die(sizes=LARGE)

    def do_discard(self):
        """The administrator looks at it and lets go of it."""
        self._quarantine.discard()
        self.before_commit()
        self._sync_all()
        self._quarantine.acknowledge()

    def step(self, kinds):
        """One step of any of `kinds`."""
        kind = self._random.choice(kinds)
        if kind.startswith("die") and self._quarantine.files:
            kind = "discard"
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
        if self._quarantine is not None:
            self._quarantine.resume()
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
    parser.add_argument("--kinds")
    parser.add_argument("--store")
    parser.add_argument("directory")
    parser.add_argument("subject")
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("log")
    words = parser.parse_args()
    kinds = KINDS if words.store is None else (*KINDS, "die")
    if words.kinds is not None:
        kinds = words.kinds.split(",")
    program = Program(words.directory, words.subject, words.seed,
                      Log(words.log), words.sync, words.store)
    for _ in range(words.count):
        program.step(kinds)


if __name__ == "__main__":
    main()
