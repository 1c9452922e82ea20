# SPDX-License-Identifier: BSD-2-Clause
"""Whoever is killed, at whatever instant, each message stays in one place.

Killed are a mail program (its link is cut), the smbd that serves it, and pofs
itself; first where the articles say that it costs mail (Q136379), on a plain
directory too, and then at random while the crew of Q103960 works.

    POFS_MESSAGES=1000 POFS_SEEDS=20 meson test -C build -v \\
        --timeout-multiplier 20 smb_proof_killed

does it at random with so many messages and seeds; POFS_SEED names the first.
"""

import itertools
import os
import random

import pytest

from harness import tally
from history import History
from hub import DEATHS, ENDS, FIRST_STEM, SUBJECT, USERS, Crew, Hub
from mailer import External30, External32
from place import ONLY_POFS, Office
from program import key_path, p1_path
from shift import PROGRAMS, Shift
from turns import Turns

MESSAGES = int(os.environ.get("POFS_MESSAGES", "40"))
SEEDS = int(os.environ.get("POFS_SEEDS", "2"))
FIRST_SEED = int(os.environ.get("POFS_SEED", "1"))
ROUNDS = max(240, MESSAGES)
"""The longest time between two deaths."""

SHIFT = 5
"""How many messages there are where all deaths are of one kind."""

QUICK_ROUNDS = 60
SLOW_ROUNDS = 400
"""The longest time between two of those; if all programs die, they need some
to do anything at all."""

KILLS = {"daemon": int(os.environ.get("POFS_DAEMON_KILLS", "2")),
         "smbd": int(os.environ.get("POFS_CHILD_KILLS", "8")),
         "server": int(os.environ.get("POFS_PARENT_KILLS", "1")),
         "stop": int(os.environ.get("POFS_STOPS", "2"))}
KILL_NAMES = {"daemon": "killed pofs", "smbd": "killed smbd",
              "server": "killed servers", "stop": "ended pofs",
              "link": "vanished clients"}
"""How often, and what it is called in the results."""

QUEUE = "INQUEUE3"
KEY = key_path(QUEUE)


def kill_between(crew, how, *steps):
    """An External delivers the message and is killed before the last of these
    requests; another works the queue off."""
    external = crew.join_to_work_off(External30, "EXT", QUEUE)
    for step in steps:
        crew.turns.advance(external, *step)
    crew.kill(external, how)
    crew.turns.finish(crew.join_to_work_off(External30, "NEXT", QUEUE))


EACH_DEATH = pytest.mark.parametrize("how", DEATHS)


@EACH_DEATH
def test_no_copy_of_a_mailer_that_died_before_it_deleted_the_p1(
        hub, crew, place, how):
    recipient = hub.address(USERS[0])
    crew.submit(External32, recipient)
    kill_between(crew, how, ("delete", p1_path(FIRST_STEM)))
    if place.is_pofs:
        assert hub.census().delivered[recipient, SUBJECT] == 1
        hub.check()
    else:
        assert hub.census().delivered[recipient, SUBJECT] == 2


@EACH_DEATH
def test_no_lost_p1_of_a_mailer_that_died_before_it_wrote_the_key(
        hub, crew, place, how):
    recipient = hub.address(USERS[0])
    crew.submit(External32, recipient)
    kill_between(crew, how, ("delete", p1_path(FIRST_STEM)), ("open", KEY))
    assert hub.census().delivered[recipient, SUBJECT] == 1
    if place.is_pofs:
        hub.check()
    else:
        assert hub.reports() == ["021"]


@ONLY_POFS
def test_what_was_acknowledged_survives_the_daemon(hub, crew):
    recipient = hub.address(USERS[0])
    crew.submit(External32, recipient)
    crew.kill(None, "daemon")
    assert hub.census().queued[recipient, SUBJECT] == 1
    crew.turns.finish(crew.join_to_work_off(External32, "EXT", QUEUE))
    crew.kill(None, "daemon")
    assert hub.census().copies() == [(recipient, SUBJECT)]
    assert hub.census().delivered[recipient, SUBJECT] == 1
    hub.check()


def work_and_die(hub, server, seed, messages, ways, rounds):
    """A shift in which programs die at random in some ways, at most `rounds`
    after each other; returns how often in which."""
    rand = random.Random(seed)
    deaths = dict.fromkeys(ways, 0)
    with Turns(seed) as turns, Crew(hub, server, turns) as crew:
        # What the gateway has handed to its host nobody can undo.
        shift = Shift(crew, messages, seed, has_host=False)
        shift.start()
        while not turns.run(rand.randrange(rounds)):
            players = [p for p in turns.players if not p.is_ended]
            if not players:
                break  # the last one ended after its turn
            how = rand.choice(list(ways))
            deaths[how] += 1
            player = rand.choice(players)
            crew.kill(player, how)
            if how in ENDS:
                hub.check()
            else:
                players = [player]
            for player in players:
                shift.take_over(player)
    hub.check()
    submitted = hub.history.of("submit")
    assert len(submitted) == messages
    done = sum(event.is_done for event in submitted)
    victims = sum(count * (len(PROGRAMS) if how in ENDS else 1)
                  for how, count in deaths.items())
    assert messages - victims <= done
    tally("messages", done)
    for how, count in deaths.items():
        tally(KILL_NAMES[how], count)
    print(f"seed {seed}: {messages} messages, {done} acknowledged, "
          f"killed: {deaths}")
    return deaths, done


@ONLY_POFS
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_deaths_at_random_lose_and_copy_nothing(hub, server, seed):
    deaths, done = work_and_die(hub, server, seed, MESSAGES, DEATHS, ROUNDS)
    assert done > 0 and sum(deaths.values()) > 0


@ONLY_POFS
@pytest.mark.parametrize("how", [how for how, count in KILLS.items() if count])
def test_one_death_after_another_loses_and_copies_nothing(place, server, how):
    left, seeds = KILLS[how], itertools.count(FIRST_SEED)
    while left > 0:
        hub = Hub(place, Office(place), History())
        deaths, _ = work_and_die(hub, server, next(seeds), SHIFT, [how],
                                 SLOW_ROUNDS if how in ENDS else QUICK_ROUNDS)
        left -= deaths[how]
