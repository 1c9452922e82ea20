# SPDX-License-Identifier: BSD-2-Clause
"""What the administrator changes while clients have it open."""

import contextlib
import datetime
import json
import struct
import subprocess
import threading

import pytest

import mail
from harness import DEADLINE_S, poctl, program, wait_until
from place import ONLY_POFS
from smb1 import Access
from test_administrator import Desk, machine

pytestmark = ONLY_POFS

BAG = "0000000A"
WHEN = datetime.datetime(1994, 8, 6, 12, 0)
STEMS = ("00000061", "00000062")
DELETED = 1
"""Which of the two messages has a record that is deleted."""


def record_of(stem):
    return mail.Header("ANNA", "HELLO", WHEN, stem).encode()


def key_of(*deleted):
    """A KEY that marks these records as deleted."""
    key = mail.Key(bytes(mail.KEY_SIZE))
    for record in deleted:
        key.mark_deleted(record, True)
    return key.encode()


ONE, BOTH = record_of(STEMS[0]), b"".join(map(record_of, STEMS))


class Bag:
    """A mailbag with a live and a deleted record, and their messages."""

    def __init__(self, office, desk):
        self.name = f"{office.name}/{BAG}"
        self.office, self.desk = office, desk
        self.key = office.smb("KEY", f"{BAG}.KEY")
        self.mbg = office.smb("MBG", f"{BAG}.MBG")
        for stem in STEMS:
            self.put(f"MAI/MA{stem[-1]}/{stem}.MAI", mail.encode_message(
                "A", ["B"], "HELLO", WHEN, "text"))
        self.put(f"MBG/{BAG}.MBG", BOTH)
        self.put(f"KEY/{BAG}.KEY", key_of(DELETED))
        # All of it is in the journal before it is changed.
        wait_until(lambda: self.entries()[-1:] and any(
            f"{BAG}.KEY" in file.get("new_path", "")
            for file in self.entries()[-1]["files"]), "it is on disk")
        self.when = datetime.datetime.now().astimezone().isoformat()

    def put(self, name, content):
        (self.office.path / name).write_bytes(content)

    def entries(self):
        """What the journal has."""
        return json.loads(poctl("log", "--json", self.desk.store.path)
                          .stdout)["journal"]

    def read(self, client):
        """What a client sees of it."""
        return client.read_file(self.key), client.read_file(self.mbg)

    def spoil(self, client):
        """A client deletes everything; returns the entry of the journal."""
        count = len(self.entries())
        with client.open(self.key) as key:
            key.write(0x30, b"\xff")
            with client.open(self.mbg) as mbg:
                mbg.truncate(0)
        assert len(self.entries()) == count + 1
        return self.entries()[-1]["id"]


@pytest.fixture
def desk(place, office):
    return Desk(place, office)


@pytest.fixture
def bag(office, desk):
    return Bag(office, desk)


