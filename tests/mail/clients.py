# SPDX-License-Identifier: BSD-2-Clause
r"""The DOS and Windows clients of one postoffice, and ADMIN's compress.

A client delivers by itself within its postoffice: it writes the MAI and then a
header into each recipient's mailbag, KEY, MBG, KEY (Q85058, Q212756). It polls
its own KEY, reads KEY, MBG and MAI, and deletes what its user has read: the
bit in the KEY, then one owner less in the MAI, in place, and the last one
erases the file (Q104423). Its deny modes are not public: deny-none, the
weakest.
"""

import contextlib
import struct

import mail
from program import Bag, Busy, Program, busy_if, key_path, mai_path
from smb1 import Access, Deny, Error, SmbError

OWNERS_AT = 0x0B  # Q104423

COPY = r"MBG\COPY.MBG"


class Sender(Program):
    """A client that sends to mailbags of its own postoffice."""

    def submit(self, message, queue=None):
        """Each recipient's header, or one in the queue of the postoffice to
        which all of them belong. It is acknowledged when this returns."""
        bags = [queue] if queue else [
            recipient.split("/")[1] for recipient in message.recipients]
        with self.means("submit", key_path(bags[0]), message=message.subject,
                        recipients=list(message.recipients)):
            stem, file = self.persist(self.take_number)
            with file:
                file.write(0, message.encode())
            for bag in bags:
                self.persist(lambda: self.put(bag, message.header(stem),
                                              is_last=True))


class Reader(Program):
    """A client that reads a mailbag and deletes what it has read."""

    def poll(self, bag, known=()):
        """Looks whether there is mail: KEY, MBG, MAI, all of them read only.
        Returns the stems of the complete messages; those `known` are not read
        again."""
        files = self.open_pair(bag, Access.READ)
        found = self.read_bag(bag, *files)
        stems = [stem for _, _, stem in found.live()
                 if stem in known or self.look(bag, stem) is not None]
        for file in files:
            file.close()
        return stems

    def look(self, bag, stem):
        """Reads the MAI of a header. Returns it, or None if it is not as it
        must be; raises Busy if somebody else has it."""
        message, why = None, None
        try:
            with busy_if(Error.SHARING_VIOLATION):
                message = self.read_file(mai_path(stem))
        except SmbError as error:
            if error.code != Error.FILE_NOT_FOUND:
                raise
            why = "missing [016]"
        if message is not None and not mail.is_complete(message):
            why = f"short: {len(message)} bytes [023]"
        self.note("seen", key_path(bag), stem=stem, complete=why is None,
                  why=why)
        return message if why is None else None

    def take_all(self, bag):
        """Reads, keeps and deletes all mail of a mailbag, a message at a
        time. Returns the subjects."""
        subjects = []
        while True:
            subject = self.persist(lambda: self.take_one(bag))
            if subject is None:
                return subjects
            subjects.append(subject)

    def take_one(self, bag):
        """Takes the first message; returns its subject, or None if there is
        none. A message that is not complete stays, and is None, too."""
        key_file, mbg_file = self.open_pair(bag)
        found = self.read_bag(bag, key_file, mbg_file)
        mbg_file.close()
        try:
            item = next((item for item in found.live()
                         if self.look(bag, item[2]) is not None), None)
        except Busy:
            key_file.close()
            raise
        if item is None:
            key_file.close()
            return None
        slot, subject, stem = item
        with self.means("take", key_path(bag), message=subject):
            self.remove(bag, found, slot, key_file)
            self.disown(stem)
            self.close_last(key_file)
        return subject

    def remove(self, bag, found, slot, key_file):
        """Marks a header as deleted."""
        found.remove(slot)
        self.write_key(bag, found, key_file)

    def disown(self, stem):
        """One owner less. While another client changes the file the server
        may refuse this at any step; the client then begins anew."""
        if self.persist(lambda: self._count_down(stem)) == 0:
            self.delete(mai_path(stem))

    def _count_down(self, stem):
        with contextlib.ExitStack() as stack:
            stack.enter_context(busy_if(Error.SHARING_VIOLATION))
            file = self.open(mai_path(stem))
            # However it ends, a handle must not stay.
            stack.callback(file.close)
            owners, = struct.unpack("<H", file.read(OWNERS_AT, 2))
            file.write(OWNERS_AT, struct.pack("<H", owners - 1))
        return owners - 1


class Compressor(Program):
    """ADMIN's Storage Compress of a mailbag: RW and DENY_WRITE (Q101749),
    through COPY.MBG in the same directory (Q103850)."""

    def compress(self, bag):
        """Leaves the live headers only. Raises Busy if a file is in use."""
        key_file, mbg_file = self.open_pair(bag, deny=Deny.WRITE)
        found = self.read_bag(bag, key_file, mbg_file)
        records = b"".join(
            found.content[slot * mail.RECORD_SIZE:][:mail.RECORD_SIZE]
            for slot, _, _ in found.live())
        self.write_file(COPY, records)
        packed = Bag(mail.Key(bytes(mail.KEY_SIZE)), self.read_file(COPY))
        packed.key.new_items = found.key.new_items
        mbg_file.write(0, packed.content)
        mbg_file.truncate(len(packed.content))
        mbg_file.close()
        self.delete(COPY)
        self.write_key(bag, packed, key_file)
        self.close_last(key_file)
