# SPDX-License-Identifier: BSD-2-Clause
"""A delivery and a pickup by a Windows program under Wine, and by a DOS program
under DOSBox: what holds for both."""

import concurrent.futures
import json

import pytest

from census import Census
from clients import Reader, Sender
from harness import poctl, wait_until
from program import Message
from smb1 import Access
from solo import Solo

ANNA = "PO/A"
MESSAGE = Message("Budget", (ANNA,), "The figures.\r\n" * 200)
STEM = "00000001"

SYSTEMS = ("windows", "dos")


@pytest.fixture(params=SYSTEMS)
def client(start, request):
    """A program of each system."""
    return getattr(start, request.param)()


def census(office):
    """What is in the postoffice, which must be whole."""
    found = Census()
    found.count(office.path, "PO")
    assert found.faults == []
    return found


class Watched(Solo):
    """A player who looks, before each request, what others see."""

    def __init__(self, office):
        super().__init__("WATCHED")
        self._office = office
        self.seen = []

    def turn(self, operation, name=""):
        found = census(self._office)
        mai = self._office.path / "MAI/MA1" / f"{STEM}.MAI"
        self.seen.append((found.delivered[ANNA, MESSAGE.subject],
                          mai.exists()))


def test_a_delivery_and_a_pickup_are_seen_at_once_and_whole(
        client, program, office):
    player = Watched(office)
    program(Sender, client, player).submit(MESSAGE)
    # The MAI is a transaction of its own, and everybody's when it is closed.
    assert {delivered for delivered, _ in player.seen} == {0}
    assert census(office).delivered == {(ANNA, MESSAGE.subject): 1}

    player = Watched(office)
    assert program(Reader, client, player).take_one("A") == MESSAGE.subject
    assert set(player.seen) == {(1, True)}
    assert not census(office).delivered
    assert not (office.path / "MAI/MA1" / f"{STEM}.MAI").exists()


class Killed(Exception):
    """The program was killed, as it was told."""


class Mortal(Solo):
    """A player who is killed before it closes the KEY, the last thing that
    it does."""

    def __init__(self, client):
        super().__init__("MORTAL")
        self._client = client

    def turn(self, operation, name=""):
        if operation == "close" and name.endswith("A.KEY"):
            self._client.kill()
            raise Killed


def quarantined(store):
    """The files of the only entry, once it is on the disk."""
    (reason, files), = wait_until(store.undone, "it is undone")
    assert "killed" in reason
    return files


def test_nothing_of_a_delivery_whose_program_is_killed(
        client, program, office, store):
    with pytest.raises(Killed):
        program(Sender, client, Mortal(client)).submit(MESSAGE)
    # Whoever takes the lock after it finds all as it was.
    with open(office.key("A"), "r+b"):
        assert not census(office).delivered
    assert set(quarantined(store)) <= {"/PO/KEY/A.KEY", "/PO/MBG/A.MBG"}


def test_nothing_of_a_pickup_whose_program_is_killed(
        client, program, office, store):
    program(Sender, client).submit(MESSAGE)
    with pytest.raises(Killed):
        program(Reader, client, Mortal(client)).take_one("A")
    with open(office.key("A"), "r+b"):
        assert census(office).delivered == {(ANNA, MESSAGE.subject): 1}
    assert quarantined(store)[f"/PO/MAI/MA1/{STEM}.MAI"] == "removed"


def has_waiter(store):
    """Whether somebody waits for a lock."""
    told = json.loads(poctl("locks", "--json", store.path).stdout)
    return any(lock["waiters"] for lock in told["locks"])


@pytest.mark.parametrize("first, second", [SYSTEMS, SYSTEMS[::-1]])
def test_who_opens_a_mailbag_in_use_waits_and_sees_what_was_done(
        first, second, start, office, store):
    first, second = getattr(start, first)(), getattr(start, second)()
    with first.open(r"PO\KEY\A.KEY") as file:
        second.start_open(r"PO\KEY\A.KEY")
        wait_until(lambda: has_waiter(store), "the second one waits")
        file.write(0, b"\1")
    with second.opened() as file:
        assert file.read(0, 1) == b"\1"


def test_who_only_reads_a_mailbag_in_use_does_not_wait(start, office):
    with start.windows().open(r"PO\KEY\A.KEY") as file:
        file.write(0, b"\1")
        for other in start.windows(), start.dos():
            with other.open(r"PO\KEY\A.KEY", Access.READ) as its:
                assert its.read(0, 1) == b"\0"


def test_many_deliver_and_one_picks_up(start, program, office):
    senders = [start.windows(), start.windows(), start.dos()]
    reader = program(Reader, start.dos())
    messages = [[Message(f"{n} {m}", (ANNA,)) for m in range(3)]
                for n in range(len(senders))]

    def send(client, mine):
        sender = program(Sender, client)
        for message in mine:
            sender.submit(message)

    taken = []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        sent = [pool.submit(send, *pair) for pair in zip(senders, messages)]
        while not all(one.done() for one in sent):
            taken += reader.take_all("A")
        for one in sent:
            one.result()
    taken += reader.take_all("A")
    assert sorted(taken) == sorted(
        message.subject for mine in messages for message in mine)
    assert census(office).copies() == []
