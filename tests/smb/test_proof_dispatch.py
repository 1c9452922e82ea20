# SPDX-License-Identifier: BSD-2-Clause
"""A message moves from one postoffice to another wholly or not at all.

An External takes it out of a queue here and puts it into the inqueue there,
both on one share, and dies before any of its requests; another External ends
the work. A plain directory has the message twice if it dies in the middle.
"""

import pytest

from dispatch import Dispatch
from hub import DEATHS, FIRST_STEM, SUBJECT, USERS, Hub
from place import ONLY_POFS, Office
from program import Message, key_path, p1_path

QUEUE = "0000000E"


@pytest.fixture
def spoke(place, hub):
    """The other postoffice; its mail waits in the hub's QUEUE."""
    made = Hub(place, Office(place), hub.history)
    hub.link(QUEUE, made)
    return made


def put(crew, spoke, name):
    """A message for the other postoffice into the queue."""
    message = Message(name, (spoke.address(USERS[0]),))
    crew.turns.finish(crew.join(
        Dispatch, f"PUT {name}",
        lambda program: program.queue_message(QUEUE, message)))


def mover(crew, spoke, name):
    """Starts an External that moves what is in the queue."""
    def move(program):
        program.to(spoke.office.name)
        program.persist(lambda: program.move(QUEUE))
    return crew.join(Dispatch, name, move)


@pytest.mark.parametrize("how", DEATHS)
def test_a_message_is_not_here_and_there(hub, spoke, crew, place, how):
    put(crew, spoke, SUBJECT)
    dead = mover(crew, spoke, "DEAD")
    crew.turns.advance(dead, "open", p1_path(FIRST_STEM))  # there
    crew.turns.advance(dead, "open", key_path(QUEUE))      # here
    crew.kill(dead, how)
    crew.turns.finish(mover(crew, spoke, "NEXT"))
    recipient = spoke.address(USERS[0])
    if place.is_pofs:
        assert hub.census().queued == {(recipient, SUBJECT): 1}
        hub.check()
    else:
        assert hub.census().queued == {(recipient, SUBJECT): 2}


@ONLY_POFS
def test_wherever_the_external_dies_each_message_arrives_once(hub, spoke,
                                                              crew):
    requests, is_moved = 0, False
    while not is_moved:
        put(crew, spoke, f"AFTER {requests}")
        external = mover(crew, spoke, f"EXT {requests}")
        is_moved = crew.turns.go_on(external, requests)
        if not is_moved:
            crew.kill(external, ("link", "smbd")[requests % 2])
        crew.turns.finish(mover(crew, spoke, f"NEXT {requests}"))
        requests += 1
    assert requests > 30
    assert set(hub.census().queued) == {
        (spoke.address(USERS[0]), f"AFTER {number}")
        for number in range(requests)}
    hub.check()