@contextlib.contextmanager
def started(*arguments):
    """A command that is to go on; ends it whatever happens."""
    process = subprocess.Popen(
        [program("tools/poctl"), *map(str, arguments)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def reset(bag, _):
    return ("reset", "--force", "STORE", bag.name), (key_of(), b"")


def rebuild(bag, _):
    return ("rebuild", "STORE", bag.name), (key_of(), ONE)


def requeue(bag, _):
    return ("requeue", "STORE", bag.name, DELETED), (key_of(), BOTH)


def undo(bag, client):
    return ("undo", "STORE", bag.spoil(client)), (key_of(DELETED), BOTH)


def restore(bag, client):
    bag.spoil(client)
    return (("restore", "--at", bag.when, "STORE", bag.name),
            (key_of(DELETED), BOTH))


@pytest.mark.parametrize("change", [reset, rebuild, requeue, undo, restore])
def test_a_change_waits_for_a_client_and_is_seen_at_once(
        client, other, desk, bag, change):
    """By whoever opens it, and by who has it open to read."""
    command, wanted = change(bag, client)
    before = bag.read(other)
    assert before != wanted
    key = client.open(bag.key)
    key.read(0, 560)
    with other.open(bag.mbg, Access.READ) as mbg, started(
            *[desk.store.path if word == "STORE" else word
              for word in command]) as process:
        wait_until(lambda: desk.lock(BAG)["waiters"], "the command waits")
        assert process.poll() is None
        assert mbg.read(0, 1000) == before[1]
        key.close()
        text, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, text
        assert mbg.read(0, 1000) == wanted[1]
        assert bag.read(other) == wanted
        assert bag.read(client) == wanted


def test_who_does_not_let_go_is_named(client, desk, bag):
    """In the sentence with which the command gives up."""
    before = bag.read(client)
    with client.open(bag.key) as key, started(
            "reset", "--force", desk.store.path, bag.name) as process:
        key.read(0, 560)
        # The daemon finds addresses when it is asked for them.
        assert desk.session(client) is not None
        wait_until(lambda: desk.lock(BAG)["waiters"], "the command waits")
        (waiter, _), = desk.line(BAG)
        poctl("break", desk.store.path, waiter)
        text, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 1
        assert f"/{bag.name} is locked by session " in text
        assert text.endswith(f", client {machine(client)}\n")
        assert key.read(0, 560) == before[0]
    assert bag.read(client) == before


class Depositor(threading.Thread):
    """A client that delivers messages until it is told to end."""

    def __init__(self, machines, office):
        super().__init__()
        self._client = machines.new()
        self._office = office
        self._is_ending = threading.Event()
        self.count = 0
        self.error = None

    def run(self):
        try:
            while not self._is_ending.is_set():
                self._deliver(f"{0x100 + self.count:08X}")
                self.count += 1
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def _deliver(self, stem):
        client, smb = self._client, self._office.smb
        client.write_file(
            smb("MAI", f"MA{stem[-1]}", f"{stem}.MAI"),
            mail.encode_message("A", ["B"], "HELLO", WHEN, "text"))
        client.write_file(smb("P1", f"{stem}.P1"),
                          mail.encode_envelope(["B"]))
        with client.open(smb("KEY", "INQUEUE3.KEY")) as key, \
                client.open(smb("MBG", "INQUEUE3.MBG")) as mbg:
            mbg.write(self.count * mail.RECORD_SIZE, record_of(stem))
            key.write(0, struct.pack("<H", self.count + 1))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._is_ending.set()
        self.join(DEADLINE_S)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error

    def wait_for(self, more):
        """Waits until it has delivered so many more."""
        wanted = self.count + more
        wait_until(lambda: self.count >= wanted or self.error, "mail comes")


def faults(store, office):
    """What check --mail finds there, but for what its directories lack."""
    told = json.loads(poctl("check", "--mail", "--json", store,
                            check=False).stdout)
    assert told["findings"] == []
    return [row["id"] for row in told["mail"] if office.name in row["id"] and
            row["id"][:3] not in ("R15", "P07")]


def queued(store, office):
    """How many records the inqueue has, as `queue` tells."""
    told = json.loads(poctl("queue", "--json", store).stdout)
    return {row["mailbag"]: row["records"] for row in told["mailbags"]
            if row["postoffice"] == office.name}["INQUEUE3"]


def test_who_looks_sees_whole_deliveries(machines, office, desk, tmp_path):
    office.add_mailbag("INQUEUE3")
    (office.path / "GLB/CONTROL.GLB").write_bytes(struct.pack("<II", 16, 9999))
    store = desk.store.path
    with Depositor(machines, office) as depositor:
        for turn in range(3):
            depositor.wait_for(2)
            before = depositor.count
            assert before - 1 <= queued(store, office)
            assert faults(store, office) == []
            file = tmp_path / f"backup{turn}"
            poctl("backup", store, file)
            poctl("restore", tmp_path / f"copy{turn}", file)
            assert before - 1 <= queued(tmp_path / f"copy{turn}", office)
            assert faults(tmp_path / f"copy{turn}", office) == []
    assert queued(store, office) == depositor.count
    desk.store.check()


# ---- traces -----------------------------------------------------------------

def traced(desk, process):
    """The rows of the trace that a command has begun, which is then ended."""
    text, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, text
    session = json.loads(text)["trace"].split("trace-")[-1].split(".")[0]
    poctl("trace", "stop", desk.store.path, session)
    return json.loads(poctl("trace", "show", "--json", desk.store.path,
                            session).stdout)["trace"]


def test_a_client_is_traced_from_its_first_request_on(
        machines, client, desk, bag):
    """Though its address is known only later; others are not."""
    with started("trace", "start", "--json", "--peer", "127.0.77.7",
                 desk.store.path) as process:
        assert process.stdout.readline() == \
            "poctl: waiting for a client at 127.0.77.7\n"
        client.read_file(bag.key)
        # One that is new is a candidate until it is known.
        machines.new().read_file(bag.key)
        wait_until(lambda: not list(desk.store.path.glob("trace-*.log")),
                   "it is none")
        wanted = machines.new(source="127.0.77.7")
        with wanted.open(bag.key) as key:
            key.write(0, b"\1")
        rows = traced(desk, process)
    told = [(row["op"], row["path"]) for row in rows]
    path = f"/{bag.name.replace('/', '/KEY/')}.KEY"
    assert ("open", path) in told and ("write", path) in told, told
    assert any(row["op"].startswith(f"it is {machine(wanted)} ")
               for row in rows), rows
    first = [row["op"] for row in rows].index("lookup")
    assert first < told.index(("open", path))
    assert len(list(desk.store.path.glob("trace-*.log"))) == 1


def test_a_client_that_is_there_is_traced(client, desk, bag):
    client.read_file(bag.key)
    with started("trace", "start", "--json", "--peer", machine(client),
                 desk.store.path) as process:
        wait_until(lambda: process.poll() is not None, "it is traced")
        client.read_file(bag.mbg)
        rows = traced(desk, process)
    assert ("open", f"/{bag.name.replace('/', '/MBG/')}.MBG") in [
        (row["op"], row["path"]) for row in rows]
