# SPDX-License-Identifier: BSD-2-Clause
"""The way of mail from one postoffice to another with MSMAIL32, and how it is
cut.

    with Route(place, server) as route, Poller(route):
        route.post()
        route.carry_cut("behind the queue", 25, lambda size: 0, reset)
        assert not route.look()
"""

import contextlib
import dataclasses
import itertools
import os
import pathlib
import signal
import threading

import smbd
from census import Census
from checker import check, judge
from clients import Reader, Sender
from harness import wait_until
from history import History
from hub import USERS, Hub
from mailer import HOST_BAG
from msmail32 import QUEUE, MsMail32
from place import Office
from program import Message
from smb1 import Client
from solo import LinkCut, Solo, Wire, finish

TEXT = "It takes more than one write to say this.\r\n" * 300


@dataclasses.dataclass
class Run:
    """What a run of MSMAIL32 came to."""

    process: int  # its smbd
    wire: Wire
    carried: str = None


class Route:
    """Two postoffices, and MSMAIL32 on the way from one to the other."""

    _hosts = (f"127.0.{net}.{host}" for net in itertools.count(32)
              for host in range(1, 255))

    def __init__(self, place, server):
        self.history = History()
        self.server = server
        self.local, self.remote = (Hub(place, Office(place), self.history)
                                   for _ in range(2))
        self.recipient = self.remote.address(USERS[0])
        self._clients = contextlib.ExitStack()
        self._sender = self.program(Sender, "sender", self.local)
        self._reader = self.program(Reader, "reader", self.remote)
        self._count = itertools.count(1)
        self._known, self._torn = set(), set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._clients.close()

    def program(self, kind, name, hub):
        client = self._clients.enter_context(Client(
            self.server.port, smbd.SHARE, source=next(self._hosts)))
        return kind(client, Solo(name), self.history, hub.office.name)

    def post(self):
        """Puts a message for MSMAIL32 into the queue, and returns it."""
        message = Message(f"MESSAGE {next(self._count)}", (self.recipient,),
                          TEXT)
        self._sender.submit(message, HOST_BAG)
        return message

    def carry(self, order):
        """MSMAIL32 runs once. Returns what it carried, if anything."""
        return self._run(order).carried

    def _run(self, order, is_patient=True, **cut):
        with Client(self.server.port, smbd.SHARE,
                    source=next(self._hosts)) as client:
            run = Run(self.server.process_of(client), Wire(client, **cut))
            # A close of which everything was sent but no answer came may
            # still commit: then its event has no end.
            with contextlib.suppress(LinkCut):
                run.carried = MsMail32(
                    client, Solo("MSMAIL32"), self.history,
                    self.local.office.name, self.remote.office.name,
                    order=order, wire=run.wire,
                    is_patient=is_patient).carry(HOST_BAG)
            return run

    def requests(self, order):
        """How many requests a run takes."""
        self.post()
        return self._run(order).wire.sent

    def carry_cut(self, order, at, part, sever, is_patient=True, before=None):
        """MSMAIL32 runs and is cut; returns when its smbd has ended."""
        def cut(client):
            self.history.note("MSMAIL32", "gone")
            sever(self.server, client)

        run = self._run(order, is_patient, at=at, part=part, sever=cut,
                        before=before)
        assert run.wire.sent == at, "it was not cut"
        wait_until(lambda: not pathlib.Path(f"/proc/{run.process}").exists(),
                   "the smbd of the cut link has ended")

    def look(self):
        """A reader polls. Returns how many headers it found, unlike before,
        whose message is not complete."""
        self._known.update(self._reader.poll(QUEUE, self._known))
        torn = {event.facts["stem"] for event in self.history.of("seen")
                if not event.facts["complete"]}
        new = torn - self._torn
        self._torn = torn
        return len(new)

    def judge(self):
        census = Census()
        census.count(self.local.office.path, self.local.office.name,
                     {HOST_BAG: self.remote.office.name})
        census.count(self.remote.office.path, self.remote.office.name)
        return judge(self.history, census)

    def check(self):
        """Fails with every fault of the run."""
        check(self.history, self.judge())


def reset(_, client):
    client.reset()


def end(_, client):
    finish(client)


def kill(server, client):
    os.kill(server.process_of(client), signal.SIGKILL)


class Poller:
    """A client on another machine that polls the inqueue all the time."""

    def __init__(self, route):
        self._reader = route.program(Reader, "poller", route.remote)
        self._is_ending = threading.Event()
        self._error = None
        self.polls = 0
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        known = set()
        try:
            while not self._is_ending.is_set():
                known.update(self._reader.poll(QUEUE, known))
                self.polls += 1
        except Exception as error:
            self._error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self._is_ending.set()
        self._thread.join(120)
        assert not self._thread.is_alive()
        if self._error is not None and kind is None:
            raise self._error
