# SPDX-License-Identifier: BSD-2-Clause
r"""The programs that work an inqueue off, each with its own lock.

All deliver as Q85058 and Q77628 say: read KEY and MBG of the inqueue, P1, MAI;
for each recipient KEY, MBG, KEY; then delete the P1 and mark the header as
deleted in the inqueue's KEY. What tells them apart is a table, the attributes
of Mailer, and what an article says of each is in its class. "Assumed" is what
no article tells; it is then the weakest that the articles allow.
"""

import contextlib

import mail
from census import recipients_of, strings_of
from program import WHEN, Busy, Program, busy_if, key_path, mai_path, p1_path
from smb1 import Access, Deny, Error, Mode, SmbError

QUEUES = ("INQUEUE", "INQUEUE3")
ITEMS_PER_PASS = 50  # Q115490, Q199800
BATCH = 2
"""How many messages a program submits before it looks into the queues."""

HOST = "HOST"
"""The postoffice, as recipients' addresses have it, behind the gateway."""

HOST_BAG = "0000000F"
"""The mailbag for what others find in the inqueue for the host."""


class Missing(Exception):
    """A file of a message is not there."""

    def __init__(self, number, name):
        super().__init__(name)
        self.number = number  # of the report
        self.name = name


class Mailer(Program):
    """A program that works inqueues off, and submits messages of its own."""

    queue = "INQUEUE3"
    """Where it puts what it submits."""

    pickup = Access.READ, Deny.NONE
    """How it opens KEY and MBG of the inqueue to see what there is."""

    keeps_open = True
    """Whether it keeps them open until all is delivered."""

    update = Access.BOTH, Deny.NONE
    """How it opens the KEY once more to mark a header; None: it does not, and
    writes through the first handle."""

    deletes_p1_first = True
    """Whether the P1 goes before the header is marked."""

    # -- submitting

    def submit(self, message):
        """Puts a message into an inqueue. It is acknowledged when this
        returns."""
        with self.means("submit", key_path(self.queue),
                        message=message.subject,
                        recipients=list(message.recipients)):
            stem = self.persist(lambda: self.write_message(message))
            self.persist(lambda: self.enqueue(message.header(stem)))

    def enqueue(self, header):
        """The header into the queue, under the program's own lock."""
        with self.locked(self.queue) as lock:
            self.put(self.queue, header, is_last=lock is None)

    # -- working off

    @contextlib.contextmanager
    def locked(self, queue):
        """Holds what locks a queue beside its KEY: a lock file, or None."""
        lock = self.lock(queue)
        try:
            yield lock
        except Busy:
            self.unlock(queue, lock)
            raise
        self.unlock(queue, lock)

    def lock(self, queue):
        """Returns the open lock file, or None; raises Busy."""

    def unlock(self, queue, lock):
        """Gives back what lock() returned."""

    def work_off(self, queue):
        """One pass over a queue; raises Busy if somebody else has it.
        Returns how many messages it found."""
        with self.locked(queue) as lock:
            key_file, mbg_file = self.open_pair(queue, *self.pickup)
            bag = self.read_bag(queue, key_file, mbg_file)
            items = list(bag.live())[:ITEMS_PER_PASS]
            if not self.keeps_open:
                key_file.close()
                mbg_file.close()
            for item in items:
                self.pass_on(queue, bag, key_file, item)
            if self.keeps_open:
                key_file.close()
                self.close_last(mbg_file, lock is None)
            return len(items)

    def pass_on(self, queue, bag, key_file, item):
        """One message to its recipients, and out of the queue."""
        slot, subject, stem = item
        try:
            recipients, message = self.fetch(stem)
        except Missing as missing:
            self.report(missing.number, missing.name)
            self.mark(queue, bag, key_file, slot)
            return
        for recipient in recipients:
            self.deliver(recipient, subject, stem)
        if self.deletes_p1_first:
            self.delete_p1(stem)
            self.mark(queue, bag, key_file, slot)
        else:
            self.mark(queue, bag, key_file, slot)
            self.delete_p1(stem)

    def fetch(self, stem):
        """The recipients in the P1, and the message."""
        envelope = self._read_whole(p1_path(stem), "021")
        message = self._read_whole(mai_path(stem), "016")
        self.note("seen", mai_path(stem), stem=stem,
                  complete=mail.is_complete(message))
        return strings_of(envelope), message

    def _read_whole(self, name, number):
        try:
            return self.read_file(name)
        except SmbError as error:
            if error.code != Error.FILE_NOT_FOUND:
                raise
            raise Missing(number, name) from error

    def deliver(self, recipient, subject, stem):
        """The header into the recipient's mailbag."""
        office, _, bag = recipient.partition("/")
        if office == HOST:
            bag = HOST_BAG
        header = mail.Header("ANNA", subject, WHEN, stem)
        self.persist(lambda: self.put(bag, header))

    def delete_p1(self, stem):
        """The P1, which is "declared missing" if it is not there any more
        (Q103960)."""
        self.delete_or_report(p1_path(stem), "021")

    def delete_or_report(self, name, number):
        try:
            self.delete(name)
        except SmbError as error:
            if error.code != Error.FILE_NOT_FOUND:
                raise
            self.report(number, name)

    def mark(self, queue, bag, key_file, slot):
        """Marks a header as deleted. If somebody keeps the KEY locked it is
        not; the next cycle will see it again (Q136379)."""
        if self.update is None:
            self._write_mark(queue, bag, key_file, slot)
            return
        access, deny = self.update
        try:
            file = self.open_or_busy(key_path(queue), access, deny)
        except Busy as busy:
            self.report(str(busy.code), key_path(queue))
            return
        if access != Access.WRITE:
            bag.key = mail.Key(file.read(0, mail.KEY_SIZE))
        self._write_mark(queue, bag, file, slot)
        file.close()

    def _write_mark(self, queue, bag, file, slot):
        bag.remove(slot)
        self.write_key(queue, bag, file, may_publish=True)

    # -- all day

    def work(self, messages, is_last):
        """Submits messages, taking them out of the list, and works the queues
        off, until `is_last()` says that nobody submits any more and they are
        empty."""
        while True:
            for message in messages[:BATCH]:
                self.submit(message)
                messages.pop(0)
            # Asked before it looks: what comes later it might not see.
            is_over = is_last()
            if self.look_round() == 0 and is_over:
                return
            self.player.pause()

    def look_round(self):
        """A pass over each queue. Returns how many messages there were; at
        least one for a queue that somebody else has."""
        return sum(map(self._look, QUEUES))

    def _look(self, queue):
        try:
            return self.work_off(queue)
        except Busy:
            return 1


