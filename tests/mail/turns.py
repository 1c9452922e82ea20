# SPDX-License-Identifier: BSD-2-Clause
r"""Programs that take turns, one request a turn, in the order of a seed.

    turns = Turns(seed=7)
    first = turns.start("EXT1", lambda player: ...)
    turns.advance(first, "open", r"KEY\INQUEUE3.KEY")  # it is about to
    turns.finish(first)
    turns.run()  # the others, in any order

Each program is a thread that calls Player.turn() before everything it asks of
the server, and goes on when it is given a turn. So a test decides who is
where when something happens, and the same seed decides the same again, as far
as the server answers alike.

A turn ends when the program asks for the next one, or ends; and, for a
request that the server makes wait, when it is known or to be feared that it
waits. Its program then takes part again as soon as it has its answer.
"""

import contextlib
import random
import threading

from harness import DEADLINE_S, HarnessError
from smb1 import Client, Command, SmbError

PAUSE = "pause"
"""What a program asks for when it has nothing to do, or is kept out."""

PATIENCE_S = 0.02
"""After which the others go on, in a run at random."""

POLL_S = 0.05
"""How long a pause is if all others wait for the server."""


class Killed(BaseException):
    """Ends the thread of a program that was killed."""


class Player:
    """One program's turns. Threads: the program's own calls turn(); all else
    is for Turns."""

    def __init__(self, name, changed):
        self.name = name
        self.next = None  # (operation, name) that it asks for a turn for
        self.error = None
        self.client = None  # a PlayersClient, when it has one
        self.is_ended = False
        self.is_killed = False
        self._is_kept_out = False
        self._changed = changed
        self._has_turn = False

    def turn(self, operation, name=""):
        """Waits for the next turn."""
        with self._changed:
            self.next = operation, name
            self._is_kept_out = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._has_turn or self.is_killed)
            self.next = None
            self._has_turn = False
            if self.is_killed:
                raise Killed

    def pause(self):
        """Lets the others go first."""
        self.turn(PAUSE)

    def keep_out(self, is_kept_out):
        """Notes whether the server makes this program's request wait."""
        with self._changed:
            self._is_kept_out = is_kept_out
            self._changed.notify_all()

    def give(self):
        """Gives it a turn. Called with the condition locked."""
        self._has_turn = True
        self._changed.notify_all()

    @property
    def is_ready(self):
        """Whether it asks for a turn."""
        return self.next is not None and not self._has_turn and \
            not self.is_ended

    @property
    def is_busy(self):
        """Whether it uses its turn, and is not known to wait."""
        return not self.is_ready and not self.is_ended and \
            not self._is_kept_out

    @property
    def is_waiting(self):
        """Whether the server makes it wait."""
        return self._is_kept_out

    def run(self, work):
        """The thread."""
        try:
            work(self)
        except Killed:
            pass
        except Exception as error:  # told to the test by Turns.run()
            self.error = error
        with self._changed:
            self.is_ended = True
            self._changed.notify_all()


