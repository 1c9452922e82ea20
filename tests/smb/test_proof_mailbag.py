# SPDX-License-Identifier: BSD-2-Clause
"""Clients that change a mailbag at once lose nothing (Q212756, Q101749,
Q104423).

Two clients that send to one mailbag both see the same vacant record. ADMIN's
compress lets readers in while MBG and KEY do not fit together. The owner count
of a message is decremented in place by everybody who deletes it. Nobody is
kept apart by deny modes here, so on a plain directory the tests steer the
programs to where it goes wrong; on pofs the same programs do no harm.
"""

import itertools
import os

import pytest

from census import Census
from checker import check, judge
from clients import Compressor, Reader, Sender
from history import History
from hub import USERS, Crew, Hub
from place import ONLY_PLAIN, ONLY_POFS
from program import Message, key_path, mai_path, mbg_path
from turns import Turns

BAG = USERS[0]
FIRST = f"{1:08X}"
"""The stem of an office's first message."""

SEED = int(os.environ.get("POFS_SEED", "1"))
OWNERS = 300  # Q104423


@pytest.fixture
def hub(place, office):
    return Hub(place, office, History())


@pytest.fixture
def turns():
    print(f"POFS_SEED={SEED}")
    with Turns(SEED) as made:
        yield made


@pytest.fixture
def crew(hub, server, turns):
    with Crew(hub, server, turns) as made:
        yield made


def message(hub, subject, *bags):
    return Message(subject, tuple(map(hub.address, bags or [BAG])))


def wrong(hub):
    """Every fault of the run."""
    census = Census()
    census.count(hub.office.path, hub.office.name)
    return judge(hub.history, census)


def has(verdicts, words):
    return any(words in verdict for verdict in verdicts)


# ---- two senders ------------------------------------------------------------


def two_senders(hub, crew, turns):
    """The second begins and ends while the first has read, and written
    nothing; if the server makes it wait, then after the first."""
    first, second = (
        crew.join(Sender, name, lambda it, name=name: it.submit(
            message(hub, f"FROM {name}"))) for name in ("A", "B"))
    turns.advance(first, "write", mbg_path(BAG))
    turns.finish_or_wait(second)
    turns.finish(first)
    turns.finish(second)
    return wrong(hub)


@ONLY_PLAIN
def test_of_two_senders_to_a_plain_directory_one_loses(hub, crew, turns):
    verdicts = two_senders(hub, crew, turns)
    assert has(verdicts, f"FROM B for {hub.address(BAG)}, acknowledged")
    assert has(verdicts, "lost")
    assert has(verdicts, "was held twice")


@ONLY_POFS
def test_of_two_senders_to_pofs_both_deliver(hub, crew, turns):
    check(hub.history, two_senders(hub, crew, turns))


# ---- compress ---------------------------------------------------------------


def prepare(hub, crew, turns):
    """A mailbag with three headers, of which the first is deleted."""
    def work(sender):
        for number in range(3):
            sender.submit(message(hub, f"MESSAGE {number}"))
    turns.finish(crew.join(Sender, "S", work))
    turns.finish(crew.join(Reader, "R", lambda it: it.take_one(BAG)))


def compress_and_look(hub, crew, turns):
    """A reader looks when MBG has been rewritten and KEY has not. Returns what
    it took for mail."""
    prepare(hub, crew, turns)
    seen = []
    admin = crew.join(Compressor, "ADMIN", lambda it: it.compress(BAG))
    turns.advance(admin, "write", key_path(BAG))
    reader = crew.join(Reader, "READER",
                       lambda it: seen.extend(it.poll(BAG)))
    turns.finish(reader)
    turns.finish(admin)
    return seen


@ONLY_PLAIN
def test_a_reader_sees_a_plain_directory_half_compressed(hub, crew, turns):
    seen = compress_and_look(hub, crew, turns)
    # Record 0 is deleted for the old KEY, and is live in the new MBG.
    assert seen == [f"{3:08X}"]
    assert has(wrong(hub), "READER saw in")


