# SPDX-License-Identifier: BSD-2-Clause
r"""What is in a postoffice when all programs have ended.

    census = Census()
    census.count(office.path, "PO", queues={"0000000E": "SPOKE"})

Reads the files as a local program does. A recipient is called "PO/0000000A",
after his mailbag; a message by its subject, which the tests make unique.
"""

import collections
import struct

import mail

INQUEUES = ("INQUEUE", "INQUEUE3")

_OWNERS_AT = 0x0B  # Q104423


class Census:
    """Counts messages, and says what a MAILINT for contents would."""

    def __init__(self):
        self.delivered = collections.Counter()
        """(recipient, message) -> how often it is in the mailbag."""
        self.queued = collections.Counter()
        """(recipient, message) -> how often it is on its way to him."""
        self.faults = []

    def copies(self):
        """Every (recipient, message) that is anywhere."""
        return list(self.delivered) + list(self.queued)

    def count(self, path, office, queues=None):
        """Adds a postoffice at `path`.

        `queues` maps the mailbags that are queues of other postoffices to the
        names of those.
        """
        owners = collections.Counter()
        office = office.upper()
        for key_path in sorted(path.glob("KEY/*.KEY")):
            for record in self._records(key_path):
                owners[record[2]] += self._count_record(
                    path, office, key_path.stem, record, queues or {})
        self._check_owners(path, office, owners)

    def _records(self, key_path):
        """The live headers of a mailbag."""
        bag = (key_path.parents[1] / "MBG" / f"{key_path.stem}.MBG"
               ).read_bytes()
        content = key_path.read_bytes()
        if len(content) != mail.KEY_SIZE or len(bag) % mail.RECORD_SIZE:
            self.faults.append(f"{key_path}: KEY of {len(content)}, MBG of "
                               f"{len(bag)} bytes")
            return
        key = mail.Key(content)
        stems = set()
        for slot in key.live_slots(len(bag) // mail.RECORD_SIZE):
            at = slot * mail.RECORD_SIZE
            record = mail.decode_header(bag[at:at + mail.RECORD_SIZE])
            if record[2] in stems:
                self.faults.append(f"{key_path}: two headers of {record[2]}")
            stems.add(record[2])
            yield record

    def _count_record(self, path, office, mailbag, record, queues):
        """Counts one header. Returns how many owners its message has here."""
        _, message, stem = record
        mai = path / "MAI" / f"MA{stem[-1:]}" / f"{stem}.MAI"
        where = f"{office}/{mailbag}: header {stem}, {message}"
        if not mai.exists():
            self.faults.append(f"{where}: [016], no message file")
            return 0
        content = mai.read_bytes()
        if not mail.is_complete(content):
            self.faults.append(f"{where}: [023], message file of "
                               f"{len(content)} bytes is not complete")
            return 0
        if mailbag in INQUEUES:
            return self._count_envelope(path / "P1" / f"{stem}.P1", message,
                                        where)
        if mailbag in queues:
            for recipient in recipients_of(content):
                if recipient.startswith(queues[mailbag] + "/"):
                    self.queued[recipient, message] += 1
        else:
            self.delivered[f"{office}/{mailbag}", message] += 1
        return 1

    def _count_envelope(self, envelope, message, where):
        if not envelope.exists():
            self.faults.append(f"{where}: [021], no routing file")
            return 0
        recipients = strings_of(envelope.read_bytes())
        for recipient in recipients:
            self.queued[recipient, message] += 1
        return len(recipients)

    def _check_owners(self, path, office, owners):
        """Each message has as many owners as it says: one a header, and for a
        header in the inqueue one a recipient there."""
        for mai in sorted(path.glob("MAI/MA?/*.MAI")):
            content = mai.read_bytes()
            if len(content) < _OWNERS_AT + 2 or owners[mai.stem] == 0:
                # An orphan is not a fault: a program that failed left it
                # behind. A header without a complete file is one above.
                continue
            count, = struct.unpack_from("<H", content, _OWNERS_AT)
            if count != owners[mai.stem]:
                self.faults.append(f"{office}: {mai.name} counts {count} "
                                   f"owners and has {owners[mai.stem]}")


def strings_of(field):
    """The strings in a field, as of a P1 file."""
    _, body, _ = _element(field, 0)
    return _strings(body[1:])


def recipients_of(message):
    """The strings of a MAI file's To field."""
    at = 6
    while at < len(message):
        kind, body, at = _element(message, at)
        if kind == 0x4C and body[:1] == b"\x05":
            return _strings(body[1:])
    return []


def _strings(content):
    found, at = [], 0
    while at < len(content):
        _, text, at = _element(content, at)
        found.append(text.decode("cp850"))
    return found


def _element(content, at):
    """Identifier, contents and end of the element there (RFC 841)."""
    kind, size, at = content[at], content[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size = int.from_bytes(content[at:at + count], "big")
        at += count
    return kind, content[at:at + size], at + size
