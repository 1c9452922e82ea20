# SPDX-License-Identifier: BSD-2-Clause
"""Links that are cut while mail is carried; see network.CUTS for how.

smbd has the socket options of mount-examples, by which it notices; what is
seconds there is shorter here, by the factor POFS_HASTE.

    POFS_LINK_CUTS=500 POFS_HASTE=1 meson test -C build -v \\
        --timeout-multiplier 20 smb_proof_links

cuts as often as before a release, and takes as long to notice as at a site;
POFS_SEED names what else happens.
"""

import collections
import os
import random
import re
import socket
import time

import pytest

import network
import smbd
from delivery import begin_delivery, is_delivered
from harness import tally, wait_until
from history import History
from hub import Crew, Hub
from place import ONLY_POFS, Office
from shift import Shift
from smb1 import Client, Deny, Disconnected, Mode
from turns import Killed, PlayersClient, Turns

CUTS = int(os.environ.get("POFS_LINK_CUTS", "4"))
HASTE = int(os.environ.get("POFS_HASTE", "12"))
SEED = int(os.environ.get("POFS_SEED", "1"))

MESSAGES = 8  # of one shift
ROUNDS = 150  # the longest time between two cuts

NOTICED_S = 15 + 5
"""As long as it takes at a site until others go on, with a margin."""

LOST = (Disconnected, OSError)
"""What a program gets when its connection is no more."""


def hasty_options():
    """The example's socket options, in less time."""
    example = smbd.EXAMPLE.with_name("smb-global.conf").read_text()
    line = re.search(r"^\tsocket options = .*", example, re.MULTILINE)[0]
    return re.sub(r"(IDLE|INTVL|TIMEOUT)=(\d+)",
                  lambda found: f"{found[1]}="
                  f"{max(int(found[2]) // HASTE, 1)}", line.strip())


@pytest.fixture(scope="module", name="lan")
def fixture_lan():
    with network.Network() as made:
        yield made


@pytest.fixture(scope="module", name="server")
def fixture_server(place, lan):
    with smbd.Smbd({smbd.SHARE: place.path}, *lan.settings,
                   hasty_options()) as made:
        yield made


class Wired:
    """A client on a machine of its own."""

    def __init__(self, lan, server):
        self.machine = lan.plug()
        with self.machine:
            self.client = Client(server.port, smbd.SHARE, host=lan.host)


@pytest.fixture(name="wire")
def fixture_wire(lan, server):
    made = []

    def make():
        made.append(Wired(lan, server))
        return made[-1]
    yield make
    for one in made:
        one.client.__exit__()


# ---- one client


def end(key):
    key.write(0, b"\1")
    key.close()


def test_who_is_cut_off_is_undone_and_refused_when_he_comes_back(wire, place,
                                                                 mail):
    """On a plain directory half of it is there for good."""
    victims = dict(zip(network.CUTS, "AB"))
    wired, keys = {}, {}
    other = wire().client
    for how, mailbag in victims.items():
        wired[how] = wire()
        keys[how] = begin_delivery(wired[how].client, mail, mailbag)
        wired[how].machine.cut(how)
    cut = time.monotonic()
    for mailbag in victims.values():
        # It waits as long as it takes smbd to notice.
        other.open(mail.smb("KEY", f"{mailbag}.KEY")).close()
    if place.is_pofs:
        assert time.monotonic() - cut < NOTICED_S
    for how, mailbag in victims.items():
        wired[how].machine.mend()
        if place.is_pofs:
            with pytest.raises(LOST):
                end(keys[how])
        assert is_delivered(other, mail, mailbag) is (
            False if place.is_pofs else None)
    if place.is_pofs:
        reasons = wait_until(
            lambda: [reason for reason, files in place.store.undone()
                     if any(path.startswith(f"/{mail.name}/")
                            for path in files)], "the quarantine is written")
        assert reasons and all("disconnected" in one for one in reasons)


def test_who_comes_back_in_time_goes_on(wire, mail):
    """Nobody has noticed anything, and all of it is there."""
    other = wire().client
    for how, mailbag in zip(network.CUTS, "AB"):
        wired = wire()
        key = begin_delivery(wired.client, mail, mailbag)
        wired.machine.cut(how)
        wired.client.send(*wired.client.echo_request())
        wired.machine.mend()
        wired.client.receive()
        end(key)
        assert is_delivered(other, mail, mailbag) is True


