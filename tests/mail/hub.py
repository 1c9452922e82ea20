# SPDX-License-Identifier: BSD-2-Clause
"""A hub postoffice, and the programs that work on it at once.

    hub = Hub(place, office, history)
    with Crew(hub, server, turns) as crew:
        external = crew.join(External32, "EXT1", lambda it: it.submit(message))
        turns.finish(external)
    verdicts = hub.judge()
"""

import itertools
import os
import signal

import mail
from census import Census
from checker import check, judge
from history import state_of
from mailer import HOST, HOST_BAG, QUEUES
from program import Message, key_path
from smbd import SHARE
from turns import PlayersClient

USERS = [f"{number:08X}" for number in range(0x10, 0x18)]

NEXT_BAG = 0x100
"""The number of the next mailbag, which nobody makes."""

FIRST_STEM = "00000001"
"""The stem of a hub's first message."""

SUBJECT = "HELLO"
"""Of the message of Crew.submit()."""

DEATHS = ("link", "smbd", "daemon")
"""What Crew.kill() can kill."""

ENDS = ("daemon", "stop", "server")
"""What it can kill with all programs; "stop" is pofs, which is asked to end,
and "server" the smbd that all others come from."""


class Hub:
    """A postoffice with users, inqueues and a gateway's mailbag."""

    def __init__(self, place, office, history):
        self.place = place
        self.office = office
        self.history = history
        self._linked = {}
        self.add((*QUEUES, HOST_BAG, *USERS))
        self._make("GLB/CONTROL.GLB",
                   NEXT_BAG.to_bytes(4, "little") + bytes(4))

    def add(self, bags):
        """Makes mailbags, empty ones."""
        key = bytes(mail.KEY_SIZE)
        for bag in bags:
            self.history.note("setup", "stage", self.office.smb(key_path(bag)),
                              state=state_of(key, b""))
        with self.history.operation("setup", "commit"):
            for bag in bags:
                self._make(f"KEY/{bag}.KEY", key)
                self._make(f"MBG/{bag}.MBG", b"")

    def _make(self, name, content):
        path = self.office.path / name
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            # It shall be there whoever is killed next.
            os.fsync(file.fileno())
        self.place.own(path)

    def link(self, bag, other):
        """Makes a mailbag the queue of another postoffice, which from now on
        is counted and judged with this one."""
        self.add([bag])
        self._linked[bag] = other

    def address(self, bag):
        """The address of a user here, after his mailbag."""
        return f"{self.office.name}/{bag}"

    def census(self):
        """What is where; all programs must have let go."""
        census = Census()
        queues = {bag: other.office.name
                  for bag, other in self._linked.items()}
        census.count(self.office.path, self.office.name,
                     queues={HOST_BAG: HOST, **queues})
        for other in self._linked.values():
            census.count(other.office.path, other.office.name)
        return census

    def reports(self):
        """The numbers of all reports to the Postmaster."""
        return [event.facts["number"]
                for event in self.history.of("report")]

    def judge(self):
        """Every fault of the run, a sentence each."""
        return judge(self.history, self.census()) + [
            f"{event.program} reports [{event.facts['number']}] at "
            f"{event.began:.6f}: {event.path}"
            for event in self.history.of("report")]

    def check(self):
        """Fails with every fault of the run, and leaves its history in a
        file."""
        check(self.history, self.judge())


class Crew:
    """The programs of one run, each on a machine of its own."""

    _addresses = (f"127.0.{net}.{host}" for net in itertools.count(16)
                  for host in range(1, 255))

    def __init__(self, hub, server, turns):
        self.hub = hub
        self.server = server
        self.turns = turns
        self._clients = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.turns.kill(*self.turns.players)
        for client in self._clients:
            client.__exit__()

    def join(self, kind, name, work):
        """Starts a program of a kind that does `work(program)`."""
        def run(player):
            client = self.connect(player)
            self._clients.append(client)
            work(kind(client, player, self.hub.history, self.hub.office.name))
            client.disconnect()
        return self.turns.start(name, run)

    def connect(self, player):
        """A program's machine, connected."""
        return PlayersClient(player, self.server.port, SHARE,
                             source=next(self._addresses), timeout=120)

    def submit(self, kind, *recipients):
        """One message from a program of a kind, all the way."""
        message = Message(SUBJECT, recipients)
        self.turns.finish(
            self.join(kind, "PUT", lambda program: program.submit(message)))

    def join_to_work_off(self, kind, name, queue):
        """Starts a program that makes a pass over a queue as soon as it is let
        in."""
        return self.join(kind, name, lambda program: program.persist(
            lambda: program.work_off(queue)))

    # -- death; who comes next may come before the server has noticed

    def kill(self, player, how):
        """Kills a program by cutting its link, by killing the smbd that serves
        it, or with all others by ending what serves them."""
        if how in ENDS:
            self._end(how)
            return
        self._leave([player])
        if how == "smbd":
            os.kill(self.server.process_of(player.client), signal.SIGKILL)
        player.client.reset()

    def _end(self, how):
        players = [p for p in self.turns.players if not p.is_ended]
        self._leave(players)
        with self.hub.history.operation("pofs", "crash",
                                        keeps=how != "daemon"):
            if how == "daemon":
                self.hub.place.crash()
            elif how == "stop":
                self.hub.place.restart()
            else:
                self.server.kill()
        for player in players:
            player.client.reset()
        self.server.restart()

    def _leave(self, players):
        """Ends programs, though perhaps not what they have asked for. Only
        then are they gone for the history: they hear no answer after it."""
        self.turns.kill(*players)
        for player in players:
            self.hub.history.note(player.name, "gone")
