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
import pathlib
import signal

import mail
from census import Census
from checker import judge
from harness import wait_until
from history import state_of
from mailer import HOST, HOST_BAG, QUEUES
from program import key_path
from smbd import SHARE
from turns import PlayersClient

USERS = [f"{number:08X}" for number in range(0x10, 0x18)]


class Hub:
    """A postoffice with users, inqueues and a gateway's mailbag."""

    def __init__(self, place, office, history):
        self.office = office
        self.history = history
        self.add(place, (*QUEUES, HOST_BAG, *USERS))
        self._make(place, "GLB/CONTROL.GLB", bytes(8))

    def add(self, place, bags):
        """Makes mailbags, empty ones."""
        empty_key = bytes(mail.KEY_SIZE)
        for bag in bags:
            self.history.note("setup", "stage", self.office.smb(key_path(bag)),
                              state=state_of(empty_key, b""))
        with self.history.operation("setup", "commit"):
            for bag in bags:
                self._make(place, f"KEY/{bag}.KEY", empty_key)
                self._make(place, f"MBG/{bag}.MBG", b"")

    def _make(self, place, name, content):
        path = self.office.path / name
        path.write_bytes(content)
        place.own(path)

    def address(self, bag):
        """The address of a user here, after his mailbag."""
        return f"{self.office.name}/{bag}"

    def census(self):
        """What is where; all programs must have let go."""
        census = Census()
        census.count(self.office.path, self.office.name,
                     queues={HOST_BAG: HOST})
        return census

    def waiting(self):
        """How many headers are in the inqueues."""
        return sum(self.census().queued.values())

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
            client = PlayersClient(player, self.server.port, SHARE,
                                   source=next(self._addresses), timeout=120)
            self._clients.append(client)
            work(kind(client, player, self.hub.history, self.hub.office.name))
        return self.turns.start(name, run)

    # -- death

    def cut(self, player):
        """Cuts a program's link, as when its machine is switched off."""
        self._gone(player)
        self.turns.kill(player)
        player.client.reset()

    def kill_smbd(self, player):
        """Kills the smbd that serves a program."""
        self._gone(player)
        process = self.server.process_of(player.client)
        os.kill(process, signal.SIGKILL)
        self.turns.kill(player)
        wait_until(lambda: not pathlib.Path(f"/proc/{process}").exists(),
                   "smbd's process has ended")
        player.client.reset()

    def kill_daemon(self, place):
        """Kills the file system under all of them, and starts it again."""
        players = list(self.turns.players)
        place.crash()
        for player in players:
            self._gone(player)
        self.turns.kill(*players)
        for player in players:
            player.client.reset()
        self.server.restart()

    def _gone(self, player):
        self.hub.history.note(player.name, "gone")