@ONLY_POFS
def test_a_machine_that_is_switched_on_again_finds_all_undone(wire, lan,
                                                              server, mail):
    """And at once, for its new connection ends the old one."""
    wired = wire()
    key = begin_delivery(wired.client, mail)
    lock = wired.client.open(mail.smb("P1", "B.0LK"), deny=Deny.ALL,
                             mode=Mode.CREATE)
    wired.machine.cut("carrier")
    wired.machine.mend()
    with wired.machine:
        again = Client(server.port, smbd.SHARE, host=lan.host)
    with again:
        again.open(mail.smb("KEY", "A.KEY")).close()
        again.create_new(mail.smb("P1", "B.0LK")).close()
        assert is_delivered(again, mail) is False
    for file in (key, lock):
        with pytest.raises(LOST):
            file.close()


# ---- all programs, at random


class WiredCrew(Crew):
    """Each program on a machine whose link can be cut."""

    def __init__(self, hub, server, turns, lan):
        super().__init__(hub, server, turns)
        self._lan = lan
        self._machines = {}
        self._cuts = collections.defaultdict(list)
        self.lost = []
        """Players whose link was cut for too long."""

    def join(self, kind, name, work):
        def carry_on(program):
            try:
                work(program)
            except LOST:
                if not program.player.is_killed:
                    self._note_gone(program.player)
                    self.lost.append(program.player)
                raise Killed from None
        return super().join(kind, name, carry_on)

    def _note_gone(self, player):
        """From the cut after its last answer on the server may have taken it
        for gone."""
        answers = [event.ended for event in self.hub.history.events
                   if event.program == player.name
                   and event.ended not in (None, event.began)]
        last = max(answers, default=0)
        at = next((at for at in self._cuts[player.name] if at >= last), last)
        self.hub.history.record(player.name, "gone", "", at, at)

    def connect(self, player):
        role = _role(player)
        if role not in self._machines:
            self._machines[role] = self._lan.plug()
        with self._machines[role]:
            client = PlayersClient(player, self.server.port, smbd.SHARE,
                                   host=self._lan.host, timeout=120)
        # Or it waits for ever for the answer of a server that is cut off, or
        # that has taken it for gone when it could not be told so.
        with socket.socket(fileno=os.dup(client.fileno())) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
                connection.setsockopt(socket.IPPROTO_TCP, option, 1)
            connection.setsockopt(socket.IPPROTO_TCP,
                                  socket.TCP_USER_TIMEOUT, 18000 // HASTE)
        return client

    def cut(self, player, how):
        self._cuts[player.name].append(time.monotonic())
        self._machines[_role(player)].cut(how)

    def mend(self, player):
        self._machines[_role(player)].mend()

    def switch_off(self, player):
        """After the cut. It says nothing that anybody hears."""
        self.turns.kill(player)
        self._note_gone(player)
        player.client.reset()

    def move(self, player):
        """Its successor comes from another machine."""
        del self._machines[_role(player)]


def _role(player):
    """What all lives of a program have in common."""
    return player.name.partition("#")[0]


def cut_links(crew, rand):
    """One shift, while links are cut. Returns how many were."""
    shift = Shift(crew, MESSAGES, rand.randrange(1 << 30), has_host=False)
    shift.start()
    cuts = 0
    while True:
        is_over = crew.turns.run(rand.randrange(ROUNDS))
        while crew.lost:
            shift.take_over(crew.lost.pop())
            is_over = False
        players = [p for p in crew.turns.players if not p.is_ended]
        if is_over or not players:
            return cuts
        player = rand.choice(players)
        crew.cut(player, network.CUTS[cuts % len(network.CUTS)])
        cuts += 1
        if rand.random() < 0.5:
            crew.turns.run(rand.randrange(ROUNDS))
            crew.mend(player)
            continue
        crew.switch_off(player)
        if rand.random() < 0.5:
            crew.move(player)
        else:
            crew.mend(player)
        shift.take_over(player)


@ONLY_POFS
def test_cut_links_lose_and_copy_nothing(place, server, lan):
    rand = random.Random(SEED)
    cuts = lost = 0
    while cuts < CUTS:
        hub = Hub(place, Office(place), History())
        with Turns(rand.randrange(1 << 30)) as turns, \
                WiredCrew(hub, server, turns, lan) as crew:
            cuts += cut_links(crew, rand)
        hub.check()
        submitted = hub.history.of("submit")
        lost += sum(not event.is_done for event in submitted)
        assert len(submitted) == MESSAGES
    assert lost <= cuts
    tally("link cuts", cuts)
    print(f"seed {SEED}: {cuts} cuts, {lost} messages not acknowledged")
