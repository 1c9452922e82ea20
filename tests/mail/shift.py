# SPDX-License-Identifier: BSD-2-Clause
"""The programs of Q103960, all at work on one hub at random.

    shift = Shift(crew, count=100, seed=7)
    shift.start()
    crew.turns.run()
    assert hub.judge() == []

A program that was killed is started again by take_over(): its machine comes
back and goes on with what it has not begun to submit.
"""

import random

from hub import USERS
from mailer import External30, External32, ExternalV20, ProfsGateway
from program import Message

PROGRAMS = {"EXT 3.0": External30, "EXT 3.2": External32,
            "EXT 3.5": External32, "PROFS": ProfsGateway,
            "EXT -V20": ExternalV20}
"""Three Externals without -V20, a gateway without, an External with it."""

HOST_SHARE = 0.1


class Shift:
    """What the programs shall submit: `count` messages in all."""

    def __init__(self, crew, count, seed, has_host=True):
        self.crew = crew
        self.count = count
        self._lives = dict.fromkeys(PROGRAMS, 0)
        self._outboxes = {name: [] for name in PROGRAMS}
        rand = random.Random(seed)
        for number in range(count):
            message = Message(f"MESSAGE {number}",
                              self._recipients(rand, has_host))
            self._outboxes[rand.choice(list(PROGRAMS))].append(message)

    def _recipients(self, rand, has_host):
        if has_host and rand.random() < HOST_SHARE:
            return "HOST/ANNA",
        users = rand.sample(USERS, rand.choice((1, 1, 2, 3)))
        return tuple(map(self.crew.hub.address, users))

    def start(self):
        """Starts all programs."""
        return [self._start(name) for name in PROGRAMS]

    def take_over(self, player):
        """Starts the program again that `player` was."""
        begun = {event.facts["message"]
                 for event in self.crew.hub.history.of("submit")}
        name = player.name.partition("#")[0]
        # In place, for the other programs look at this list.
        self._outboxes[name][:] = [
            message for message in self._outboxes[name]
            if message.subject not in begun]
        return self._start(name)

    def _start(self, name):
        self._lives[name] += 1
        return self.crew.join(
            PROGRAMS[name], f"{name}#{self._lives[name]}",
            lambda program: program.work(self._outboxes[name],
                                         self._is_last))

    def _is_last(self):
        """Whether everything has been submitted."""
        return not any(self._outboxes.values())
