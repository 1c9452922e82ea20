# SPDX-License-Identifier: BSD-2-Clause
"""A mailer works the inqueue off, in one transaction; and what becomes of that
when others wait for what it has done with."""

import os

import pytest

from postoffice import HEADER, KEY

LOCK_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL

MESSAGES = 20


class Mailer:
    """Moves messages from the inqueue to mailbags: header, envelope, KEY."""

    def __init__(self, actor, office, lock="open"):
        self.actor = actor
        self.office = office
        self.lock = lock
        self.done = 0
        self.queue = None
        self.key = None

    def begin(self):
        """Takes the inqueue."""
        if self.lock == "lock file":
            self.actor.call("os.close", self.actor.call(
                "os.open", self.office.lock_file("INQUEUE3.0LK"), LOCK_FILE))
        else:
            self.queue = self.actor.call(
                "os.open", self.office.key("INQUEUE3"), os.O_RDWR)

    def open(self, mailbag):
        """Begins to append to a mailbag."""
        self.key = self.actor.call("os.open", self.office.key(mailbag),
                                   os.O_RDWR)
        self.actor.call("client.append", self.office.mbg(mailbag), HEADER)
        self.actor.call("os.pwrite", self.key, b"\1", 0)

    def close(self):
        """The header is in the mailbag."""
        self.actor.call("os.close", self.key)

    def remove_envelope(self):
        """It is done with the message."""
        self.actor.call("os.unlink", envelope(self.office, self.done))

    def write_queue(self):
        """The inqueue does not have it any more."""
        self.done += 1
        if self.queue is not None:
            self.actor.call("os.pwrite", self.queue, bytes([self.done]), 0)
        else:
            self.actor.call("client.overwrite", self.office.key("INQUEUE3"),
                            bytes([self.done]))

    def move(self, mailbag):
        """One whole message."""
        self.open(mailbag)
        self.close()
        self.remove_envelope()
        self.write_queue()

    def end(self):
        """Lets go of the inqueue."""
        if self.queue is not None:
            self.actor.call("os.close", self.queue)
        else:
            self.actor.call("os.unlink",
                            self.office.lock_file("INQUEUE3.0LK"))


def envelope(office, number):
    """The P1 of a message."""
    return office.path / "P1" / f"{number:08X}.P1"


def moved(actor, office, *mailbags):
    """How many messages somebody sees in mailbags, and out of P1: one
    number, or else some are in two places or in none."""
    headers = sum(actor.call("os.stat", office.mbg(mailbag)).st_size
                  for mailbag in mailbags) // len(HEADER)
    envelopes = sum(name.endswith(".P1") for name in
                    actor.call("os.listdir", office.path / "P1"))
    assert headers == MESSAGES - envelopes
    return headers


@pytest.fixture(params=["open", "lock file"])
def mailer(request, a, office):
    """A mailer that is about to begin, and messages for it."""
    for number in range(MESSAGES):
        envelope(office, number).write_bytes(b"envelope")
    made = Mailer(a, office, request.param)
    made.begin()
    return made


def wait_for(actor, office, mailbag):
    """Lets a client wait for a mailbag."""
    actor.start("os.open", office.key(mailbag), os.O_RDWR)
    actor.wait_blocked()


def test_a_pass_is_one_transaction_if_nobody_waits(b, office, mailer):
    for number in range(MESSAGES):
        mailer.move("AB"[number % 2])
        assert moved(b, office, "A", "B") == 0
        assert b.call("client.get", office.key("A")) == KEY
    mailer.end()
    assert moved(b, office, "A", "B") == MESSAGES
    assert b.call("client.get", office.key("INQUEUE3"))[:1] == \
        bytes([MESSAGES])


def test_who_waits_is_let_in_after_a_whole_message(b, office, mailer):
    mailer.open("A")
    wait_for(b, office, "A")
    for step in (mailer.close, mailer.remove_envelope):
        step()
        assert not b.is_done()
    mailer.write_queue()
    fd = b.result()
    assert moved(b, office, "A") == 1
    # The mailer has kept its queue, and goes on.
    mailer.move("B")
    assert moved(b, office, "A", "B") == 1
    b.call("os.pwrite", fd, b"\3", 0)
    b.call("os.close", fd)
    mailer.move("A")
    mailer.end()
    assert moved(b, office, "A", "B") == 3


@pytest.mark.parametrize("mailer", ["open"], indirect=True)
def test_others_wait_for_the_queue_meanwhile(b, c, office, mailer):
    mailer.open("A")
    wait_for(b, office, "A")
    wait_for(c, office, "INQUEUE")
    mailer.close()
    mailer.remove_envelope()
    mailer.write_queue()
    b.result()
    assert not c.is_done()
    mailer.end()
    c.result()
    assert c.call("client.get", office.key("INQUEUE3"))[:1] == b"\1"


