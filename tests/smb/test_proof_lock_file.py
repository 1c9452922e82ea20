# SPDX-License-Identifier: BSD-2-Clause
"""A lock file whose owner has died locks nothing (Q128913, Q117152).

The file is the lock: on a plain directory it stays when its owner dies, and
who looks for it waits for ever. On pofs it lives with its owner.
"""

import os

import pytest

from harness import wait_until
from hub import DEATHS, SUBJECT, USERS
from mailer import External32Semaphore, ExternalV20
from program import Busy
from turns import PAUSE

QUEUE = "INQUEUE3"


class AnyLock(ExternalV20):
    """An External that locks, by detection and creation, what it is told."""

    def lock_path(self, queue):
        return self.name


def die(crew, kind, how, name):
    """A program takes a lock file and dies; the server has noticed."""
    dead = crew.join(kind, "DEAD", lambda program: take(program, name))
    crew.turns.advance(dead, PAUSE, "")
    process = crew.server.process_of(dead.client)
    crew.kill(dead, how)
    wait_until(lambda: not os.path.exists(f"/proc/{process}"),
               "the dead program's smbd has ended")


def take(program, name):
    """Takes a lock file, each cycle until it gets it."""
    program.name = name
    program.persist(lambda: program.lock(QUEUE))
    program.player.pause()


EACH_DEATH = pytest.mark.parametrize("how", DEATHS)


@pytest.mark.parametrize("name, how", [
    *((r"P1\INQUEUE3.0LK", how) for how in DEATHS),
    (r"P1\INQUEUE.0LK", "link"), (r"P1\00000010.0LK", "smbd"),
    (r"P1\00000010.005", "link"), (r"P1\LOCKP1ID.PBB", "smbd")])
def test_who_looks_for_the_file_gets_the_queue_at_once(hub, crew, place, name,
                                                       how):
    die(crew, AnyLock, how, name)
    following = crew.join(AnyLock, "NEXT", lambda program: take(program, name))
    for _ in range(1 if place.is_pofs else 3):
        crew.turns.finish_or_wait(following)
        assert following.next == (PAUSE, "")
    taken = [event for event in hub.history.of("open")
             if event.program == "NEXT" and event.is_done]
    assert len(taken) == place.is_pofs
    # On pofs it is another one by now.
    assert (hub.office.path / name.replace("\\", "/")).exists()


@EACH_DEATH
def test_who_opens_what_he_finds_gets_the_queue_at_once(hub, crew, how):
    """Harmless on any server that has noticed the death (Q128913)."""
    die(crew, External32Semaphore, how, None)
    following = crew.join(External32Semaphore, "NEXT",
                          lambda program: take(program, None))
    crew.turns.advance(following, PAUSE, "")
    assert hub.history.of("open")[-1].is_done


@EACH_DEATH
def test_the_queue_is_worked_off_after_a_death(hub, crew, place, how):
    recipient = hub.address(USERS[0])
    crew.submit(ExternalV20, recipient)
    die(crew, ExternalV20, how, None)
    following = crew.join(ExternalV20, "NEXT",
                          lambda program: program.work_off(QUEUE))
    if place.is_pofs:
        crew.turns.finish(following)
        assert hub.census().delivered[recipient, SUBJECT] == 1
        hub.check()
    else:
        with pytest.raises(Busy):
            crew.turns.finish(following)
