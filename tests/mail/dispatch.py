# SPDX-License-Identifier: BSD-2-Clause
r"""Dispatch: the part of External that empties outgoing queues.

On a LAN one External does both ends: it reads its own postoffice's queue and
writes the other postoffice's inqueue, in the order of Q119642 and Q77628.
"""

import string

import mail
from census import recipients_of
from mailer import External32Semaphore
from program import Message, Program, key_path, mai_path
from smb1 import Access, Deny, Error, Mode, SmbError

_SUFFIXES = [f"P{a}{b}" for a in string.ascii_uppercase[1:]
             for b in string.ascii_uppercase[1:]]
"""Of a session's envelopes: PBB to PZZ, of which there are more than 500
(assumed: no A in them)."""


class Dispatch(External32Semaphore):
    """External 3.2 or 3.5 between two postoffices of one share.

    The queue is locked by its 0LK and a session's envelopes by LOCKP1ID
    (Q119642). Assumed: KEY and MBG are opened only to read and to write them.
    """

    def __init__(self, client, player, history, office):
        super().__init__(client, player, history, office)
        self.other = None  # a Program in the other postoffice

    def to(self, office):
        """Names the other postoffice."""
        self.other = Program(self.client, self.player, self.history, office)
        return self

    def queue_message(self, bag, message):
        """What a client does that sends to the other postoffice: MAI, and a
        header in the queue."""
        with self.means("submit", key_path(bag), message=message.subject,
                        recipients=list(message.recipients)):
            stem, file = self.persist(self.take_number)
            with file:
                file.write(0, message.encode())
            self.persist(lambda: self.put(bag, message.header(stem),
                                          is_last=True))

    def move(self, bag):
        """Everything in a queue to the other postoffice; raises Busy if
        another External has it."""
        with self.locked(bag):
            reserved, suffix = self._reserve_suffix()
            key_file, mbg_file = self.persist(lambda: self.open_pair(
                bag, Access.READ, Deny.NONE))
            found = self.read_bag(bag, key_file, mbg_file)
            key_file.close()
            mbg_file.close()
            items = list(found.live())
            for _, _, stem in items:
                self.write_file(rf"P1\{stem}.{suffix}",
                                mail.encode_envelope([]))
            for slot, subject, stem in items:
                self._send(subject, stem)
                self._remove(bag, found, slot, stem)
                self.delete(rf"P1\{stem}.{suffix}")
            reserved.close()
            self.delete(reserved.name)

    def _reserve_suffix(self):
        """Creates LOCKP1ID.Pxx with the first suffix that nobody has."""
        for suffix in _SUFFIXES:
            try:
                return self.open(rf"P1\LOCKP1ID.{suffix}", Access.BOTH,
                                 Deny.ALL, Mode.CREATE), suffix
            except SmbError as error:
                if error.code not in (Error.FILE_EXISTS,
                                      Error.SHARING_VIOLATION):
                    raise
        raise AssertionError("no suffix is free")

    def _send(self, subject, stem):
        """MAI, P1, then INQUEUE3 of the other postoffice."""
        content = self.read_file(mai_path(stem))
        self.note("seen", mai_path(stem), stem=stem,
                  complete=mail.is_complete(content))
        message = Message(subject, tuple(recipients_of(content)))
        there = self.persist(lambda: self.other.write_message(message))
        self.persist(lambda: self.other.put("INQUEUE3",
                                            message.header(there)))

    def _remove(self, bag, found, slot, stem):
        """The header, and the message that had this one owner."""
        file = self.persist(lambda: self.open_or_busy(
            key_path(bag), Access.BOTH, Deny.WRITE))
        found.key = mail.Key(file.read(0, mail.KEY_SIZE))
        found.remove(slot)
        self.write_key(bag, found, file)
        file.close()
        self.delete(mai_path(stem))
