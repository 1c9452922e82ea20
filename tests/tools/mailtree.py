# SPDX-License-Identifier: BSD-2-Clause
"""A postoffice with mail in it, made file by file, whole or with a fault.

    tree = MailTree(tmp_path)
    tree.deliver("0000000A", "Lunch", stem="00000063")
    store = tree.store()
"""

import datetime
import functools
import os
import pathlib
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "demo"))

import mail
from harness import poctl

WHEN = datetime.datetime(1994, 8, 6, 12, 0)
LONG_AGO = WHEN + datetime.timedelta(hours=1)
BAG = "0000000A"
RECORD_SIZE = mail.RECORD_SIZE
STEM = "00000063"
LETTER = 0x100
"""The counter of messages: above every stem that a test uses."""


@functools.lru_cache
def skeleton():
    """{path: bytes, or None for a directory} of an empty postoffice."""
    with tempfile.TemporaryDirectory() as name:
        top = pathlib.Path(name)
        poctl("create", top / "store")
        poctl("export", top / "store", top / "tree")
        paths = sorted((top / "tree").rglob("*"))
        return {str(path.relative_to(top / "tree")):
                path.read_bytes() if path.is_file() else None
                for path in paths}


def header_of(stem, subject="HELLO", sender="ANNA", when=WHEN):
    """A record of an MBG file."""
    return mail.Header(sender, subject, when, stem).encode()


class MailTree:
    """A directory that becomes a store."""

    def __init__(self, top):
        self._top = top
        self._stores = 0
        self.office = top / "tree"
        self.office.mkdir()
        for path, content in skeleton().items():
            if content is None:
                (self.office / path).mkdir()
            else:
                self.write(path, content)
        self.add_bag(BAG)
        self.set_counters(0x20, LETTER)

    def write(self, path, content=b"", when=LONG_AGO):
        """Makes a file, last changed at `when`; None is now."""
        path = self.office / path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        self.touch(path, when)

    def touch(self, path, when=LONG_AGO):
        """Sets when a file was last changed."""
        at = when.timestamp() if when is not None else time.time()
        os.utime(self.office / path, (at, at))

    def read(self, path):
        return (self.office / path).read_bytes()

    def remove(self, path):
        (self.office / path).unlink()

    def set_counters(self, mailbag, letter):
        """The numbers for new files."""
        self.write("GLB/CONTROL.GLB", struct.pack("<II", mailbag, letter))

    # -- mailbags

    def add_bag(self, bag):
        """An empty mailbag."""
        self.write(f"KEY/{bag}.KEY", bytes(mail.KEY_SIZE))
        self.write(f"MBG/{bag}.MBG")

    def put(self, bag, subject, stem=STEM, sender="ANNA", when=WHEN):
        """A header at the end of a mailbag; returns its record's number."""
        path = f"MBG/{bag}.MBG"
        content = self.read(path)
        header = header_of(stem, subject, sender, when)
        self.write(path, content + header)
        return len(content) // RECORD_SIZE

    def patch(self, bag, record, at, content):
        """Other bytes in a record."""
        path = f"MBG/{bag}.MBG"
        data = bytearray(self.read(path))
        at += record * RECORD_SIZE
        data[at:at + len(content)] = content
        self.write(path, data)

    def delete(self, bag, record):
        """Marks a record as deleted."""
        key = mail.Key(self.read(f"KEY/{bag}.KEY"))
        key.mark_deleted(record, True)
        self.write(f"KEY/{bag}.KEY", key.encode())

    # -- messages

    @staticmethod
    def mai(stem):
        return f"MAI/MA{stem[-1]}/{stem}.MAI"

    def message(self, stem=STEM, owners=1, text="Please find it here.\r\n"):
        """A MAI file."""
        content = mail.encode_message(
            "LAB/ANNA", ["LAB/BERT"] * owners, "HELLO", WHEN, text)
        self.write(self.mai(stem), content)
        return content

    def envelope(self, stem=STEM):
        """A P1 file."""
        self.write(f"P1/{stem}.P1", mail.encode_envelope(["LAB/BERT"]))

    def deliver(self, bag, subject, stem=STEM, owners=1):
        """A whole message in a mailbag; returns its record's number."""
        self.message(stem, owners)
        return self.put(bag, subject, stem)

    def submit(self, subject, stem=STEM, queue="INQUEUE3"):
        """A whole message that no mailer has seen."""
        self.envelope(stem)
        return self.deliver(queue, subject, stem)

    # -- lists

    def add_network(self, name, xtn="", mbg=""):
        """A record of NETWORK.GLB (Q148666)."""
        record = struct.pack("<BB11s9s11x9s80x", 1, 0, name.encode(),
                             xtn.encode(), mbg.encode())
        path = "GLB/NETWORK.GLB"
        before = self.read(path) if (self.office / path).exists() else b""
        self.write(path, before + record)

    def add_postoffice(self, xtn, name, mbg):
        """A record of an XTN file (Q86625)."""
        record = struct.pack("<B11s9s", 1, name.encode(), mbg.encode())
        self.write(f"XTN/{xtn}.XTN", record.ljust(698, b"\0"))

    def add_user(self, number, name):
        """A record of ADMIN.NME (Q119563)."""
        path = "NME/ADMIN.NME"
        before = self.read(path) if (self.office / path).exists() else b""
        self.write(path, before + struct.pack("<2x39sI", name.encode(),
                                              number))

    # -- the store

    def store(self):
        """A new store with what is there now."""
        self._stores += 1
        path = self._top / f"store{self._stores}"
        poctl("import", path, self.office)
        return path