@ONLY_POFS
def test_a_reader_sees_pofs_before_the_compress(hub, crew, turns):
    seen = compress_and_look(hub, crew, turns)
    assert seen == [f"{2:08X}", f"{3:08X}"]
    check(hub.history, wrong(hub))


@ONLY_POFS
def test_a_sender_waits_for_a_compress(hub, crew, turns):
    prepare(hub, crew, turns)
    admin = crew.join(Compressor, "ADMIN", lambda it: it.compress(BAG))
    turns.advance(admin, "write", key_path(BAG))
    sender = crew.join(Sender, "LATE",
                       lambda it: it.submit(message(hub, "LATE")))
    assert not turns.finish_or_wait(sender)
    turns.finish(admin)
    turns.finish(sender)
    check(hub.history, wrong(hub))


@ONLY_POFS
def test_all_of_them_at_random(hub, crew, turns):
    """Four senders, a reader that deletes, and compress over and over."""
    count = 8

    def send(sender):
        for number in range(count):
            sender.submit(message(hub, f"{sender.program}{number}",
                                  BAG, USERS[1]))

    def read(reader):
        while not all(sender.is_ended for sender in senders):
            reader.take_all(BAG)
            reader.player.pause()
        reader.take_all(BAG)

    def compress(admin):
        for _ in range(count):
            admin.persist(lambda: admin.compress(BAG))
            admin.player.pause()

    senders = [crew.join(Sender, name, send) for name in "ABCD"]
    crew.join(Reader, "READER", read)
    crew.join(Compressor, "ADMIN", compress)
    turns.run()
    check(hub.history, wrong(hub))
    # Each message still has its other owner.
    assert len(list(hub.office.path.glob("MAI/MA?/*.MAI"))) == 4 * count


# ---- owners -----------------------------------------------------------------


def two_deletions(hub, crew, turns):
    """Both have read the count before either has written it."""
    turns.finish(crew.join(Sender, "S", lambda it: it.submit(
        message(hub, "FOR ALL", *USERS[:3]))))
    readers = [crew.join(Reader, f"R{number}",
                         lambda it, bag=USERS[number]: it.take_one(bag))
               for number in range(2)]
    mai = mai_path(FIRST)
    # Each writes its KEY, then opens, reads and writes the MAI.
    turns.advance(readers[0], "write", mai)
    turns.finish_or_wait(readers[1])
    for reader in readers:
        turns.finish(reader)
    return wrong(hub)


@ONLY_PLAIN
def test_a_plain_directory_loses_an_owner_too_few(hub, crew, turns):
    verdicts = two_deletions(hub, crew, turns)
    assert has(verdicts, f"{FIRST}.MAI counts 2 owners and has 1"), verdicts


@ONLY_POFS
def test_pofs_counts_each_owner(hub, crew, turns):
    check(hub.history, two_deletions(hub, crew, turns))


@ONLY_POFS
def test_300_owners_delete_a_message(hub, crew, place):
    """Eight clients at once, each with its share of the mailbags, one of
    which keeps the message to the end."""
    bags = [f"{number:08X}" for number in range(0x100, 0x100 + OWNERS)]
    hub.add(bags)
    with Turns(SEED) as sending:
        crew.turns = sending
        sending.finish(crew.join(Sender, "S", lambda it: it.submit(
            message(hub, "FOR ALL", *bags))))
    with Turns(SEED) as deleting:
        crew.turns = deleting
        for number in range(8):
            mine = itertools.islice(bags, number, OWNERS - 1, 8)
            crew.join(Reader, f"R{number}", lambda it, mine=list(mine): [
                it.take_all(bag) for bag in mine])
        deleting.run()
    check(hub.history, wrong(hub))
    mai = hub.office.path / "MAI" / "MA1" / f"{FIRST}.MAI"
    assert mai.read_bytes()[0x0B:0x0D] == b"\1\0"
    with Turns(SEED) as last:
        crew.turns = last
        last.finish(crew.join(Reader, "LAST",
                              lambda it: it.take_all(bags[-1])))
    check(hub.history, wrong(hub))
    assert not mai.exists()