def test_who_comes_between_two_messages_is_let_in_at_once(b, office, mailer):
    mailer.move("A")
    mailer.move("B")
    assert moved(b, office, "A", "B") == 0
    b.call("os.open", office.key("A"), os.O_RDWR)
    assert moved(b, office, "A", "B") == 2


@pytest.mark.parametrize("attribute", ["time", "extended"])
def test_attributes_are_no_half_of_a_message(b, office, mailer, attribute):
    """smbd sets them when a file that was written is closed."""
    mailer.move("A")
    for _ in range(2):  # the second time nothing else has changed
        for path in (office.key("A"), office.key("INQUEUE3")):
            if attribute == "time":
                mailer.actor.call("os.utime", path)
            else:
                mailer.actor.call("os.setxattr", path, "user.X", b"x")
        b.call("os.close", b.call("os.open", office.key("A"), os.O_RDWR))
        assert moved(b, office, "A", "B") == 1


@pytest.mark.parametrize("step", ["open", "close", "remove_envelope"])
def test_a_mailer_that_dies_has_moved_whole_messages(b, office, mailer, step):
    """Never is the envelope gone while the queue still points to it."""
    mailer.move("B")
    mailer.open("A")
    wait_for(b, office, "A")
    if step != "open":
        mailer.close()
    if step == "remove_envelope":
        mailer.remove_envelope()
    assert not b.is_done()
    mailer.actor.kill()
    b.result()
    # Nothing was committed, as nobody had waited before.
    assert moved(b, office, "A", "B") == 0
    assert b.call("client.get", office.key("INQUEUE3")) == KEY


def test_a_mailer_that_dies_keeps_what_was_let_go(b, office, mailer):
    mailer.move("A")
    b.call("os.close", b.call("os.open", office.key("A"), os.O_RDWR))
    assert moved(b, office, "A", "B") == 1
    mailer.open("B")
    mailer.close()
    mailer.remove_envelope()
    mailer.actor.kill()
    fd = b.call("os.open", office.key("INQUEUE3"), os.O_RDWR) \
        if mailer.lock == "open" else b.call(
            "client.create_soon", office.lock_file("INQUEUE3.0LK"))
    assert moved(b, office, "A", "B") == 1
    assert b.call("client.get", office.key("INQUEUE3"))[:1] == b"\1"
    b.call("os.close", fd)


def test_a_message_that_is_still_written_is_waited_for(b, office, mailer):
    """Content before index, under pressure too."""
    mai = mailer.actor.call("os.open", office.mai, os.O_RDWR | os.O_CREAT)
    mailer.actor.call("os.write", mai, b"first half, ")
    mailer.open("A")
    wait_for(b, office, "A")
    mailer.close()
    mailer.remove_envelope()
    mailer.write_queue()
    assert not b.is_done()
    mailer.actor.call("os.write", mai, b"second half")
    mailer.actor.call("os.close", mai)
    mailer.write_queue()
    b.result()
    assert b.call("client.get", office.mai) == b"first half, second half"


def test_a_client_reads_while_the_mailer_works(b, c, office, mailer):
    """It wants the mailbags again and again, and never sees half a message;
    a reader who takes no lock does neither."""
    seen = set()
    b.start("client.open_often", office.key("A"), 10 ** 9)
    for number in range(MESSAGES):
        mailer.move("AB"[number % 2])
        seen.add(moved_or_none(c, office))
    mailer.end()
    seen.discard(None)
    assert seen and not b.is_done()
    assert moved(c, office, "A", "B") == MESSAGES


def moved_or_none(actor, office):
    """As moved(); but it takes three looks, and a commit may come between."""
    before = sizes(actor, office)
    try:
        return moved(actor, office, "A", "B")
    except AssertionError:
        if sizes(actor, office) == before:
            raise
        return None


def sizes(actor, office):
    """How much is in the mailbags."""
    return [actor.call("os.stat", office.mbg(mailbag)).st_size
            for mailbag in "AB"]


def test_a_mailbag_that_is_half_changed_is_waited_for(a, b, office):
    """Also by one who wants only another one."""
    key = a.call("os.open", office.key("B"), os.O_RDWR)
    a.call("client.append", office.mbg("A"), HEADER)
    a.call("client.append", office.mbg("B"), HEADER)
    wait_for(b, office, "A")
    assert b.is_done() is False
    assert office.mbg("B").stat().st_size == 0
    a.call("os.pwrite", key, b"\1", 0)
    assert office.mbg("B").stat().st_size == 0
    a.call("os.close", key)
    b.result()
    assert office.mbg("B").stat().st_size == len(HEADER)
