# SPDX-License-Identifier: BSD-2-Clause
"""Mail programs whose files lie as nobody has published, and who uses them.

A Licensed copy has a KEY layout, counters and records of its own choice; an
Administrator does with it what poctl learn asks for on his terminal, or
something else.
"""

import dataclasses
import os
import pty
import re
import subprocess

from harness import program, wait_until

RECORD = 116


@dataclasses.dataclass
class Message:
    """What is in a record."""

    stem: str
    is_read: bool = False


class Licensed:
    """One mailbag of a licensed copy, below the directory `top`.

    `counters` are (what it counts, offset, width, "little" or "big").
    """

    def __init__(self, top, mailbag="0000000A", *, offset=48, order="lsb",
                 deleted=1, word=1, counters=()):
        self.top, self.mailbag, self.word = top, mailbag, word
        self.offset, self.order, self.deleted = offset, order, deleted
        self.counters = counters
        self.slots = []   # of Message; None is a vacant one
        self.letter = 0x100
        self.delivered = self.fresh = 0
        self.key = bytearray(560)
        self.mbg = bytearray()
        for folder in ("KEY", "MBG", "P1"):
            (top / folder).mkdir(parents=True, exist_ok=True)
        for digit in "0123456789ABCDEF":
            (top / "MAI" / f"MA{digit}").mkdir(parents=True, exist_ok=True)
            (top / "ATT" / f"AT{digit}").mkdir(parents=True, exist_ok=True)
        if not (top / "KEY" / f"{mailbag}.KEY").exists():
            self.write()

    # ---- files

    def path(self, folder, stem):
        """Where a MAI or ATT is."""
        return self.top / folder / f"{folder[:2]}{stem[-1]}" / \
            f"{stem}.{folder}"

    def count(self, what):
        """A quantity that a counter may have."""
        live = [slot for slot in self.slots if slot is not None]
        return {
            "live": len(live), "records": len(self.slots),
            "unread": sum(not slot.is_read for slot in live),
            "delivered": self.delivered, "fresh": self.fresh,
        }[what]

    def write(self):
        """Puts the mailbag on disk: the MBG, then the KEY."""
        for record, slot in enumerate(self.slots):
            bit = record % 8 if self.order == "lsb" else 7 - record % 8
            at = self.offset + (record // 8 ^ self.word - 1)
            self.key[at] &= 0xFF ^ 1 << bit
            self.key[at] |= ((slot is None) == bool(self.deleted)) << bit
        for what, offset, width, order in self.counters:
            value = self.count(what) % 256 ** width
            self.key[offset:offset + width] = value.to_bytes(width, order)
        for kind, content in (("MBG", self.mbg), ("KEY", self.key)):
            (self.top / kind / f"{self.mailbag}.{kind}").write_bytes(content)

    # ---- what the programs do

    def send(self, *, priority=3, receipt=False, attachments=0,
             subject="POFS", text="TEST"):
        """One message comes."""
        self.letter += 1
        stem = f"{self.letter:08X}"
        fields = b"\x7f\x05\x32\x20\x02" + bytes((priority, 0)) + \
            b"\x4c" + bytes((len(subject) + 3,)) + b"\x07\x02" + \
            bytes((len(subject),)) + subject.encode() + \
            b"\x4c" + bytes((len(text) + 3,)) + b"\x04\x02" + \
            bytes((len(text),)) + text.encode()
        size = 13 + len(fields)
        head = b"\x4d\x83" + (size - 5).to_bytes(3, "big") + \
            b"\x01\x7f\x05\x31\x20\x02" + b"\x01\x00"
        self.path("MAI", stem).write_bytes(head + fields)
        for _ in range(attachments):
            self.letter += 1
            self.path("ATT", f"{self.letter:08X}").write_bytes(b"attached")
        self._enter(stem, priority, receipt, attachments, subject, size)
        return stem

    def _enter(self, stem, *header):
        priority, receipt, attachments, subject, size = header
        record = bytearray(RECORD)
        record[0x02:0x09] = b"Martian"
        record[0x0D:0x0D + len(subject)] = subject.encode()
        record[0x36] = priority
        record[0x37] = receipt
        for at, number in ((0x38, 25), (0x3A, 16), (0x3C, 8), (0x3E, 10),
                           (0x40, 1993)):
            record[at:at + 2] = number.to_bytes(2, "little")
        record[0x43:0x4B] = stem.encode()
        record[0x4C] = attachments
        record[0x4E:0x52] = (size - 11).to_bytes(4, "little")
        record[0x6C:0x70] = (self.letter * 7919).to_bytes(4, "little")
        if None in self.slots:
            at = self.slots.index(None)
            self.slots[at] = Message(stem)
        else:
            at = len(self.slots)
            self.slots.append(Message(stem))
        self.mbg[at * RECORD:(at + 1) * RECORD] = record
        self.delivered += 1
        self.fresh += 1

    def deliver(self, messages):
        """As many come."""
        for _ in range(messages):
            self.send()
        self.write()

    def delete(self, record):
        """The owner deletes a message."""
        mai = self.path("MAI", self.slots[record].stem)
        if mai.exists():
            mai.unlink()
        self.slots[record] = None
        self.fresh = 0
        self.write()

    def read(self, record):
        """He reads one."""
        self.slots[record].is_read = True
        self.fresh = 0
        self.write()

    def compress(self):
        """ADMIN compresses the mailbag."""
        self.mbg = bytearray().join(
            self.mbg[at * RECORD:(at + 1) * RECORD]
            for at, slot in enumerate(self.slots) if slot is not None)
        self.slots = [slot for slot in self.slots if slot is not None]
        self.key[self.offset:self.offset + 512] = bytes(
            [0 if self.deleted else 0xFF] * 512)
        self.write()


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *words):
        self.fd, other = pty.openpty()
        self.process = subprocess.Popen(
            [str(word) for word in words], stdin=other, stdout=other,
            stderr=other)
        os.close(other)
        os.set_blocking(self.fd, False)
        self.text = ""
        self.is_over = False

    def read(self):
        """What it has printed so far."""
        try:
            text = os.read(self.fd, 65536).decode()
            self.text += text
            self.is_over = not text
        except BlockingIOError:
            pass
        except OSError:  # the other end is closed
            self.is_over = True
        return self.text

    def enter(self, line=""):
        """Types a line."""
        os.write(self.fd, line.encode() + b"\n")

    def close(self):
        """Its exit status."""
        status = self.process.wait(30)
        os.close(self.fd)
        return status


