# SPDX-License-Identifier: BSD-2-Clause
"""Just enough of the postoffice's file formats to deliver one message.

What is published in Microsoft's Knowledge Base is used as published: sizes,
names, the record of an MBG file (the dump in Q108027), the fields of a MAI
file (FIPS 98 as in RFC 841; Q87379, Q104423), CONTROL.GLB (Q87388). Three
things are not published: where a KEY file keeps its counter of new items and
its bitmap of deleted records, and what a P1 file looks like, are assumed; the
cipher of a message's text is left out.
"""

import struct
from dataclasses import dataclass

KEY_SIZE = 560
RECORD_SIZE = 116

_BITMAP_AT = 48  # assumed: 560 bytes less a bitmap of 512 (Q119088)
_RECORD = struct.Struct("<2x11s41s2xHHHHHx9s2xI6xI24x")
_FROM, _DATE, _TEXT, _TO, _SUBJECT = 0x01, 0x02, 0x04, 0x05, 0x07


@dataclass(frozen=True)
class Header:
    """A mailbag's record of a message."""

    sender: str
    subject: str
    when: object  # datetime, local time
    stem: str     # of the MAI and the P1 file

    def encode(self):
        when = self.when
        return _RECORD.pack(
            self.sender.encode("cp850"), self.subject.encode("cp850"),
            when.minute, when.hour, when.day, when.month, when.year,
            self.stem.encode(), 0, 24)


def decode_header(record):
    """Sender, subject and stem of a record."""
    fields = _RECORD.unpack(record)
    return tuple(fields[n].split(b"\0")[0].decode("cp850") for n in (0, 1, 7))


class Key:
    """The contents of a KEY file: which records of the MBG are deleted."""

    def __init__(self, content):
        assert len(content) == KEY_SIZE
        self._content = bytearray(content)

    def encode(self):
        return bytes(self._content)

    @property
    def new_items(self):
        return struct.unpack_from("<H", self._content, 0)[0]

    @new_items.setter
    def new_items(self, count):
        struct.pack_into("<H", self._content, 0, count)

    def is_deleted(self, slot):
        return bool(self._content[_BITMAP_AT + slot // 8] >> slot % 8 & 1)

    def mark_deleted(self, slot, deleted):
        at, bit = _BITMAP_AT + slot // 8, 1 << slot % 8
        self._content[at] = self._content[at] & ~bit | (bit if deleted else 0)

    def vacant_slot(self, records):
        """The first vacant one of an MBG of so many records (Q77926)."""
        for slot in range(records):
            if self.is_deleted(slot):
                return slot
        return records

    def live_slots(self, records):
        return [slot for slot in range(records) if not self.is_deleted(slot)]


def _length(size):
    if size < 0x80:
        return bytes([size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(digits)]) + digits


def _string(text):
    content = text.encode("cp850")
    return b"\x02" + _length(len(content)) + content


def _field(number, content):
    body = bytes([number]) + content
    return b"\x4c" + _length(len(body)) + body


def encode_message(sender, recipients, subject, when, text):
    """A MAI file. The owner count is where Q104423 shows it, at 0x0B."""
    date = _string(when.strftime("%Y%m%d-%H%M%S"))
    fields = b"\x01"  # a message of type FIPS
    fields += b"\x7f\x05\x31\x20\x02" + struct.pack("<H", len(recipients))
    fields += _field(_FROM, _string(sender))
    fields += _field(_TO, b"".join(map(_string, recipients)))
    fields += _field(_DATE, b"\x28" + _length(len(date)) + date)
    fields += _field(_SUBJECT, _string(subject))
    fields += _field(_TEXT, _string(text))
    return b"\x4d\x83" + len(fields).to_bytes(3, "big") + fields


def encode_envelope(recipients):
    """A P1 file: the recipients this postoffice shall deliver to."""
    return _field(_TO, b"".join(map(_string, recipients)))


def is_complete(message):
    """Whether a MAI file is as long as it says."""
    return message[:2] == b"\x4d\x83" and \
        int.from_bytes(message[2:5], "big") == len(message) - 5


def text_of(message):
    """The text of a MAI file, or None."""
    at = 6
    while at < len(message):
        size, start = message[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(message[start:start + count], "big")
            start += count
        if message[at] == 0x4C and message[start] == _TEXT:
            body = message[start + 1:start + size]
            head = 2 + (body[1] & 0x7F if body[1] & 0x80 else 0)
            return body[head:].decode("cp850")
        at = start + size
    return None