class Turns:
    """All the programs of one run."""

    def __init__(self, seed=0):
        self.random = random.Random(seed)
        self.players = []
        self._changed = threading.Condition()
        self._threads = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill(*self.players)

    def start(self, name, work):
        """Starts `work(player)` up to its first request."""
        player = Player(name, self._changed)
        thread = threading.Thread(target=player.run, args=(work,), name=name,
                                  daemon=True)
        self.players.append(player)
        self._threads[player] = thread
        thread.start()
        self._wait(lambda: not player.is_busy, f"{name} starts")
        return player

    # -- one program, step by step

    def advance(self, player, operation, name):
        """Lets it go on until it asks for this; it has not been sent then."""
        while not player.is_ended and player.next != (operation, name):
            self._step(player)
            self._wait(lambda: player.is_ready or player.is_ended,
                       f"{player.name}: {operation} {name}")
        self._check(player)
        if player.is_ended:
            raise HarnessError(f"{player.name} has ended without {operation} "
                               f"of {name}")

    def go_on(self, player, count):
        """Gives it so many turns. Returns whether it has ended."""
        for _ in range(count):
            self._step(player)
            self._wait(lambda: player.is_ready or player.is_ended,
                       f"{player.name} goes on")
        self._check(player)
        return player.is_ended

    def finish(self, player):
        """Lets it go on to its end, whatever it waits for meanwhile."""
        while not player.is_ended:
            self._step(player)
            self._wait(lambda: player.is_ready or player.is_ended,
                       f"{player.name} ends")
        self._check(player)

    def finish_or_wait(self, player):
        """Lets it go on to its end, or until the server makes it wait or it
        pauses. Returns whether it has ended."""
        while not player.is_ended:
            self._step(player)
            self._wait(lambda: not player.is_busy, f"{player.name} goes on")
            if player.is_waiting or player.next == (PAUSE, ""):
                return False
        self._check(player)
        return True

    def _step(self, player):
        with self._changed:
            if player.is_ready:
                player.give()

    def _wait(self, predicate, what, deadline=DEADLINE_S * 3):
        with self._changed:
            if not self._changed.wait_for(predicate, deadline):
                raise HarnessError(f"gave up after {deadline} s: {what}")

    @staticmethod
    def _check(player):
        if player.error is not None and not player.is_killed:
            raise player.error

    # -- all programs, at random

    def run(self, limit=None):
        """Gives turns until all programs have ended, or `limit` rounds.

        Returns whether they have all ended.
        """
        rounds = 0
        while rounds != limit:
            playing = [p for p in self.players if not p.is_ended]
            for player in self.players:
                self._check(player)
            if not playing:
                return True
            self._round(playing)
            rounds += 1
        return False

    def _round(self, playing):
        self._wait(lambda: any(p.is_ready or p.is_ended for p in playing),
                   "nobody goes on: " + ", ".join(p.name for p in playing))
        ready = [p for p in playing if p.is_ready]
        eager = [p for p in ready if p.next[0] != PAUSE]
        if not eager and len(ready) < len(playing):
            # Whoever waits for the server goes first, if it lets him.
            with self._changed:
                self._changed.wait_for(
                    lambda: any(p.is_ready and p.next[0] != PAUSE
                                for p in playing), POLL_S)
        chosen = eager or ready
        if not chosen:
            return
        together = self.random.choice((1, 1, 2, 3))
        chosen = self.random.sample(chosen, min(together, len(chosen)))
        for player in chosen:
            self._step(player)
        with self._changed:
            self._changed.wait_for(
                lambda: not any(p.is_busy for p in chosen), PATIENCE_S)

    # -- death

    def kill(self, *players):
        """Ends programs where they are, a request on its way or not.

        What they still hear from the server does not matter to them.
        """
        with self._changed:
            for player in players:
                player.is_killed = True
            self._changed.notify_all()
        for player in players:
            if player.client is not None:
                player.client.deafen()
            self._threads[player].join(DEADLINE_S)
            if self._threads[player].is_alive():
                raise HarnessError(f"{player.name} does not end")
            if player in self.players:
                self.players.remove(player)


class PlayersClient(Client):
    """The client of a player: notes when the server makes an open wait."""

    def __init__(self, player, *arguments, **options):
        self._player = None  # not during the logon
        super().__init__(*arguments, **options)
        self._player = player
        player.client = self

    def request(self, command, words=b"", data=b""):
        if command != Command.OPEN or self._player is None:
            return super().request(command, words, data)
        # An echo sent behind it is answered first if the open waits.
        self.send(command, words, data)
        self.send(*self.echo_request())
        try:
            reply = self.receive()
        except SmbError:
            self.receive()
            raise
        if reply.command != Command.ECHO:
            self.receive()
            return reply
        self._player.keep_out(True)
        try:
            return self.receive()
        finally:
            self._player.keep_out(False)

    def deafen(self):
        """Ends a wait for a reply, in another thread, as if the server had
        closed the connection; which it does not learn."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(0)  # SHUT_RD
