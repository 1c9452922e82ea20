# SPDX-License-Identifier: BSD-2-Clause
"""An inqueue's KEY that somebody "locked open" costs nobody mail (Q103960).

Version 3.0 of External cannot delete a header if INQUEUE3.KEY is locked open
just then, but deletes the message's P1: the header stays, and the next pass
reports that the routing file is missing, of a message that was delivered. On
pofs who has begun to work a queue off is the only one who has its KEY open.
"""

import pytest

from hub import FIRST_STEM, SUBJECT, USERS
from mailer import External30
from program import key_path, p1_path
from smb1 import Access, Deny
from turns import PAUSE

QUEUE = "INQUEUE3"
KEY = key_path(QUEUE)


def keep_locked(program):
    """Opens the KEY so that nobody else can write it, and keeps it open."""
    file = program.persist(
        lambda: program.open_or_busy(KEY, Access.BOTH, Deny.WRITE))
    program.player.pause()
    file.close()


def advance_to_header(crew, external):
    """The message is delivered and its P1 gone; its header is next."""
    crew.turns.advance(external, "delete", p1_path(FIRST_STEM))
    crew.turns.advance(external, "open", KEY)


def test_the_header_goes_though_somebody_wants_the_key(hub, crew, place):
    recipient = hub.address(USERS[0])
    crew.submit(External30, recipient)
    external = crew.join_to_work_off(External30, "EXT", QUEUE)
    advance_to_header(crew, external)

    rival = crew.join(External30, "RIVAL", keep_locked)
    crew.turns.finish_or_wait(rival)
    assert rival.is_waiting == place.is_pofs
    crew.turns.finish(external)
    crew.turns.finish(rival)
    crew.turns.finish(crew.join_to_work_off(External30, "NEXT", QUEUE))

    assert hub.census().delivered[recipient, SUBJECT] == 1
    if place.is_pofs:
        hub.check()
        assert hub.census().copies() == [(recipient, SUBJECT)]
    else:
        assert hub.reports() == ["32", "021"]
        assert hub.judge()


@pytest.mark.parametrize("how", ["link", "smbd"])
def test_the_queue_is_free_when_who_locked_its_key_has_died(hub, crew, how):
    recipient = hub.address(USERS[0])
    crew.submit(External30, recipient)
    dead = crew.join(External30, "DEAD", keep_locked)
    crew.turns.advance(dead, PAUSE, "")
    crew.kill(dead, how)
    crew.turns.finish(crew.join_to_work_off(External30, "EXT", QUEUE))
    assert hub.census().delivered[recipient, SUBJECT] == 1
    hub.check()