class External30(Mailer):
    """External 3.0 without -V20: share modes of the network (Q131422).

    Collects before it locks (Q103421 #1646): assumed that it reads with the
    KEY open, deny-none, and opens it once more, deny-write, to delete the
    header. If the KEY is locked open then it does not delete the header, but
    does delete the P1 (Q103960).
    """

    update = Access.BOTH, Deny.WRITE


class External32(Mailer):
    """External 3.2 or 3.5 without -V20: share modes (Q131422), and locks
    first (Q103421 #1646); keeps the P1 if the queue cannot be updated
    (Q136379). Assumed: deny-write, for two such keep each other out."""

    pickup = Access.BOTH, Deny.WRITE
    update = None
    deletes_p1_first = False


class LockFile:
    """Mixin: keeps others out with P1\\<queue>.0LK, open deny-all (Q103960)."""

    def lock_path(self, queue):
        return rf"P1\{queue}.0LK"

    def unlock(self, queue, lock):
        lock.close()
        with self.means("commit", lock.name):
            self.delete_or_report(lock.name, "0LK")


class External32Semaphore(LockFile, External32):
    """External 3.2 or 3.5 that locks an inqueue as an outgoing queue, with
    share modes and 0LK: create it or take what is there, open it deny-all, see
    that there are no older lock types (Q119642, Q128913)."""

    def lock(self, queue):
        with busy_if(Error.SHARING_VIOLATION, Error.FILE_EXISTS):
            lock = self.open(self.lock_path(queue), Access.BOTH, Deny.ALL,
                             Mode.CREATE | Mode.OPEN)
        if self.has_older_lock(queue):
            self.unlock(queue, lock)
            raise Busy("an older lock type")
        return lock

    def has_older_lock(self, queue):
        """Whether a 2.1's P1\\<queue>.0nn is there."""
        pattern = rf"P1\{queue}.0??"
        with self.operation("find", pattern) as facts:
            names = [entry.name
                     for entry in self.client.search(self.path(pattern))]
            facts["found"] = any(name[-2:].isdigit() for name in names)
        return facts["found"]


class ExternalV20(LockFile, Mailer):
    """External with -V20: "file creation, detection, and deletion" (Q131422);
    the file is open deny-all meanwhile (Q103960). Assumed: INQUEUE.0LK, the
    one that the article names, locks both queues; KEY and MBG are opened only
    to read and to write them, deny-none, as it is the file that locks; header
    and P1 go in the order of 3.2."""

    keeps_open = False
    deletes_p1_first = False

    def lock_path(self, queue):
        return super().lock_path("INQUEUE")

    def lock(self, queue):
        name = self.lock_path(queue)
        if self.exists(name):
            raise Busy("the lock file exists")
        with busy_if(Error.SHARING_VIOLATION, Error.FILE_EXISTS):
            return self.open(name, Access.BOTH, Deny.ALL, Mode.CREATE)


class FfapiMailer(Mailer):
    """FFAPI 3.0: the pair stays open during the whole delivery, and the P1
    goes before the KEY is written (Q85058, Q136379). Assumed: deny-none."""

    queue = "INQUEUE"


class ProfsGateway(Mailer):
    """PROFS gateway 2.1g: locks the inqueue with READ, DENY_READ, knows no 0LK,
    and deletes MAI and P1 of what it takes to its host (Q103960). Assumed: it
    opens the KEY to write it deny-none, and delivers what is not for the host
    as FFAPI does."""

    queue = "INQUEUE"
    pickup = Access.READ, Deny.READ
    update = Access.WRITE, Deny.NONE

    def deliver(self, recipient, subject, stem):
        if recipient.startswith(HOST):
            self.hand_to_host(recipient, subject, stem)
        else:
            super().deliver(recipient, subject, stem)

    def hand_to_host(self, recipient, subject, stem):
        office, _, bag = recipient.partition("/")
        self.history.note(self.program, "take", rf"{office}\KEY\{bag}.KEY",
                          message=subject)
        self.delete_or_report(mai_path(stem), "016")

    def look_round(self):
        return super().look_round() + self.work_off_host_bag()

    def work_off_host_bag(self):
        """GET: what others have put into the gateway's own mailbag (Q85058).
        Returns how many messages there were."""
        key_file, mbg_file = self.persist(lambda: self.open_pair(HOST_BAG))
        bag = self.read_bag(HOST_BAG, key_file, mbg_file)
        items = list(bag.live())
        for slot, subject, stem in items:
            for recipient in recipients_of(self.read_file(mai_path(stem))):
                self.hand_to_host(recipient, subject, stem)
            bag.remove(slot)
            self.write_key(HOST_BAG, bag, key_file)
        mbg_file.close()
        self.close_last(key_file)
        return len(items)
