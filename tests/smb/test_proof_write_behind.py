# SPDX-License-Identifier: BSD-2-Clause
"""A header is never there before its message (Q143413).

MSMAIL32 carries mail between postoffices through NT's redirector, which may
send the MAI's bytes after the KEY was closed. If the link is cut between them,
a plain directory has a header without its message, and another one when the
program tries again. On pofs the readers see nothing of what was cut, and the
message arrives once.

    POFS_CUTS=all meson test -C build -t 5 smb_proof_write_behind

cuts at every request, after every class of bytes, in every way; without it the
seed POFS_SEED chooses one class and way for each request and order.
"""

import itertools
import json
import os
import random

import pytest

import smbd
from harness import poctl, wait_until
from msmail32 import ORDERS, PIECES, QUEUE
from place import ONLY_PLAIN, ONLY_POFS
from program import key_path
from route import Poller, Route, end, kill, reset
from smb1 import Client

SEED = int(os.environ.get("POFS_SEED", "1"))
IS_FULL = os.environ.get("POFS_CUTS") == "all"

PARTS = {
    "nothing": lambda size: 0,
    "a byte": lambda size: 1,
    "half": lambda size: size // 2,
    "all but a byte": lambda size: size - 1,
    "all": lambda size: size,
}
"""How much of a request is sent before the link is cut."""

LAST_STEPS = 11
"""How many requests at the end of MSMAIL32's run change a mailbag, or send the
MAI's bytes."""

SEVERS = [reset, end, kill]


@pytest.fixture
def route(place, server):
    with Route(place, server) as made:
        yield made


@pytest.mark.parametrize("order", ORDERS)
def test_a_link_that_holds_carries_each_message_once(route, order):
    for _ in range(3):
        route.post()
        assert route.carry(order)
        assert not route.look()
    assert route.carry(order) is None
    faults = [verdict for verdict in route.judge()
              if "but not committed" not in verdict]
    assert not faults


@ONLY_PLAIN
@pytest.mark.parametrize("order, in_the_end", [
    ("behind the queue", "is there 2 times"),
    ("around the queue", "is there 2 times"),
    # The local header is gone as well before the message is whole.
    ("behind everything", "is lost"),
])
def test_a_plain_directory_shows_a_header_without_its_message(
        route, order, in_the_end):
    count = route.requests(order)
    torn = 0
    for at in range(count):
        before = len(route.history.events)
        route.post()
        route.carry_cut(order, at, PARTS["nothing"], reset)
        is_torn = has_overtaken(route.history.events[before:])
        assert route.look() == is_torn, f"cut at request {at}"
        torn += is_torn
        while route.carry(ORDERS[0]):
            pass
    assert torn > 0
    verdicts = route.judge()
    assert any("[023]" in verdict for verdict in verdicts), verdicts
    assert any(in_the_end in verdict for verdict in verdicts), verdicts


def has_overtaken(events):
    """Whether the header was written before all of its message."""
    done = [event for event in events
            if event.program == "MSMAIL32" and event.is_done]
    written = [event.path.split("\\")[-1] for event in done
               if event.operation == "write"]
    messages = [path for path in written if path.endswith(".MAI")]
    return f"{QUEUE}.MBG" in written and len(messages) < PIECES


def cuts(order, count):
    """(request, class of bytes, way, whether patient) of every cut."""
    rand = random.Random(f"{SEED} {order}")
    for at in range(count):
        ways = list(itertools.product(PARTS, SEVERS, (True, False)))
        for way in ways if IS_FULL else [rand.choice(ways)]:
            yield at, *way


@ONLY_POFS
@pytest.mark.parametrize("order", ORDERS)
def test_pofs_shows_nothing_of_what_was_cut(place, server, order):
    print(f"POFS_SEED={SEED}")
    with Route(place, server) as route:
        left = list(cuts(order, route.requests(order)))
    while left:
        # A short queue, for the readers read all of it.
        now, left = left[:100], left[100:]
        with Route(place, server) as route, Poller(route) as poller:
            for cut in now:
                cut_once(route, order, *cut)
        assert poller.polls
        route.check()


def cut_once(route, order, at, part, sever, is_patient):
    """Cuts, and tries again."""
    where = f"{part} of request {at}, {sever.__name__}"
    route.post()
    route.carry_cut(order, at, PARTS[part], sever, is_patient)
    assert not route.look(), where
    # It is in the queue still, unless all of it had been done.
    route.carry(order)
    assert route.carry(order) is None, where
    assert not route.look(), where


@ONLY_POFS
@pytest.mark.parametrize("order", ORDERS)
def test_a_reader_who_waits_does_not_part_a_message(route, server, order):
    """Under pressure pofs commits what it may, but not the half of a message's
    way: a cut would leave it in both postoffices."""
    queue = route.remote.office.smb(key_path(QUEUE))
    count = route.requests(order)
    with Client(server.port, smbd.SHARE, source="127.0.31.1") as waiter:
        def wait():
            waiter.send(*waiter.open_request(queue))
            wait_until(server.is_blocked, "the reader waits")

        for since in range(count - LAST_STEPS, count - 1):
            at = random.Random(SEED + since).randrange(since + 1, count)
            route.post()
            route.carry_cut(order, at, PARTS["nothing"], reset,
                            before={since: wait})
            waiter.opened(waiter.receive()).close()
            assert not route.look()
            assert route.carry(order)
            assert route.carry(order) is None
    route.check()


def arrived(route, events):
    """What the server has acknowledged of MSMAIL32's writes: path -> bytes,
    counted from the first to the last."""
    sizes = {}
    for event in events:
        if event.program == "MSMAIL32" and event.operation == "write" and \
                event.is_done and route.remote.office.name in event.path and \
                event.path.endswith((".MAI", ".KEY", ".MBG")):
            end = event.facts["offset"] + event.facts["size"]
            sizes[event.path] = max(end, sizes.get(event.path, 0))
    return sizes


def quarantined(place, message):
    """The newest entry of the quarantine, if it has this message file; it
    comes with the next commit, within a second."""
    entries = json.loads(poctl("quarantine", "list", "--json",
                               place.store.path).stdout)["quarantine"]
    if not entries:
        return None
    newest = max(entry["id"] for entry in entries)
    entry = json.loads(poctl("quarantine", "show", "--json",
                             place.store.path, newest).stdout)
    paths = [file["path"] for file in entry["files"]]
    return newest if message in paths else None


@ONLY_POFS
def test_the_quarantine_has_what_had_arrived(route, place, tmp_path):
    order = "around the queue"
    checked = set()
    for at in range(route.requests(order)):
        before = len(route.history.events)
        content = route.post().encode()
        route.carry_cut(order, at, PARTS["nothing"], reset)
        assert not route.look()
        wanted = arrived(route, route.history.events[before:])
        if wanted:
            check_entry(place, wanted, content, tmp_path / str(at))
            checked.update(path[-3:] for path in wanted)
        assert route.carry(ORDERS[0])
    assert checked == {"MAI", "KEY", "MBG"}
    route.check()


def check_entry(place, wanted, content, directory):
    """An entry has all bytes that were acknowledged."""
    message, = [path for path in wanted if path.endswith(".MAI")]
    name = "/" + message.replace("\\", "/")
    number = wait_until(lambda: quarantined(place, name),
                        f"{name} is in the quarantine")
    poctl("quarantine", "restore", place.store.path, number, directory)
    for path, size in wanted.items():
        found = directory.joinpath(*path.split("\\")).read_bytes()
        assert len(found) >= size, path
        if path == message:
            assert found[:size] == content[:size]
