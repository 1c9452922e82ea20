# SPDX-License-Identifier: BSD-2-Clause
"""Mailers of every kind deliver each message once."""

import pytest

from history import History
from hub import USERS, Crew, Hub
from mailer import External30, External32, External32Semaphore, ExternalV20, \
    FfapiMailer, ProfsGateway
from program import Message
from turns import Turns

KINDS = [External30, External32, External32Semaphore, ExternalV20,
         FfapiMailer, ProfsGateway]


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
