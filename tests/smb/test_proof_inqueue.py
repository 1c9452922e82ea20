# SPDX-License-Identifier: BSD-2-Clause
"""Mailers of every kind on one hub deliver each message once (Q103960).

The article tells of three Externals without -V20, a PROFS gateway without and
an External with -V20: the gateway does not see the External's lock file, and
outpaces it. Messages arrive twice, or are reported to have lost their routing
file. On a plain directory the tests steer the programs to where this happens
and show it; on pofs the same programs at the same places do no harm.

    POFS_MESSAGES=1000 POFS_SEEDS=20 meson test -C build smb_proof_inqueue

runs the crew at random with so many messages and seeds, on pofs.
"""

import pytest

from history import History
from hub import USERS, Crew, Hub
from mailer import External30, External32, External32Semaphore, ExternalV20, \
    FfapiMailer, ProfsGateway
from program import Message, key_path, mai_path, p1_path
from turns import Turns

KINDS = [External30, External32, External32Semaphore, ExternalV20,
         FfapiMailer, ProfsGateway]

QUEUE = "INQUEUE"
FIRST = "00000001"
"""The stem of a hub's first message."""


@pytest.fixture
def hub(place, office):
    return Hub(place, office, History())


@pytest.fixture
def crew(hub, server):
    with Turns() as turns, Crew(hub, server, turns) as made:
        yield made


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_program_alone_delivers_what_it_submits(hub, crew, kind):
    messages = [Message("TO ONE", (hub.address(USERS[0]),)),
                Message("TO THREE", tuple(map(hub.address, USERS[:3])))]

    def work(program):
        for message in messages:
            program.submit(message)
        assert program.work_off(program.queue) == 2
        assert program.work_off(program.queue) == 0

    crew.turns.finish(crew.join(kind, "ALONE", work))
    assert hub.census().delivered == {
        (recipient, message.subject): 1 for message in messages
        for recipient in message.recipients}
    assert hub.judge() == []
    assert not list(hub.office.path.glob("P1/*"))


# ---- the faults of the article ----------------------------------------------


def submit(crew, recipient):
    """One message into the inqueue."""
    crew.turns.finish(crew.join(
        FfapiMailer, "PUT",
        lambda put: put.submit(Message("HELLO", (recipient,)))))


def work_off(program):
    """One pass, as soon as it is let in."""
    program.persist(lambda: program.work_off(QUEUE))


def overtake(crew, is_pofs, slow, fast, place):
    """A program of one kind is overtaken by one of another when it is about
    to open the file `place`. On pofs it cannot be."""
    slow = crew.join(slow, "SLOW", work_off)
    crew.turns.advance(slow, "open", place)
    fast = crew.join(fast, "FAST", work_off)
    if is_pofs:
        assert not crew.turns.finish_or_wait(fast)
    else:
        crew.turns.finish(fast)
    crew.turns.finish(slow)
    crew.turns.finish(fast)


def assert_delivered_once(hub, recipient):
    census = hub.census()
    assert census.copies() == [(recipient, "HELLO")]
    assert census.delivered[recipient, "HELLO"] == 1
    assert hub.judge() == []


# External with -V20, and who does not know its lock file; and the External
# that collects before it locks (Q103421 #1646).
@pytest.mark.parametrize("slow, fast", [
    (ExternalV20, ProfsGateway), (ExternalV20, External30),
    (ExternalV20, External32), (ExternalV20, FfapiMailer),
    (External30, External30), (External30, External32)],
    ids=lambda kind: kind.__name__)
def test_no_message_is_delivered_twice(hub, crew, place, slow, fast):
    recipient = hub.address(USERS[0])
    submit(crew, recipient)
    overtake(crew, place.is_pofs, slow, fast, key_path(USERS[0]))
    if place.is_pofs:
        assert_delivered_once(hub, recipient)
    else:
        assert hub.census().delivered[recipient, "HELLO"] == 2
        # "Users see mail being delivered, but they still receive the error."
        assert hub.reports() == ["021"]
        assert hub.judge()


@pytest.mark.parametrize("fast", [ProfsGateway, External30, External32],
                         ids=lambda kind: kind.__name__)
def test_no_routing_file_is_missed(hub, crew, place, fast):
    recipient = hub.address(USERS[0])
    submit(crew, recipient)
    overtake(crew, place.is_pofs, ExternalV20, fast, p1_path(FIRST))
    if place.is_pofs:
        assert_delivered_once(hub, recipient)
    else:
        assert hub.reports() == ["021"]


def test_no_message_file_is_missed(hub, crew, place):
    """The gateway takes a message to its host, and deletes the MAI."""
    submit(crew, "HOST/ANNA")
    overtake(crew, place.is_pofs, ExternalV20, ProfsGateway, mai_path(FIRST))
    if place.is_pofs:
        # The External was first, so it has gone the long way.
        assert list(hub.census().copies()) == [("HOST/ANNA", "HELLO")]
        assert hub.judge() == []
    else:
        assert hub.reports() == ["016"]  # "error code=2"