PROMPT = re.compile(r"(press Enter|as asked|for none|it again|after \"cc\"|"
                    r"for nothing|was it)[^\n]*[:?] $")


class Administrator:
    """Does what poctl learn asks for; `strays` are what else he does.

    A stray is {pattern of a prompt's text: function that is called instead of
    what is asked for}, once; what it returns is typed.
    """

    def __init__(self, copy, *words, strays=None, answers=()):
        self.copy = copy
        self.strays = dict(strays or {})
        self.answers = list(answers)
        self.said = ""
        self.terminal = Terminal(program("tools/poctl"), "learn", *words)

    def run(self):
        """Works until the program ends; its exit status."""
        terminal = self.terminal
        while True:
            wait_until(lambda: PROMPT.search(terminal.read()) or
                       terminal.is_over, "a prompt or the end")
            text = terminal.text.replace("\r\n", "\n")
            terminal.text = ""
            self.said += text
            if terminal.is_over and not PROMPT.search(text):
                return terminal.close()
            terminal.enter(self._answer(text))

    def _answer(self, text):
        for pattern in list(self.strays):
            if re.search(pattern, text):
                return self.strays.pop(pattern)(self.copy) or ""
        for pattern, answer in self.answers:
            if re.search(pattern, text):
                return answer(self.copy, text) or "" \
                    if callable(answer) else answer
        return self._do(text)

    def _do(self, text):
        found = re.search(r"Send (\d+) messages? to", text)
        if found:
            self.copy.deliver(int(found[1]))
            return ""
        found = re.search(r'(Delete|Read) the message .*\(record (\d+) of',
                          text)
        if found:
            getattr(self.copy, found[1].lower())(int(found[2]))
            return ""
        if "Nothing has changed." in text:
            return ""
        if "Storage Compress" in text:
            self.copy.compress()
            return ""
        if "Send one message" in text:
            self._send(text)
            return ""
        raise AssertionError(f"what does it want? {text}")

    def _send(self, text):
        wanted = {}
        found = re.search(r"with priority (\d)", text)
        if found:
            wanted["priority"] = int(found[1])
        found = re.search(r"with (\d) files? attached", text)
        if found:
            wanted["attachments"] = int(found[1])
        wanted["receipt"] = "return receipt" in text
        if "of 40 characters" in text:
            wanted["subject"] = "S" * 40
        if "100 characters longer" in text:
            wanted["text"] = "T" * 104
        self.copy.send(**wanted)
        self.copy.write()
