# SPDX-License-Identifier: BSD-2-Clause
r"""What the mail programs have in common.

A program is a Machine that waits for its turn before each request (turns.py),
and whose parts are the steps of the published traces: take a number from
CONTROL.GLB (Q87386), create MAI and P1, put a header into a mailbag, work a
queue off (Q85058, Q77628). How it locks the queue is what tells the programs
apart; see mailer.py.

Where no article tells the deny mode of an open it is deny-none here, the
weakest: what the server must keep apart, these programs do not.
"""

import contextlib
import dataclasses
import datetime

import mail
from history import state_of
from machine import Machine
from smb1 import Access, Deny, Error, Mode, SmbError

WHEN = datetime.datetime(1994, 8, 6, 12, 0)

_SUBJECT = 1  # of a decoded header
_STEM = 2


class Busy(Exception):
    """Somebody else has the queue: try again in the next cycle."""

    def __init__(self, what, code=0):
        super().__init__(what)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Message:
    """A message to be submitted; its subject is its name for ever."""

    subject: str
    recipients: tuple  # "PO/0000000A": a postoffice and a mailbag
    text: str = "Please find it here.\r\n"

    def encode(self):
        return mail.encode_message("LAB/ANNA", self.recipients, self.subject,
                                   WHEN, self.text)

    def header(self, stem):
        return mail.Header("ANNA", self.subject, WHEN, stem)


@dataclasses.dataclass
class Bag:
    """What a program read of a mailbag, under one lock or not."""

    key: mail.Key
    content: bytes  # of the MBG

    @property
    def records(self):
        return len(self.content) // mail.RECORD_SIZE

    @property
    def state(self):
        return state_of(self.key.encode(), self.content)

    def live(self):
        """(slot, subject, stem) of each live header."""
        for slot in self.key.live_slots(self.records):
            at = slot * mail.RECORD_SIZE
            record = mail.decode_header(
                self.content[at:at + mail.RECORD_SIZE])
            yield slot, record[_SUBJECT], record[_STEM]

    def add(self, header):
        """Puts a header into the first vacant slot. Returns the slot."""
        slot = self.key.vacant_slot(self.records)
        at = slot * mail.RECORD_SIZE
        self.content = (self.content[:at] + header.encode()
                        + self.content[at + mail.RECORD_SIZE:])
        self.key.mark_deleted(slot, False)
        self.key.new_items += 1
        return slot

    def remove(self, slot):
        self.key.mark_deleted(slot, True)
        # Who overtook the program may have counted it already.
        self.key.new_items = max(self.key.new_items - 1, 0)


@contextlib.contextmanager
def busy_if(*codes):
    """Turns these DOS errors into Busy."""
    try:
        yield
    except SmbError as error:
        if error.code in codes:
            raise Busy(str(error), error.code) from error
        raise


def key_path(bag):
    return rf"KEY\{bag}.KEY"


def mbg_path(bag):
    return rf"MBG\{bag}.MBG"


def mai_path(stem):
    return rf"MAI\MA{stem[-1]}\{stem}.MAI"


def p1_path(stem):
    return rf"P1\{stem}.P1"


class Program(Machine):
    """One mail program in one postoffice."""

    def __init__(self, client, player, history, office):
        super().__init__(client, player.name, history, office)
        self.player = player

    @contextlib.contextmanager
    def operation(self, operation, name, **facts):
        """A request: when it is this program's turn."""
        self.player.turn(operation, name)
        with super().operation(operation, name, **facts) as told:
            yield told

    def means(self, operation, name, **facts):
        """What requests mean, for the history; takes no turn."""
        return self.history.operation(self.program, operation,
                                      self.path(name), **facts)

    def report(self, number, name):
        """A notice to the Postmaster, as SYSTEM.LOG has it."""
        self.note("report", name, number=number)

    # -- parts

    def open_or_busy(self, name, access=Access.BOTH, deny=Deny.NONE):
        """Opens a file; raises Busy if a deny mode or the server forbids."""
        with busy_if(Error.SHARING_VIOLATION):
            return self.open(name, access, deny)

    def open_pair(self, bag, access=Access.BOTH, deny=Deny.NONE):
        """A mailbag's KEY and MBG, in this order; both or none."""
        key_file = self.open_or_busy(key_path(bag), access, deny)
        try:
            return key_file, self.open_or_busy(mbg_path(bag), access, deny)
        except Busy:
            key_file.close()
            raise

    def take_number(self):
        """A new stem and its MAI file, open and empty (Q87386): the file is
        created, not created anew, so that CONTROL.GLB alone keeps two
        programs from one number."""
        control = r"GLB\CONTROL.GLB"
        with self.means("number", control) as facts, \
                self.open_or_busy(control) as file:
            number = int.from_bytes(file.read(4, 4), "little") + 1
            stem = f"{number:08X}"
            message = self.open(mai_path(stem),
                                mode=Mode.CREATE | Mode.TRUNCATE)
            file.write(4, number.to_bytes(4, "little"))
            facts["number"] = number
        return stem, message

    def write_message(self, message):
        """MAI and P1, as yet in no queue. Returns the stem."""
        stem, file = self.take_number()
        with file:
            file.write(0, message.encode())
        with self.open(p1_path(stem),
                       mode=Mode.CREATE | Mode.TRUNCATE) as file:
            file.write(0, mail.encode_envelope(message.recipients))
        return stem

    def read_bag(self, bag, key_file, mbg_file):
        """A mailbag from its open files."""
        with self.means("view", key_path(bag)) as facts:
            key = mail.Key(key_file.read(0, mail.KEY_SIZE))
            found = Bag(key, mbg_file.read(0, mbg_file.size))
            facts["state"] = found.state
        return found

    def write_key(self, bag, found, key_file, may_publish=False):
        """The last write of a change to a mailbag. `may_publish` says that
        from here on the server is free to publish all changes so far, because
        somebody else may wait."""
        self.note("stage", key_path(bag), state=found.state)
        if may_publish:
            self.history.begin(self.program, "commit")
        key_file.write(0, found.key.encode())

    def put(self, bag, header, is_last=False):
        """Header into a mailbag: KEY for the slot, MBG, KEY (Q85058).

        `is_last` says that nothing stays locked after it.
        """
        key_file, mbg_file = self.open_pair(bag)
        found = self.read_bag(bag, key_file, mbg_file)
        slot = found.add(header)
        mbg_file.write(slot * mail.RECORD_SIZE, header.encode())
        mbg_file.close()
        self.write_key(bag, found, key_file)
        self.close_last(key_file, is_last)

    def close_last(self, file, is_last=True):
        """A close with which, unless something else stays locked, all that
        was changed becomes everybody's."""
        if not is_last:
            file.close()
            return
        with self.means("commit", file.name):
            file.close()

    def persist(self, attempt):
        """Makes an attempt each cycle until it is let in."""
        while True:
            try:
                return attempt()
            except Busy:
                self.player.pause()
