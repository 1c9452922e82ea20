# SPDX-License-Identifier: BSD-2-Clause
"""poctl repair all, as a cron job has it, whatever is damaged: no message,
envelope or attachment goes that was named before, and no header of a message
that is there.

POFS_REPAIRS says how many postoffices are damaged, POFS_SEED repeats them. The
files are of 1994, so that no age keeps them."""

import os
import random
import time

import pytest

from commands import FAILED, OK
from harness import poctl
from mailtree import RECORD_SIZE, MailTree, mail

REPAIRS = int(os.environ.get("POFS_REPAIRS", "12"))
SEED = int(os.environ.get("POFS_SEED", time.time_ns() % 1_000_000))

QUEUES = ("INQUEUE", "INQUEUE3")
BAGS = ("0000000A", "0000000B", "0000000C", "SYSTEM")
RUNS = 3


class Files(dict):
    """What is in a directory: {path: content}."""

    def __init__(self, top):
        super().__init__((str(path.relative_to(top)), path.read_bytes())
                         for path in top.rglob("*") if path.is_file())

    def of_mail(self):
        """The paths of messages, envelopes and attachments."""
        return {path for path in self
                if path.startswith(("MAI/MA", "P1/", "ATT/AT"))
                and not path.endswith("POPULATE.MSM")}

    def has_message(self, stem):
        """Wherever it is: it can be moved."""
        return any(path.startswith("MAI/MA") and
                   path.endswith(f"/{stem}.MAI") for path in self)

    def headers(self):
        """The live headers whose message is there: {(mailbag, record)}."""
        found = set()
        for path, data in self.items():
            bag = path[len("MBG/"):-len(".MBG")]
            if not path.startswith("MBG/") or not path.endswith(".MBG"):
                continue
            key = self.get(f"KEY/{bag}.KEY", b"")
            bits = mail.Key(key if len(key) == mail.KEY_SIZE
                            else bytes(mail.KEY_SIZE))
            for number in range(len(data) // RECORD_SIZE):
                record = data[number * RECORD_SIZE:][:RECORD_SIZE]
                stem = record[0x43:0x4B].decode("latin-1")
                if not bits.is_deleted(number) and self.has_message(stem):
                    found.add((bag, record))
        return found


class Office:
    """A postoffice at work, and what may happen to its files."""

    def __init__(self, top, rng):
        self.rng = rng
        self.tree = MailTree(top)
        for bag in BAGS[1:3]:
            self.tree.add_bag(bag)
        for number in range(rng.randint(4, 12)):
            self.send(f"{0x20 + 8 * number:08X}")
        self.named = Files(self.tree.office).of_mail()
        # Nobody's: an envelope, a message, and a copy that was left.
        self.tree.envelope("000000F0")
        self.tree.message("000000F1")
        self.tree.write("P1/00000020.PBB", b"left")

    def send(self, stem):
        """A message: queued, delivered, or on its way, with what is usual."""
        tree, rng = self.tree, self.rng
        bags = rng.sample(BAGS, rng.randint(0, 3))
        tree.message(stem, owners=rng.randint(1, 3), text=stem)
        if not bags or rng.random() < .5:
            tree.envelope(stem)
            tree.put(rng.choice(QUEUES), stem, stem)
        for bag in bags:
            tree.put(bag, stem, stem)
        if rng.random() < .3:
            number = int(stem, 16) - 1
            tree.write(f"ATT/AT{number % 16:X}/{number:08X}.ATT", b"picture")
        if rng.random() < .3:
            bag = rng.choice(BAGS)
            tree.delete(bag, tree.put(bag, "read", "00000001"))

    def paths(self, *starts):
        found = sorted(path for path in Files(self.tree.office)
                       if path.startswith(starts)
                       and not path.endswith("POPULATE.MSM"))
        return found or ["GLB/CONTROL.GLB"]

    def a_file(self):
        """One of those that matter, a mailbag's more often than not."""
        return self.rng.choice(self.rng.choice([
            self.paths("MBG/"), self.paths("MBG/INQUEUE"), self.paths("KEY/"),
            self.paths("MAI/MA"), self.paths("P1/", "ATT/AT", "GLB/CONTROL")]))

    # -- damages

    def cut(self):
        path = self.a_file()
        data = self.tree.read(path)
        size = self.rng.randint(0, len(data))
        if self.rng.random() < .5:
            size -= size % RECORD_SIZE
        self.tree.write(path, data[:size])

    def spoil(self):
        """Zeros, or anything, in a part or all of a file."""
        path = self.a_file()
        data = self.tree.read(path)
        at, end = sorted(self.rng.randint(0, len(data)) for _ in range(2))
        if self.rng.random() < .5:
            at, end = 0, len(data)
        self.tree.write(path, data[:at] + self.rng.choice(
            [bytes, self.rng.randbytes])(end - at) + data[end:])

    def flip(self):
        path = self.a_file()
        data = bytearray(self.tree.read(path))
        for _ in range(self.rng.randint(1, 4) if data else 0):
            data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        self.tree.write(path, data)

    def flip_key(self):
        path = self.rng.choice(self.paths("KEY/"))
        data = bytearray(self.tree.read(path))
        for _ in range(self.rng.randint(1, 6) if len(data) > 52 else 0):
            data[self.rng.randint(48, 51)] ^= 1 << self.rng.randrange(8)
        self.tree.write(path, data)

    def flip_stem(self):
        path = self.rng.choice(self.paths("MBG/"))
        data = bytearray(self.tree.read(path))
        if len(data) >= RECORD_SIZE:
            record = self.rng.randrange(len(data) // RECORD_SIZE)
            at = record * RECORD_SIZE + 0x43 + self.rng.randrange(8)
            data[at] ^= 1 << self.rng.randrange(8)
            self.tree.write(path, data)

    def shuffle(self):
        """Records change places, or are there twice."""
        path = self.rng.choice(self.paths("MBG/"))
        data = self.tree.read(path)
        records = [data[at:at + RECORD_SIZE]
                   for at in range(0, len(data), RECORD_SIZE)]
        if records and self.rng.random() < .5:
            records.append(self.rng.choice(records))
        self.rng.shuffle(records)
        self.tree.write(path, b"".join(records))

    def remove(self):
        self.tree.remove(self.a_file())

    def remove_mailbag(self):
        bag = self.rng.choice((*QUEUES, *BAGS))
        for path in (f"KEY/{bag}.KEY", f"MBG/{bag}.MBG"):
            if (self.tree.office / path).exists():
                self.tree.remove(path)

    def new_name(self, path):
        """A name beside `path`, or for a message in another directory."""
        folder, name = path.rsplit("/", 1)
        if folder.startswith("MAI/") and self.rng.random() < .5:
            return f"MAI/MA{self.rng.randrange(16):X}/{name}"
        return f"{folder}/" + self.rng.choice(
            [f"{self.rng.randrange(0x100):08X}.{name[-3:].lstrip('.')}",
             f"{name.split('.')[0]}.BAK"])

    def rename(self):
        old = self.a_file()
        new = self.new_name(old)
        if old == new or (self.tree.office / new).exists():
            return
        (self.tree.office / old).rename(self.tree.office / new)
        if old in self.named:
            self.named = self.named - {old} | {new}

    def double(self):
        old = self.a_file()
        new = self.new_name(old)
        if old != new and not (self.tree.office / new).exists():
            self.tree.write(new, self.tree.read(old))

    def leave_copy(self):
        """A mailbag was being compressed: a part of it is not back yet."""
        path = self.rng.choice(self.paths("MBG/"))
        data = self.tree.read(path)
        self.tree.write("MBG/COPY.MBG", data)
        size = self.rng.randint(0, len(data))
        self.tree.write(path, data[:size - size % RECORD_SIZE])

    def be_damaged(self):
        """Returns what was done."""
        ways = [self.cut, self.spoil, self.flip, self.flip_key,
                self.flip_stem, self.shuffle, self.remove,
                self.remove_mailbag, self.rename, self.double,
                self.leave_copy]
        chosen = self.rng.choices(ways, k=self.rng.randint(1, 4))
        for way in chosen:
            way()
        return [way.__name__ for way in chosen]


def judge(before, named, after):
    """What went that may not go."""
    gone = sorted((named & set(before)) - set(after))
    kept = {(bag, record) for bag, record in after.headers()}
    return gone + sorted(bag for bag, _ in before.headers() - kept)


@pytest.mark.parametrize("number", range(REPAIRS))
def test_what_was_named_stays(tmp_path, number):
    rng = random.Random(SEED + number)
    office = Office(tmp_path, rng)
    done = office.be_damaged()
    options = rng.choice([(), ("--assumed",)])
    store = office.tree.store()
    if rng.random() < .7:
        (store / "pofs.conf").write_text("[key-layout]\nconfirmed=yes\n")
    said = []
    for _ in range(RUNS):
        run = poctl("repair", *options, store, "all", check=False)
        assert run.returncode in (OK, FAILED)
        said.append(run.stdout)
    poctl("export", store, tmp_path / "after")
    before = Files(office.tree.office)
    print(f"POFS_SEED={SEED + number}", *done, *said, sep="\n")
    assert not judge(before, office.named, Files(tmp_path / "after"))
